//! Compares two XML documents by what they say: names with their namespaces, attributes in any
//! order, texts; not by prefixes, indents or comments.

use quick_xml::events::Event;
use quick_xml::{Reader, Writer};

use super::dom::{Content, Dom, NodeId};
use super::faults::line_column;
use super::render::MAX_MESSAGE_BYTES;

/// The first difference of two documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The element, by local names: `MetaData/Declaration/TypeCode`.
    pub path: String,
    /// What differs.
    pub message: String,
    /// Line in the expected document.
    pub expected_line: u32,
    /// Line in the other document, as it would be indented.
    pub actual_line: u32,
}

/// Compares two documents.
///
/// # Errors
/// The first difference.
pub fn compare(expected: &[u8], actual: &[u8]) -> Result<(), Difference> {
    let shown = indented(actual);
    fn read<'c>(bytes: &'c [u8], which: &str) -> Result<Dom<'c>, Difference> {
        Dom::read(bytes, MAX_MESSAGE_BYTES).map_err(|unreadable| Difference {
            path: String::new(),
            message: format!("the {which} document cannot be read: {}", unreadable.reason),
            expected_line: 0,
            actual_line: 0,
        })
    }
    let comparison = Comparison { expected: (read(expected, "expected")?, expected), actual: (read(&shown, "made")?, &shown) };
    comparison.nodes(0, 0, "")
}

struct Comparison<'c> {
    expected: (Dom<'c>, &'c [u8]),
    actual: (Dom<'c>, &'c [u8]),
}

fn line(dom: &Dom<'_>, bytes: &[u8], node: NodeId) -> u32 {
    let offset = dom.node(node).map_or(0, |node| node.offset as usize);
    line_column(&String::from_utf8_lossy(bytes), offset).0
}

fn label(dom: &Dom<'_>, node: NodeId) -> String {
    match dom.node(node).map(|node| &node.content) {
        Some(Content::Element(name, ..)) => name.local.to_owned(),
        Some(Content::Text(text)) => format!("the text {:?}", text.trim()),
        _ => "the document".to_owned(),
    }
}

impl Comparison<'_> {
    fn differ(&self, a: NodeId, b: NodeId, path: &str, message: String) -> Result<(), Difference> {
        let (expected_line, actual_line) = (line(&self.expected.0, self.expected.1, a), line(&self.actual.0, self.actual.1, b));
        Err(Difference { path: path.to_owned(), message, expected_line, actual_line })
    }

    fn nodes(&self, a: NodeId, b: NodeId, path: &str) -> Result<(), Difference> {
        let (left, right) = (&self.expected.0, &self.actual.0);
        let (first, second): (Vec<_>, Vec<_>) = (left.children(a).collect(), right.children(b).collect());
        for index in 0..first.len().max(second.len()) {
            match (first.get(index), second.get(index)) {
                (Some(a), Some(b)) => self.pair(*a, *b, path)?,
                (Some(missing), None) => return self.differ(*missing, b, path, format!("{} is missing", label(left, *missing))),
                (None, Some(extra)) => return self.differ(a, *extra, path, format!("{} is not expected", label(right, *extra))),
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn pair(&self, a: NodeId, b: NodeId, path: &str) -> Result<(), Difference> {
        let (left, right) = (&self.expected.0, &self.actual.0);
        match (left.node(a).map(|node| &node.content), right.node(b).map(|node| &node.content)) {
            (Some(Content::Text(expected)), Some(Content::Text(actual))) if expected.trim() == actual.trim() => Ok(()),
            (Some(Content::Element(expected, ..)), Some(Content::Element(actual, ..)))
                if expected.local == actual.local && left.uri(expected.namespace) == right.uri(actual.namespace) =>
            {
                let inside = if path.is_empty() { expected.local.to_owned() } else { format!("{path}/{}", expected.local) };
                self.attributes(a, b, &inside)?;
                self.nodes(a, b, &inside)
            }
            _ => {
                let (mut expected, mut actual) = (label(left, a), label(right, b));
                if expected == actual {
                    let namespace = |dom: &Dom<'_>, id| dom.name(id).map(|name| dom.uri(name.namespace).to_owned()).unwrap_or_default();
                    expected.push_str(&format!(" {{{}}}", namespace(left, a)));
                    actual.push_str(&format!(" {{{}}}", namespace(right, b)));
                }
                self.differ(a, b, path, format!("expected {expected}, found {actual}"))
            }
        }
    }

    fn attributes(&self, a: NodeId, b: NodeId, path: &str) -> Result<(), Difference> {
        let list = |dom: &Dom<'_>, id: NodeId| {
            let attributes = dom.attributes(id).iter();
            let mut list: Vec<_> =
                attributes.map(|(name, value)| (dom.uri(name.namespace).to_owned(), name.local.to_owned(), value.to_string())).collect();
            list.sort();
            list
        };
        let (expected, actual) = (list(&self.expected.0, a), list(&self.actual.0, b));
        if expected == actual {
            return Ok(());
        }
        let show = |list: &[(String, String, String)]| {
            let list: Vec<_> = list.iter().map(|(_, name, value)| format!("{name}={value:?}")).collect();
            if list.is_empty() { "no attributes".to_owned() } else { list.join(" ") }
        };
        self.differ(a, b, path, format!("expected {}, found {}", show(&expected), show(&actual)))
    }
}

/// A document with one element in each line; as it is when it cannot be read.
pub fn indented(bytes: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(Event::Text(text)) if text.trim().is_empty() => {}
            Ok(event) => {
                if writer.write_event(event).is_err() {
                    return bytes.to_vec();
                }
            }
            Err(_) => return bytes.to_vec(),
        }
    }
    let mut out = writer.into_inner();
    out.push(b'\n');
    out
}
