//! Reads a template file into elements with their places. Knows XML and namespaces, nothing of
//! what the `p:` names mean.
//!
//! White space between elements, comments and processing instructions are dropped. DOCTYPE and
//! entities of one's own are refused: a template is data, not a program for an XML parser.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::faults::{FileFaults, Located, Remark, line_column};

/// The namespace of the template's own attributes and elements.
pub const NAMESPACE: &str = "urn:preclear:mapping:1";
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// Deepest nesting of a template.
const MAX_DEPTH: usize = 64;
/// Most elements of a template.
const MAX_ELEMENTS: usize = 20_000;
/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 256;
/// Largest template, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// An element of a template.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Its name as written, with its prefix.
    pub name: String,
    /// Its name without prefix when it is one of ours (`p:group`).
    pub own: Option<String>,
    /// Where its name stands in the file.
    pub offset: usize,
    /// Attributes that are written, namespaces included.
    pub attributes: Vec<Attribute>,
    /// Attributes of our namespace, by their local names.
    pub own_attributes: Vec<Attribute>,
    pub children: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub name: String,
    pub offset: usize,
    pub value: Located,
}

#[derive(Debug)]
pub(super) enum Node {
    Element(Element),
    Text(Located),
}

/// A template: its root, and whether it begins with an XML declaration.
#[derive(Debug)]
pub(super) struct Template {
    pub declaration: bool,
    pub root: Element,
}

struct Builder<'f, 't> {
    text: &'t str,
    faults: &'f mut FileFaults<'t>,
    stack: Vec<(Element, usize)>,
    namespaces: Vec<(String, String)>,
    pending: Located,
    root: Option<Element>,
    declaration: bool,
    elements: usize,
}

/// Reads a template; faults are added, and `None` is given when there is nothing to go on with.
pub(super) fn read<'t>(text: &'t str, faults: &mut FileFaults<'t>) -> Option<Template> {
    if text.len() > MAX_BYTES {
        faults.at(0, format!("a template may have {MAX_BYTES} bytes at most"));
        return None;
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    reader.config_mut().allow_unmatched_ends = false;
    let namespaces = vec![("xml".to_owned(), XML_NAMESPACE.to_owned())];
    let mut builder =
        Builder { text, faults, stack: Vec::new(), namespaces, pending: Located::default(), root: None, declaration: false, elements: 0 };
    loop {
        let before = offset(reader.buffer_position());
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                let at = offset(reader.error_position()).max(before.min(text.len()));
                let open = builder.unclosed().filter(|_| matches!(error, quick_xml::Error::IllFormed(_)));
                let open = open.map(|open| format!(": {open}")).unwrap_or_default();
                builder.faults.at(at, format!("this is not well-formed XML: {error}{open}"));
                return builder.closed();
            }
        };
        if matches!(event, Event::Eof) {
            break;
        }
        builder.event(event, before)?;
    }
    builder.finish()
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

impl<'t> Builder<'_, 't> {
    fn event(&mut self, event: Event<'t>, before: usize) -> Option<()> {
        match event {
            Event::Start(start) => self.open(&start, before)?,
            Event::Empty(start) => {
                self.open(&start, before)?;
                self.close();
            }
            Event::End(_) => self.close(),
            Event::Text(text) => self.pending.push_str(&text, before),
            Event::GeneralRef(name) => match entity(&name) {
                Some(c) => self.pending.push_str(c.encode_utf8(&mut [0; 4]), before),
                None => self.faults.at(before, "only &lt; &gt; &amp; &quot; &apos; and character references are known"),
            },
            Event::CData(data) => {
                // Braces in CDATA are text: doubled, as they are written elsewhere.
                let doubled = data.replace('{', "{{").replace('}', "}}");
                self.pending.push_str(&doubled, before + "<![CDATA[".len());
            }
            Event::DocType(_) => {
                self.faults.at(before, "DOCTYPE is not allowed");
                return None;
            }
            Event::Decl(_) => self.declaration = true,
            Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        Some(())
    }

    fn open(&mut self, start: &BytesStart<'t>, before: usize) -> Option<()> {
        self.flush();
        self.elements += 1;
        if self.stack.len() >= MAX_DEPTH || self.elements > MAX_ELEMENTS {
            self.faults.at(before, format!("at most {MAX_DEPTH} levels and {MAX_ELEMENTS} elements"));
            return None;
        }
        let mut element = Element { name: start.name().as_ref().to_owned(), offset: before + 1, ..Element::default() };
        let scope = self.namespaces.len();
        let raw = self.attributes(start, before);
        for attribute in &raw {
            self.declare(attribute);
        }
        element.own = self.is_own(&element.name.clone(), element.offset, true);
        let mut expanded: Vec<(String, String)> = Vec::new();
        for attribute in raw {
            let (prefix, local) = attribute.name.split_once(':').unwrap_or(("", &attribute.name));
            if attribute.value.text == NAMESPACE && (attribute.name == "xmlns" || prefix == "xmlns") {
                continue;
            }
            if prefix != "xmlns" && !prefix.is_empty() {
                let key = (self.namespace(prefix).unwrap_or_default().to_owned(), local.to_owned());
                if expanded.contains(&key) {
                    self.faults.at(attribute.offset, format!("the attribute {} stands twice", attribute.name));
                }
                expanded.push(key);
            }
            match self.is_own(&attribute.name, attribute.offset, false) {
                Some(local) => element.own_attributes.push(Attribute { name: local, ..attribute }),
                None => element.attributes.push(attribute),
            }
        }
        self.stack.push((element, scope));
        Some(())
    }

    fn attributes(&mut self, start: &BytesStart<'t>, before: usize) -> Vec<Attribute> {
        let mut list = Vec::new();
        for attribute in start.attributes() {
            match attribute {
                Ok(attribute) => {
                    let name = attribute.key.as_ref().to_owned();
                    // The value is borrowed from the event, which borrows from the file.
                    let place = start.attributes_raw();
                    let at = place.find(attribute.key.as_ref()).unwrap_or(0);
                    let base = before + 1 + start.name().as_ref().len();
                    let inside = |part: &str| (part.as_ptr() as usize).wrapping_sub(place.as_ptr() as usize);
                    let exact = |part: &str, otherwise: usize| if inside(part) <= place.len() { inside(part) } else { otherwise };
                    if let Some(bracket) = attribute.value.find('<') {
                        let at = base + exact(&attribute.value, at) + bracket;
                        self.faults.at(at, "a < in an attribute's value is written &lt;");
                    }
                    let value = self.resolve(&attribute.value, base + exact(&attribute.value, at));
                    list.push(Attribute { offset: base + exact(attribute.key.as_ref(), at), name, value });
                }
                Err(error) => self.faults.at(before, format!("attributes: {error}")),
            }
            if list.len() > MAX_ATTRIBUTES {
                self.faults.at(before, format!("at most {MAX_ATTRIBUTES} attributes"));
                break;
            }
        }
        list
    }

    /// Resolves the entities of an attribute's value.
    fn resolve(&mut self, raw: &str, base: usize) -> Located {
        let mut located = Located::default();
        let mut at = 0;
        while let Some(next) = raw[at..].find('&') {
            located.push_str(&raw[at..at + next], base + at);
            let from = at + next;
            let end = raw[from..].find(';').map(|end| from + end);
            match end.and_then(|end| entity(&raw[from + 1..end]).map(|c| (c, end))) {
                Some((c, end)) => {
                    located.push_str(c.encode_utf8(&mut [0; 4]), base + from);
                    at = end + 1;
                }
                None => {
                    self.faults.at(base + from, "only &lt; &gt; &amp; &quot; &apos; and character references are known");
                    at = from + 1;
                }
            }
        }
        located.push_str(&raw[at..], base + at);
        if located.text.contains(['\n', '\t', '\r']) {
            located.text = located.text.replace(['\n', '\t', '\r'], " ");
        }
        located
    }

    fn declare(&mut self, attribute: &Attribute) {
        let prefix = attribute.name == "xmlns" || attribute.name.starts_with("xmlns:");
        if prefix && is_nearly_ours(&attribute.value.text) {
            let suggestion = Some(NAMESPACE.to_owned());
            self.faults.at(attribute.value.offset(0), Remark { message: "this is not the namespace of mappings".to_owned(), suggestion });
        }
        if attribute.name == "xmlns" {
            self.namespaces.push((String::new(), attribute.value.text.clone()));
        } else if let Some(prefix) = attribute.name.strip_prefix("xmlns:") {
            if attribute.value.text.is_empty() {
                self.faults.at(attribute.offset, "a prefix needs a namespace");
            }
            self.namespaces.push((prefix.to_owned(), attribute.value.text.clone()));
        }
    }

    fn namespace(&self, prefix: &str) -> Option<&str> {
        self.namespaces.iter().rev().find(|(known, _)| known == prefix).map(|(_, uri)| uri.as_str())
    }

    /// The local name when a name is of our namespace; tells unbound prefixes.
    fn is_own(&mut self, name: &str, at: usize, element: bool) -> Option<String> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if prefix == "xmlns" || (prefix.is_empty() && !element) {
            return None;
        }
        match self.namespace(prefix) {
            Some(NAMESPACE) => Some(local.to_owned()),
            None if !prefix.is_empty() => {
                self.faults.at(at, format!("the prefix {prefix} has no namespace: declare xmlns:{prefix}"));
                None
            }
            _ => None,
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.pending);
        if text.text.trim().is_empty() {
            return;
        }
        match self.stack.last_mut() {
            Some((parent, _)) => parent.children.push(Node::Text(text)),
            None => self.faults.at(text.offset(0), "text outside the root element"),
        }
    }

    fn close(&mut self) {
        self.flush();
        let Some((element, scope)) = self.stack.pop() else { return };
        self.namespaces.truncate(scope);
        match self.stack.last_mut() {
            Some((parent, _)) => parent.children.push(Node::Element(element)),
            None if self.root.is_some() => self.faults.at(element.offset, "a message has one root element"),
            None => self.root = Some(element),
        }
    }

    fn finish(mut self) -> Option<Template> {
        self.flush();
        if let Some(open) = self.unclosed() {
            self.faults.at(self.text.len(), open);
        } else if self.root.is_none() {
            self.faults.at(0, "a template has one root element");
        }
        self.closed()
    }

    fn unclosed(&self) -> Option<String> {
        let (open, _) = self.stack.last()?;
        let (line, column) = line_column(self.text, open.offset);
        Some(format!("<{}> at {line}:{column} is not closed", open.name))
    }

    /// What was read, with everything closed: what stands before a break is judged all the same.
    fn closed(mut self) -> Option<Template> {
        while !self.stack.is_empty() {
            self.close();
        }
        self.root.map(|root| Template { declaration: self.declaration, root })
    }
}

/// Whether a namespace was meant to be ours: with a slip, without its version, or with another one. What is written in
/// a namespace of somebody else would go to the broker.
fn is_nearly_ours(namespace: &str) -> bool {
    let family = NAMESPACE.trim_end_matches("1");
    namespace != NAMESPACE
        && (namespace.to_ascii_lowercase().starts_with(family.trim_end_matches(':'))
            || strsim::damerau_levenshtein(namespace, NAMESPACE) <= 4)
}

/// The character of an entity or character reference, without `&` and `;`.
pub(super) fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => match name.strip_prefix('#')? {
            hexadecimal if hexadecimal.starts_with('x') => number(&hexadecimal[1..], 16)?,
            decimal => number(decimal, 10)?,
        },
    };
    let allowed = matches!(character, '\t' | '\n' | '\r') || (character >= ' ' && !matches!(character, '\u{fffe}' | '\u{ffff}'));
    allowed.then_some(character)
}

/// A part of a text or attribute value.
#[derive(Debug)]
pub(super) enum Part {
    Literal(String),
    Expression(Located),
}

/// Splits a text into literals and `{expressions}`; `{{` and `}}` are braces.
pub(super) fn split(located: &Located, faults: &mut FileFaults<'_>) -> Vec<Part> {
    let text = located.text.as_str();
    let bytes = text.as_bytes();
    let (mut parts, mut literal, mut at) = (Vec::new(), String::new(), 0);
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'{', Some(b'{')) | (b'}', Some(b'}')) => {
                literal.push(bytes[at] as char);
                at += 2;
            }
            (b'{', _) => {
                let Some(end) = closing(bytes, at + 1) else {
                    faults.at(located.offset(at), "this { is not closed; {{ writes a brace");
                    break;
                };
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Expression(located.slice(at + 1, end)));
                at = end + 1;
            }
            (b'}', _) => {
                faults.at(located.offset(at), "this } closes nothing; }} writes a brace");
                at += 1;
            }
            _ => {
                let end = bytes[at..].iter().position(|b| matches!(b, b'{' | b'}')).map_or(bytes.len(), |next| at + next);
                literal.push_str(&text[at..end]);
                at = end;
            }
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// The brace that closes an expression, outside its quoted texts.
fn closing(bytes: &[u8], from: usize) -> Option<usize> {
    let mut quote = None;
    let mut at = from;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'}') => return Some(at),
            (None, b'\'' | b'"') => quote = Some(bytes[at]),
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
        at += 1;
    }
    None
}
