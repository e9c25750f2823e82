//! The mapping language's own elements and attributes on an element of a template: which there are,
//! what they may say, and how the element is written because of them.

use super::compile::{Compiler, Mode};
use super::faults::{Located, Remark};
use super::program::{Encoding, SiteId, SiteKind};
use super::template::{Element, Node};

const OWN_ATTRIBUTES: &[&str] = &["if", "each", "let-NAME", "optional", "empty", "encode", "optional-attributes"];

/// How an element is written.
pub(super) struct Written {
    pub mode: Mode,
    /// What stands between the tags when there is nothing else.
    pub otherwise: Option<&'static [u8]>,
    pub encoding: Option<Encoding>,
}

/// An element's name without prefix.
pub(super) fn local_name(element: &Element) -> &str {
    element.name.split_once(':').map_or(element.name.as_str(), |(_, local)| local)
}

impl Compiler<'_, '_, '_> {
    pub(super) fn own_names(&mut self, element: &Element) {
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
                "optional" | "empty" | "encode" | "optional-attributes" if group => {
                    self.faults.at(at, format!("p:{name} stands on elements of the message"));
                }
                "optional" if value != "true" => self.faults.at(at, "p:optional is written p:optional=\"true\""),
                "empty" if !matches!(value, "keep" | "null") => {
                    self.faults.at(
                        at,
                        Remark::unknown("p:empty is \"keep\" (an empty element) or \"null\" (<null/> in it)", value, ["keep", "null"]),
                    );
                }
                "encode" if !Encoding::WORDS.iter().any(|(word, _)| *word == value) => {
                    let known = Encoding::WORDS.iter().map(|(word, _)| *word);
                    self.faults.at(at, Remark::unknown("p:encode is \"escaped\", \"base64\" or \"gzip base64\"", value, known));
                }
                "optional" | "empty" | "encode" | "optional-attributes" => {}
                _ => self.faults.at(at, Remark::unknown(format!("there is no attribute p:{name}"), name, OWN_ATTRIBUTES.iter().copied())),
            }
        }
        for attribute in &element.attributes {
            let name = attribute.name.as_str();
            if OWN_ATTRIBUTES.contains(&name) || name.starts_with("let-") {
                let message = format!("{name} without a prefix is an attribute of the message; of the mapping language it is p:{name}");
                self.faults.warn(attribute.offset, message);
            }
        }
        if group && let Some(attribute) = element.attributes.first() {
            self.faults.at(attribute.offset, "p:group writes only its content: it has no attributes of the message");
        }
    }

    /// Tells each `todo` of the expression that was compiled: a fault, but in a draft, which may have them.
    pub(super) fn undecided(&mut self, text: &Located) {
        for (at, sample) in self.scope.undecided.take() {
            let element = self.path.last().map_or("p:group", String::as_str);
            let attribute = self.attribute.as_ref().map(|name| format!("/@{name}")).unwrap_or_default();
            let message = format!("{element}{attribute} (sample {sample}) is still to be decided");
            if self.scope.draft {
                self.faults.warn(text.offset(at), message);
            } else {
                let message = format!("{message}: write the expression or the fixed text that belongs here");
                self.faults.at(text.offset(at), message);
            }
        }
    }

    /// A decision that stands before its element begins.
    pub(super) fn site_of(&mut self, element: &Element, kind: SiteKind, offset: usize, text: &str) -> SiteId {
        let id = self.site(kind, offset, text);
        self.name_site(id, if element.own.is_some() { &element.name } else { local_name(element) });
        id
    }

    /// What the own attributes make of an element of the message.
    pub(super) fn written(&mut self, element: &Element) -> Written {
        let find = |name: &str| element.own_attributes.iter().find(|attribute| attribute.name == name);
        let mut written = Written { mode: Mode::Required, otherwise: None, encoding: None };
        if find("optional").is_some() {
            written.mode = Mode::Optional;
        }
        if let Some(empty) = find("empty") {
            if written.mode == Mode::Optional {
                self.faults.at(element.offset, "p:optional leaves the element out, p:empty keeps it: choose one");
            }
            written.mode = Mode::Lenient;
            written.otherwise = Some(if empty.value.text == "null" { b"<null/>" } else { b"" });
        }
        if let Some(encode) = find("encode") {
            written.encoding = Encoding::WORDS.iter().find(|(word, _)| *word == encode.value.text).map(|(_, encoding)| *encoding);
            self.document(element, encode.offset);
        }
        written
    }

    /// What is encoded is a document of its own: one root that declares every namespace in it.
    fn document(&mut self, element: &Element, at: usize) {
        let [Node::Element(root)] = element.children.as_slice() else {
            return self.faults.at(at, "p:encode needs exactly one element in it, which is the document that is encoded");
        };
        if root.own.is_some() || root.own_attributes.iter().any(|attribute| matches!(attribute.name.as_str(), "each" | "if")) {
            self.faults.at(root.offset, "the root of an encoded document is always written, once");
        }
        if !root.name.contains(':') && !root.attributes.iter().any(|attribute| attribute.name == "xmlns") {
            self.faults.at(root.offset, "an encoded document declares its namespaces itself: xmlns=\"…\", or xmlns=\"\" for none");
        }
        self.own_prefixes(root, &mut Vec::new());
    }

    fn own_prefixes(&mut self, element: &Element, known: &mut Vec<String>) {
        let before = known.len();
        known.extend(element.attributes.iter().filter_map(|attribute| attribute.name.strip_prefix("xmlns:").map(str::to_owned)));
        if element.own.is_none() {
            let names = element.attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.offset));
            for (name, at) in names.chain([(element.name.as_str(), element.offset)]) {
                let Some((prefix, _)) = name.split_once(':').filter(|(prefix, _)| !matches!(*prefix, "xmlns" | "xml")) else { continue };
                if !known.iter().any(|known| known == prefix) {
                    self.faults.at(at, format!("an encoded document declares its namespaces itself: xmlns:{prefix} is missing inside it"));
                }
            }
        }
        for child in &element.children {
            if let Node::Element(child) = child {
                self.own_prefixes(child, known);
            }
        }
        known.truncate(before);
    }
}
