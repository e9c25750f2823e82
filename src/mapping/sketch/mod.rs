//! A first template from a sample of the broker's message.
//!
//! Every value of the sample becomes a place: a proposal where its name, its neighbours and its form tell what it
//! is, else `{todo('…')}`, which writes the sample's value until somebody decides. A proposal is never certain: the
//! sample's value stands beside it in a comment.

mod names;
mod recognise;

use names::Name;
use recognise::{Context, propose};

use super::faults::{FileFaults, MappingFault};
use super::template::{self, Element, Node};

/// Longest value that a place repeats, in bytes; a longer one (a document, a signature) stays as it is.
const MAX_VALUE: usize = 400;

/// A template made from a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// The template.
    pub template: String,
    /// Places with a proposal.
    pub proposed: usize,
    /// Places that are still to be decided.
    pub undecided: usize,
}

/// Makes a template from a sample message.
///
/// # Errors
/// Where the sample is no well-formed XML in UTF-8, or has a DOCTYPE.
pub fn sketch(name: &str, sample: &str) -> Result<Sketch, Vec<MappingFault>> {
    let sample = sample.strip_prefix('\u{feff}').unwrap_or(sample);
    let mut faults = FileFaults::new(name, sample);
    let root = template::read(sample, &mut faults).map(|template| template.root);
    let found = faults.into_vec();
    let Some(root) = root.filter(|_| found.is_empty()) else { return Err(found) };
    let mut writer = Writer {
        sketch: Sketch { template: String::new(), proposed: 0, undecided: 0 },
        path: Vec::new(),
        line: None,
        counting: Vec::new(),
        two_lines: false,
    };
    writer.sketch.template.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    writer.element(&root, 0, 1);
    Ok(writer.sketch)
}

struct Writer {
    sketch: Sketch,
    path: Vec<Name>,
    /// How deep the element lies that is repeated for each line of the contents.
    line: Option<usize>,
    /// Names in the repeated element whose values count it: 1, 2, 3.
    counting: Vec<String>,
    /// Whether the address that is being written has a second line.
    two_lines: bool,
}

impl Writer {
    /// Writes an element that stands for `count` of its name in the sample.
    fn element(&mut self, element: &Element, depth: usize, count: usize) {
        let indent = "  ".repeat(depth);
        let is_line = depth > 0 && self.line.is_none() && (count > 1 && describes(element) || is_line(element));
        if is_line {
            self.line = Some(depth);
            if count > 1 {
                self.push(&format!("{indent}<!-- {count} of these in the sample: one for each line of the contents -->\n"));
            }
        }
        self.path.push(Name::new(&element.name));
        self.push(&format!("{indent}<{}", element.name));
        let mut samples = Vec::new();
        for attribute in &element.attributes {
            let plain = attribute.name.starts_with("xmlns") || attribute.name.starts_with("xsi:");
            let value = &attribute.value.text;
            let shown = if plain { escape(&braces(value)) } else { self.place(&attribute.name, value, &mut samples) };
            self.push(&format!(" {}=\"{shown}\"", attribute.name));
        }
        if depth == 0 {
            self.push(&format!(" xmlns:p=\"{}\"", template::NAMESPACE));
        }
        if is_line {
            self.push(" p:each=\"line in contents\"");
        }
        if let [Node::Text(text)] = element.children.as_slice() {
            // Few addresses have a second line: without one its element stays away.
            if self.proposal(&element.name, text.text.trim()).is_some_and(|proposal| proposal.starts_with("entry(")) {
                self.push(" p:optional=\"true\"");
            }
        }
        self.content(element, depth, samples);
        self.path.pop();
        if is_line {
            self.line = None;
        }
    }

    fn content(&mut self, element: &Element, depth: usize, mut samples: Vec<String>) {
        let name = element.name.clone();
        if element.children.is_empty() {
            self.push("/>");
        } else if let [Node::Text(text)] = element.children.as_slice() {
            let place = self.place(&name, text.text.trim(), &mut samples);
            self.push(&format!(">{place}</{}>", element.name));
        } else {
            self.push(">\n");
            self.children(element, depth + 1);
            self.push(&format!("{}</{}>", "  ".repeat(depth), element.name));
        }
        if !samples.is_empty() {
            self.push(&format!(" <!-- sample: {} -->", samples.join(", ")));
        }
        self.push("\n");
    }

    fn children(&mut self, element: &Element, depth: usize) {
        let named = |node: &Node| matches!(node, Node::Element(child) if recognise::names_second_line(&Name::new(&child.name)));
        let around = std::mem::replace(&mut self.two_lines, element.children.iter().any(named));
        let mut rest = element.children.as_slice();
        while let Some((first, others)) = rest.split_first() {
            rest = others;
            match first {
                Node::Text(text) => {
                    let mut samples = Vec::new();
                    let place = self.place("", text.text.trim(), &mut samples);
                    self.push(&format!("{}{place}\n", "  ".repeat(depth)));
                }
                Node::Element(child) => {
                    let alike = others.iter().take_while(|node| matches!(node, Node::Element(next) if next.name == child.name)).count();
                    let lines = alike > 0 && self.line.is_none() && describes(child);
                    if lines {
                        self.counting = counting(child, others.get(..alike).unwrap_or_default());
                        rest = others.get(alike..).unwrap_or_default();
                    }
                    self.element(child, depth, if lines { alike + 1 } else { 1 });
                }
            }
        }
        self.two_lines = around;
    }

    /// What is recognised in a value.
    fn proposal(&self, name: &str, value: &str) -> Option<String> {
        let in_line = self.line.is_some();
        let counts = in_line && self.counting.iter().any(|known| known == name);
        propose(&Context { path: &self.path, name: &Name::new(name), value, in_line, counts, two_lines: self.two_lines })
    }

    /// What stands in the place of a value.
    fn place(&mut self, name: &str, value: &str, samples: &mut Vec<String>) -> String {
        if value.is_empty() {
            return String::new();
        }
        if let Some(expression) = self.proposal(name, value) {
            self.sketch.proposed += 1;
            samples.push(value.replace("--", "- -"));
            return format!("{{{}}}", escape(&expression));
        }
        if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            return escape(&braces(value));
        }
        self.sketch.undecided += 1;
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        format!("{{todo('{}')}}", escape(&quoted))
    }

    fn push(&mut self, text: &str) {
        self.sketch.template.push_str(text);
    }
}

fn braces(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Whether something in an element describes goods: a description, or a commodity code.
fn describes(element: &Element) -> bool {
    element.children.iter().any(|child| match child {
        Node::Text(_) => recognise::describes_goods(&Name::new(&element.name)),
        Node::Element(child) => describes(child),
    })
}

/// Whether an element looks like one line of the contents by its name, and no element in it does so better.
fn is_line(element: &Element) -> bool {
    let inner = element.children.iter().filter_map(|child| match child {
        Node::Element(child) => Some(child),
        Node::Text(_) => None,
    });
    recognise::names_a_line(&Name::new(&element.name))
        && inner.clone().count() > 1
        && describes(element)
        && !inner.into_iter().any(contains_line)
}

fn contains_line(element: &Element) -> bool {
    is_line(element) || element.children.iter().any(|child| matches!(child, Node::Element(child) if contains_line(child)))
}

/// Names of what counts a repeated element: attributes and elements with one text, which are 1, 2, 3 in its order.
fn counting(first: &Element, others: &[Node]) -> Vec<String> {
    let value = |element: &Element, name: &str| {
        let attribute = element.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.value.text.clone());
        attribute.or_else(|| {
            element.children.iter().find_map(|node| match node {
                Node::Element(child) if child.name == name => match child.children.as_slice() {
                    [Node::Text(text)] => Some(text.text.trim().to_owned()),
                    _ => None,
                },
                _ => None,
            })
        })
    };
    let mut names: Vec<&str> = first.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    names.extend(first.children.iter().filter_map(|node| match node {
        Node::Element(child) => Some(child.name.as_str()),
        Node::Text(_) => None,
    }));
    let counts = |name: &&str| {
        let mut elements = others.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        });
        let is =
            |element: &Element, place: usize| value(element, name).is_some_and(|value| value.trim_start_matches('0') == place.to_string());
        !others.is_empty() && is(first, 1) && elements.by_ref().zip(2..).all(|(element, place)| is(element, place))
    };
    names.into_iter().filter(counts).map(str::to_owned).collect()
}
