//! From a template's elements to a program, with everything checked.

use std::sync::Arc;

use quick_xml::escape::{escape, partial_escape};

use super::code::{Code, Root};
use super::codes::CodeList;
use super::expr;
use super::faults::{FileFaults, Located, Remark};
use super::program::{Each, Op, Optional, Piece, Place, Program};
use super::scope::{Scope, Use, Variable};
use super::settings::SettingSpec;
use super::template::{self, Attribute, Element, Node, Part, Template};
use super::value::Ty;
use crate::domain::delivery::MessageKind;

/// Most values that `p:let` and `p:each` may hold at once.
const MAX_SLOTS: u16 = 500;
const OWN_ATTRIBUTES: &[&str] = &["if", "each", "let-NAME", "optional", "empty", "optional-attributes"];

/// Compiles a template file. Faults are added; the program is only of use when there are none.
pub(super) fn compile<'t>(
    kind: MessageKind,
    text: &'t str,
    settings: &[SettingSpec],
    codes: &[Arc<CodeList>],
    faults: &mut FileFaults<'t>,
) -> Program {
    let Some(Template { declaration, root }) = template::read(text, faults) else {
        return Program::default();
    };
    let scope = Scope { purpose: Use::Message(kind), settings, codes, variables: Vec::new(), converts: false.into() };
    let mut compiler = Compiler { scope, faults, slots: 0, path: Vec::new(), repeats: Vec::new() };
    let mut block = Block::default();
    if declaration {
        block.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    }
    compiler.root(&root, &mut block);
    Program { ops: block.finish(), slots: usize::from(compiler.slots), converts: compiler.scope.converts.get() }
}

/// Steps being made; fixed bytes that follow one another become one step.
#[derive(Default)]
pub(super) struct Block {
    ops: Vec<Op>,
    bytes: Vec<u8>,
}

impl Block {
    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn push(&mut self, op: Op) {
        if !self.bytes.is_empty() {
            self.ops.push(Op::Bytes(std::mem::take(&mut self.bytes).into()));
        }
        self.ops.push(op);
    }

    fn finish(mut self) -> Vec<Op> {
        if !self.bytes.is_empty() {
            self.ops.push(Op::Bytes(self.bytes.into()));
        }
        self.ops
    }
}

/// The names in force and the place in the template.
pub(super) struct Compiler<'f, 't, 'm> {
    scope: Scope<'m>,
    pub(super) faults: &'f mut FileFaults<'t>,
    slots: u16,
    path: Vec<String>,
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

    /// An expression; `None` after a fault.
    pub(super) fn expression(&mut self, text: &Located) -> Option<(Code, Ty)> {
        match expr::compile(&self.scope, &text.text) {
            Ok(compiled) => Some(compiled),
            Err(faults) => {
                for (at, remark) in faults {
                    self.faults.at(text.offset(at), remark);
                }
                None
            }
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
                    block.push(Op::Each(Box::new(Each { list, entry, position, last, body: body.finish() })));
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
                    block.push(Op::If(test, inner.finish()));
                }
            }
        }
    }

    fn own_names(&mut self, element: &Element) {
        let group = match element.own.as_deref() {
            None => false,
            Some("group") => true,
            Some(other) => {
                let remark = Remark::unknown(format!("there is no element p:{other}"), other, ["group", "check"]);
                self.faults.at(element.offset, remark);
                true
            }
        };
        for attribute in &element.own_attributes {
            let (name, at) = (attribute.name.as_str(), attribute.offset);
            let value = attribute.value.text.as_str();
            match name {
                "if" | "each" => {}
                _ if name.starts_with("let-") => {}
                "optional" | "empty" | "optional-attributes" if group => {
                    self.faults.at(at, format!("p:{name} stands on elements of the message"));
                }
                "optional" if value != "true" => self.faults.at(at, "p:optional is written p:optional=\"true\""),
                "empty" if value != "keep" => self.faults.at(at, "p:empty is written p:empty=\"keep\""),
                "optional" | "empty" | "optional-attributes" => {}
                _ => self.faults.at(at, Remark::unknown(format!("there is no attribute p:{name}"), name, OWN_ATTRIBUTES.iter().copied())),
            }
        }
        if group && let Some(attribute) = element.attributes.first() {
            self.faults.at(attribute.offset, "p:group writes only its content: it has no attributes of the message");
        }
    }

    fn body(&mut self, element: &Element, block: &mut Block) {
        if element.own.is_some() {
            return self.children(element, block, Mode::Required);
        }
        let has = |name: &str| element.own_attributes.iter().any(|attribute| attribute.name == name);
        let local = element.name.split_once(':').map_or(element.name.as_str(), |(_, local)| local);
        self.path.push(local.to_owned());
        let mut body = Block::default();
        let mode = match (has("optional"), has("empty")) {
            (true, true) => {
                self.faults.at(element.offset, "p:optional leaves the element out, p:empty keeps it: choose one");
                Mode::Required
            }
            (true, false) => Mode::Optional,
            (false, true) => Mode::Lenient,
            (false, false) => Mode::Required,
        };
        self.children(element, &mut body, mode);
        let body = body.finish();
        let close = format!("</{}>", element.name);
        if mode == Mode::Optional {
            let mut open = Block::default();
            self.start_tag(element, &mut open);
            open.text(">");
            block.push(Op::Optional(Box::new(Optional { open: open.finish(), body, close: close.into_bytes().into() })));
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
        self.path.pop();
    }

    /// Where a value is written. A value that only the operator can give is told as such: the
    /// sender cannot mend it.
    fn value_place(&self, attribute: Option<&str>, ty: &Ty, code: &Code) -> Box<Place> {
        let mut place = self.place(attribute, ty);
        if let Some(setting) = last_setting(code).and_then(|index| self.scope.settings.get(usize::from(index))) {
            place.noun = format!("{}, the operator's setting {}", place.noun, setting.name).into();
        }
        place
    }

    fn place(&self, attribute: Option<&str>, ty: &Ty) -> Box<Place> {
        // The root wraps everything: naming it helps nobody.
        let from = usize::from(self.path.len() > 1);
        let mut path = self.path[from..].join("/");
        if let Some(name) = attribute {
            path.push_str("/@");
            path.push_str(name);
        }
        Box::new(Place { path: path.into(), attribute: attribute.is_some(), noun: ty.noun().into() })
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
        let (pieces, ty) = self.pieces(parts, true);
        let place = self.place(Some(&attribute.name), &ty);
        if optional {
            block.push(Op::OptionalAttribute(head.into_bytes().into(), pieces, place));
            return;
        }
        block.text(&head);
        for piece in pieces {
            match piece {
                Piece::Literal(bytes) => block.bytes.extend_from_slice(&bytes),
                Piece::Value(code) => {
                    let place = self.value_place(Some(&attribute.name), &ty, &code);
                    block.push(Op::Value(code, place));
                }
            }
        }
        block.text("\"");
    }

    /// Compiles the parts of a text; the kind is that of its values.
    fn pieces(&mut self, parts: Vec<Part>, attribute: bool) -> (Vec<Piece>, Ty) {
        let (mut pieces, mut kind) = (Vec::new(), Ty::None);
        for part in parts {
            match part {
                Part::Literal(text) => {
                    let escaped = if attribute { escape(text.as_str()) } else { partial_escape(text.as_str()) };
                    pieces.push(Piece::Literal(escaped.as_bytes().into()));
                }
                Part::Expression(located) => {
                    let Some((code, ty)) = self.expression(&located) else { continue };
                    if !ty.is_scalar() {
                        let at = located.offset(located.text.len() - located.text.trim_start().len());
                        self.faults.at(at, format!("{} is not a text: use join, first(…) or p:each, or name a field of it", ty.noun()));
                    }
                    kind = kind.join(ty);
                    pieces.push(Piece::Value(code));
                }
            }
        }
        (pieces, kind)
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
        let (pieces, ty) = self.pieces(parts, false);
        if element.own.is_some() {
            self.faults.at(text.offset(lead), "text stands in an element of the message");
        }
        if mode == Mode::Optional {
            let place = self.place(None, &ty);
            return block.push(Op::Together(pieces, place));
        }
        for piece in pieces {
            match piece {
                Piece::Literal(bytes) => block.bytes.extend_from_slice(&bytes),
                Piece::Value(code) => {
                    let place = self.value_place(None, &ty, &code);
                    block.push(if mode == Mode::Lenient { Op::Lenient(code, place) } else { Op::Value(code, place) });
                }
            }
        }
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
enum Mode {
    /// A fault of the sender.
    Required,
    /// The element is left out.
    Optional,
    /// The element is written empty.
    Lenient,
}
