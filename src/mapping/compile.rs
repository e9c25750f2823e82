//! From a template's elements to a program, with everything checked.

use std::sync::Arc;

use quick_xml::escape::{escape, partial_escape};

use super::block::Block;
use super::code::{Code, Root};
use super::codes::CodeList;
use super::expr;
use super::faults::{FileFaults, Located, Remark};
use super::own::local_name;
use super::program::{Each, Mark, Op, Optional, Piece, Place, Program, Site, SiteId, SiteKind};
use super::scope::{Scope, Use, Variable};
use super::settings::SettingSpec;
use super::template::{self, Attribute, Element, Node, Part, Template};
use super::value::Ty;
use crate::domain::delivery::MessageKind;

/// Most values that `p:let` and `p:each` may hold at once.
const MAX_SLOTS: u16 = 500;

/// What a template is compiled for and with.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'m> {
    pub kind: MessageKind,
    pub settings: Option<&'m [SettingSpec]>,
    pub codes: &'m [Arc<CodeList>],
    /// Whether places may still be undecided (`todo`).
    pub draft: bool,
    /// Whether the program marks where elements begin and end.
    pub traced: bool,
}

/// Compiles a template file. Faults are added; the program is only of use when there are none.
pub(super) fn compile<'t>(purpose: Purpose<'_>, text: &'t str, faults: &mut FileFaults<'t>) -> Program {
    let Some(Template { declaration, root }) = template::read(text, faults) else {
        return Program::default();
    };
    let Purpose { kind, settings, codes, draft, traced } = purpose;
    let scope = Scope {
        purpose: Use::Message(kind),
        settings,
        codes,
        variables: Vec::new(),
        draft,
        converts: false.into(),
        undecided: Vec::new().into(),
    };
    let program = Program::default();
    let mut compiler = Compiler { scope, faults, traced, program, slots: 0, path: Vec::new(), attribute: None, repeats: Vec::new() };
    let mut block = Block::default();
    if declaration {
        block.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    }
    compiler.root(&root, &mut block);
    let converts = compiler.scope.converts.get();
    Program { ops: block.finish(), slots: usize::from(compiler.slots), converts, ..compiler.program }
}

/// The names in force and the place in the template.
pub(super) struct Compiler<'f, 't, 'm> {
    pub(super) scope: Scope<'m>,
    pub(super) faults: &'f mut FileFaults<'t>,
    traced: bool,
    /// Sites and choices so far.
    program: Program,
    slots: u16,
    pub(super) path: Vec<String>,
    /// The attribute whose value is being compiled.
    pub(super) attribute: Option<String>,
    /// Slots of the entries of the repeats around, outermost first.
    pub(super) repeats: Vec<u16>,
}

impl Compiler<'_, '_, '_> {
    fn root(&mut self, root: &Element, block: &mut Block) {
        if root.own.is_some() {
            self.faults.at(root.offset, "the root element is one of the message, not of the mapping language");
        }
        for attribute in &root.own_attributes {
            if matches!(attribute.name.as_str(), "if" | "each" | "optional") {
                self.faults.at(attribute.offset, "the root element is always written, once");
            }
        }
        self.element(root, block);
    }

    /// An expression; `None` after a fault. Each `if … else` in it becomes a site.
    pub(super) fn expression(&mut self, text: &Located) -> Option<(Code, Ty)> {
        match expr::compile(&self.scope, &text.text) {
            Ok((code, ty)) => {
                self.undecided(text);
                code.choices(&mut |address| {
                    let site = self.site(SiteKind::Choice, text.offset(0), &text.text);
                    self.program.choices.insert(address, site);
                });
                Some((code, ty))
            }
            Err(faults) => {
                for (at, remark) in faults {
                    self.faults.at(text.offset(at), remark);
                }
                None
            }
        }
    }

    /// A decision of the element that is being compiled.
    pub(super) fn site(&mut self, kind: SiteKind, offset: usize, text: &str) -> SiteId {
        let element = self.path.last().map_or("p:group", String::as_str).into();
        self.program.sites.push(Site { kind, offset, element, text: text.trim().into() });
        SiteId::try_from(self.program.sites.len() - 1).unwrap_or(SiteId::MAX)
    }

    pub(super) fn name_site(&mut self, site: SiteId, element: &str) {
        if let Some(site) = self.program.sites.get_mut(site as usize) {
            site.element = element.into();
        }
    }

    fn declare(&mut self, name: &str, at: usize, ty: Ty) -> u16 {
        if let Some(remark) = self.scope.refuses(name) {
            self.faults.at(at, remark);
        }
        let slot = self.hidden();
        self.scope.variables.push(Variable { name: name.to_owned(), slot, ty });
        slot
    }

    fn hidden(&mut self) -> u16 {
        let slot = self.slots;
        if slot >= MAX_SLOTS {
            self.faults.at(0, format!("at most {MAX_SLOTS} p:let and p:each in one template"));
        } else {
            self.slots += 1;
        }
        slot
    }

    /// An element with its repeat, lets and condition around it.
    fn element(&mut self, element: &Element, block: &mut Block) {
        if element.own.as_deref() == Some("check") {
            return self.check(element, block);
        }
        self.own_names(element);
        let variables = self.scope.variables.len();
        let find = |name: &str| element.own_attributes.iter().find(|attribute| attribute.name == name);
        match find("each") {
            None => self.lets(element, block),
            Some(each) => {
                let parts = self.each_parts(each);
                let mut body = Block::default();
                if let Some((name, at, list, of)) = parts {
                    let entry = self.declare(&name, at, of);
                    let (position, last) = (self.hidden(), self.hidden());
                    self.scope.variables.push(Variable { name: "position".to_owned(), slot: position, ty: Ty::Int });
                    self.scope.variables.push(Variable { name: "last".to_owned(), slot: last, ty: Ty::Int });
                    self.repeats.push(entry);
                    self.lets(element, &mut body);
                    self.repeats.pop();
                    let site = self.site_of(element, SiteKind::Each, each.value.offset(0), &each.value.text);
                    block.push(Op::Each(Box::new(Each { list, entry, position, last, body: body.finish(), site })));
                } else {
                    self.lets(element, &mut body);
                }
            }
        }
        self.scope.variables.truncate(variables);
    }

    /// `name in expression`
    fn each_parts(&mut self, each: &Attribute) -> Option<(String, usize, Code, Ty)> {
        let text = &each.value.text;
        let parts = text.split_once(" in ").map(|(name, list)| (name.trim(), list));
        let Some((name, list)) = parts.filter(|(name, _)| !name.is_empty()) else {
            self.faults.at(each.value.offset(0), "a repeat is written p:each=\"name in list\"");
            return None;
        };
        let located = each.value.slice(text.len() - list.len(), text.len());
        let (code, ty) = self.expression(&located)?;
        match ty {
            Ty::List(of) => Some((name.to_owned(), each.value.offset(0), code, *of)),
            other => {
                self.faults.at(located.offset(0), format!("a repeat needs a list, not {}", other.noun()));
                None
            }
        }
    }

    fn lets(&mut self, element: &Element, block: &mut Block) {
        for attribute in &element.own_attributes {
            let Some(name) = attribute.name.strip_prefix("let-") else { continue };
            let compiled = self.expression(&attribute.value);
            let known = compiled.is_some();
            let (code, ty) = compiled.unwrap_or((Code::None, Ty::Any));
            let slot = self.declare(name, attribute.offset, ty);
            if known {
                block.push(Op::Let(slot, code));
            }
        }
        match element.own_attributes.iter().find(|attribute| attribute.name == "if") {
            None => self.body(element, block),
            Some(condition) => {
                let test = self.expression(&condition.value);
                let mut inner = Block::default();
                self.body(element, &mut inner);
                if let Some((test, _)) = test {
                    let site = self.site_of(element, SiteKind::If, condition.value.offset(0), &condition.value.text);
                    block.push(Op::If(test, inner.finish(), site));
                }
            }
        }
    }

    fn body(&mut self, element: &Element, block: &mut Block) {
        if element.own.is_some() {
            return self.children(element, block, Mode::Required);
        }
        self.path.push(local_name(element).to_owned());
        let written = self.written(element);
        if written.mode != Mode::Optional {
            self.enter(element, block);
        }
        let mut body = Block::default();
        self.children(element, &mut body, written.mode);
        let mut body = body.finish();
        if let Some(encoding) = written.encoding {
            body = vec![Op::Encode(body, encoding)];
        }
        if let Some(otherwise) = written.otherwise {
            let site = self.site(SiteKind::Empty, element.offset, &element.name);
            body = vec![Op::Otherwise(body, otherwise, site)];
        }
        let close = format!("</{}>", element.name);
        if written.mode == Mode::Optional {
            let mut open = Block::default();
            self.enter(element, &mut open);
            self.start_tag(element, &mut open);
            open.text(">");
            let site = self.site(SiteKind::Optional, element.offset, &element.name);
            block.push(Op::Optional(Box::new(Optional { open: open.finish(), body, close: close.into_bytes().into(), site })));
        } else {
            self.start_tag(element, block);
            if body.is_empty() {
                block.text("/>");
            } else {
                block.text(">");
                body.into_iter().for_each(|op| match op {
                    Op::Bytes(bytes) => block.bytes.extend_from_slice(&bytes),
                    op => block.push(op),
                });
                block.text(&close);
            }
        }
        // An optional element marks its own end, for there may be none.
        if self.traced && written.mode != Mode::Optional {
            block.push(Op::Leave);
        }
        self.path.pop();
    }

    fn enter(&self, element: &Element, block: &mut Block) {
        if self.traced {
            block.push(Op::Enter(Box::new(Mark { offset: element.offset, path: self.element_path().into() })));
        }
    }

    /// The element's path without the root, which wraps everything: naming it helps nobody.
    fn element_path(&self) -> String {
        self.path[usize::from(self.path.len() > 1)..].join("/")
    }

    /// Where a value is written. A value that only the operator can give is told as such: the
    /// sender cannot mend it.
    fn value_place(&self, attribute: Option<&str>, ty: &Ty, code: &Code, text: &str) -> Box<Place> {
        let mut place = self.place(attribute, ty);
        place.text = text.trim().into();
        if let Some(setting) = last_setting(code).and_then(|index| self.scope.settings?.get(usize::from(index))) {
            place.noun = format!("{}, the operator's setting {}", place.noun, setting.name).into();
        }
        place
    }

    fn place(&self, attribute: Option<&str>, ty: &Ty) -> Box<Place> {
        let mut path = self.element_path();
        if let Some(name) = attribute {
            path.push_str("/@");
            path.push_str(name);
        }
        Box::new(Place { path: path.into(), attribute: attribute.is_some(), noun: ty.noun().into(), text: "".into() })
    }

    fn start_tag(&mut self, element: &Element, block: &mut Block) {
        block.text("<");
        block.text(&element.name);
        let optional: Vec<(String, usize)> = element
            .own_attributes
            .iter()
            .filter(|attribute| attribute.name == "optional-attributes")
            .flat_map(|attribute| attribute.value.text.split_whitespace().map(|name| (name.to_owned(), attribute.offset)))
            .collect();
        for (name, at) in &optional {
            if !element.attributes.iter().any(|attribute| attribute.name == *name) {
                let known = element.attributes.iter().map(|attribute| attribute.name.as_str());
                self.faults.at(*at, Remark::unknown(format!("the element has no attribute {name}"), name, known));
            }
        }
        for attribute in &element.attributes {
            let is_optional = optional.iter().any(|(name, _)| *name == attribute.name);
            self.attribute(attribute, is_optional, block);
        }
    }

    fn attribute(&mut self, attribute: &Attribute, optional: bool, block: &mut Block) {
        let parts = template::split(&attribute.value, self.faults);
        let head = format!(" {}=\"", attribute.name);
        let pieces = self.pieces(parts, Some(&attribute.name));
        if optional {
            let site = self.site(SiteKind::OptionalAttribute, attribute.offset, &attribute.name);
            block.push(Op::OptionalAttribute(head.into_bytes().into(), pieces, site));
            return;
        }
        block.text(&head);
        block.pieces(pieces, Op::Value);
        block.text("\"");
    }

    /// Compiles the parts of a text, or of an attribute's value.
    fn pieces(&mut self, parts: Vec<Part>, attribute: Option<&str>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.attribute = attribute.map(str::to_owned);
        for part in parts {
            match part {
                Part::Literal(text) => {
                    let escaped = if attribute.is_some() { escape(text.as_str()) } else { partial_escape(text.as_str()) };
                    pieces.push(Piece::Literal(escaped.as_bytes().into()));
                }
                Part::Expression(located) => {
                    let Some((code, ty)) = self.expression(&located) else { continue };
                    if !ty.is_scalar() {
                        let at = located.offset(located.text.len() - located.text.trim_start().len());
                        self.faults.at(at, format!("{} is not a text: use join, first(…) or p:each, or name a field of it", ty.noun()));
                    }
                    let place = self.value_place(attribute, &ty, &code, &located.text);
                    pieces.push(Piece::Value(code, place));
                }
            }
        }
        self.attribute = None;
        pieces
    }

    fn children(&mut self, element: &Element, block: &mut Block, mode: Mode) {
        for child in &element.children {
            match child {
                Node::Element(child) => self.element(child, block),
                Node::Text(text) => self.text(element, text, block, mode),
            }
        }
    }

    fn text(&mut self, element: &Element, text: &Located, block: &mut Block, mode: Mode) {
        let lead = text.text.len() - text.text.trim_start().len();
        let trimmed = text.slice(lead, lead + text.text.trim().len());
        let parts = template::split(&trimmed, self.faults);
        let pieces = self.pieces(parts, None);
        if element.own.is_some() {
            self.faults.at(text.offset(lead), "text stands in an element of the message");
        }
        if mode == Mode::Optional {
            return block.push(Op::Together(pieces));
        }
        block.pieces(pieces, if mode == Mode::Lenient { Op::Lenient } else { Op::Value });
    }
}

/// The setting that a value comes from when nothing before it is there.
fn last_setting(code: &Code) -> Option<u16> {
    match code {
        Code::Root(Root::Setting(index)) => Some(*index),
        Code::Or(_, last) => last_setting(last),
        Code::Call(call) => last_setting(call.args.first()?),
        _ => None,
    }
}

/// What happens when the value of an element's text is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A fault of the sender.
    Required,
    /// The element is left out.
    Optional,
    /// The element is written empty.
    Lenient,
}
