//! Compiles `p:check`: the rules that a schema cannot hold.

use super::block::Block;
use super::compile::Compiler;
use super::faults::{Located, Remark};
use super::program::{Check, Op, SiteKind};
use super::template::{self, Element, Node, Part};
use super::value::Ty;
use crate::domain::declaration::Declaration;

impl Compiler<'_, '_, '_> {
    /// A business rule: when it does not hold, a fault of the sender.
    pub(super) fn check(&mut self, element: &Element, block: &mut Block) {
        let find = |name: &str| element.attributes.iter().find(|attribute| attribute.name == name);
        const KNOWN: [&str; 3] = ["that", "code", "field"];
        for attribute in element.attributes.iter().filter(|attribute| !KNOWN.contains(&attribute.name.as_str())) {
            let remark = Remark::unknown(format!("p:check has no attribute {}", attribute.name), &attribute.name, KNOWN);
            self.faults.at(attribute.offset, remark);
        }
        for attribute in &element.own_attributes {
            self.faults.at(attribute.offset, "p:check takes that, code and field; a condition stands on a p:group around it");
        }
        let (Some(that), Some(code), Some(field)) = (find("that"), find("code"), find("field")) else {
            return self.faults.at(element.offset, "p:check needs the attributes that, code and field");
        };
        let word = &code.value.text;
        let plain = !word.is_empty() && word.len() <= 40 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain {
            self.faults.at(code.value.offset(0), "a code has small letters, digits and _");
        }
        let text = self.check_text(element);
        let field = self.check_field(&field.value);
        let (that_text, that_at) = (that.value.text.clone(), that.value.offset(0));
        if let (Some((that, _)), Some(field)) = (self.expression(&that.value), field) {
            let site = self.site_of(element, SiteKind::Check, that_at, &that_text);
            block.push(Op::Check(Box::new(Check { that, code: word.clone(), text, field, around: self.repeats.clone(), site })));
        }
    }

    fn check_text(&mut self, element: &Element) -> String {
        let mut sentence = String::new();
        for child in &element.children {
            match child {
                Node::Element(child) => self.faults.at(child.offset, "p:check holds a sentence for the sender, no elements"),
                Node::Text(text) => {
                    for part in template::split(text, self.faults) {
                        match part {
                            Part::Literal(literal) => sentence.push_str(&literal),
                            Part::Expression(located) => {
                                self.faults.at(located.offset(0), "a fault never repeats a value of the declaration: no expressions here");
                            }
                        }
                    }
                }
            }
        }
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        if sentence.is_empty() {
            self.faults.at(element.offset, "p:check holds a sentence for the sender: what is allowed, what to do");
        }
        sentence
    }

    /// `contents[].hs_code`: checked against the declaration.
    fn check_field(&mut self, value: &Located) -> Option<Vec<Option<String>>> {
        let mut steps = Vec::new();
        let mut ty = Ty::Record(Declaration::DESCRIPTOR);
        let mut at = 0;
        for part in value.text.split('.') {
            let (name, entries) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
            ty = match super::scope::field(&ty, name) {
                Ok((_, ty)) => ty,
                Err(remark) => {
                    self.faults.at(value.offset(at), remark);
                    return None;
                }
            };
            steps.push(Some(name.to_owned()));
            if entries {
                let Ty::List(of) = ty else {
                    self.faults.at(value.offset(at), format!("{name} is no list"));
                    return None;
                };
                ty = *of;
                steps.push(None);
            }
            at += part.len() + 1;
        }
        Some(steps)
    }
}
