//! A small tree of an XML document from outside, within hard bounds.
//!
//! What a broker sends is hostile until read: bytes, depth, nodes and attributes are bounded,
//! DOCTYPE and entities of its own are refused, namespaces are resolved, and white space between
//! elements is dropped. Nothing here follows a reference or opens anything.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::reading::{Unreadable, UnreadableReason as Reason};
use super::template::entity;

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most elements and texts.
const MAX_NODES: usize = 100_000;
/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 256;
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// The place of a node in its document; 0 is the document itself.
pub(super) type NodeId = u32;

/// A name with its namespace, as a number of the document's table of namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub namespace: u32,
    pub local: String,
}

/// A node of the tree. Nodes stand in document order.
#[derive(Debug)]
pub(super) struct Node {
    pub parent: NodeId,
    /// Where it begins in the file.
    pub offset: usize,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Document(Vec<NodeId>),
    Element { name: Name, attributes: Vec<(Name, String)>, children: Vec<NodeId> },
    Text(String),
}

/// A document.
#[derive(Debug)]
pub(super) struct Dom {
    nodes: Vec<Node>,
    namespaces: Vec<String>,
}

impl Dom {
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(super) fn children(&self, id: NodeId) -> &[NodeId] {
        match self.node(id).map(|node| &node.content) {
            Some(Content::Document(children) | Content::Element { children, .. }) => children,
            _ => &[],
        }
    }

    pub(super) fn name(&self, id: NodeId) -> Option<&Name> {
        match &self.node(id)?.content {
            Content::Element { name, .. } => Some(name),
            _ => None,
        }
    }

    pub(super) fn attributes(&self, id: NodeId) -> &[(Name, String)] {
        match self.node(id).map(|node| &node.content) {
            Some(Content::Element { attributes, .. }) => attributes,
            _ => &[],
        }
    }

    /// The number of a namespace in this document.
    pub(super) fn namespace(&self, uri: &str) -> Option<u32> {
        self.namespaces.iter().position(|known| known == uri).and_then(|index| u32::try_from(index).ok())
    }

    /// The namespace of a number.
    pub(super) fn uri(&self, namespace: u32) -> &str {
        self.namespaces.get(namespace as usize).map_or("", String::as_str)
    }

    /// All text below a node, and how many nodes were looked at.
    pub(super) fn text(&self, id: NodeId) -> (String, usize) {
        let (mut text, mut looked_at) = (String::new(), 0);
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            looked_at += 1;
            match self.node(id).map(|node| &node.content) {
                Some(Content::Text(part)) => text.push_str(part),
                Some(_) => open.extend(self.children(id).iter().rev()),
                None => {}
            }
        }
        (text, looked_at)
    }

    /// Reads a document of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it cannot be read; never a part of it.
    pub(super) fn read(bytes: &[u8], limit: usize) -> Result<Self, Unreadable> {
        if bytes.len() > limit {
            return Err(Reason::TooLarge.into());
        }
        let text = std::str::from_utf8(bytes).map_err(|error| match error.error_len() {
            None => Unreadable::from(Reason::CutOff),
            Some(_) => Reason::NotXml.into(),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        let mut builder = Builder::default();
        loop {
            let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            match reader.read_event() {
                Ok(Event::Eof) => return builder.finish(),
                Ok(event) => builder.event(event, before)?,
                // Every error of syntax is one of an end that came too early.
                Err(quick_xml::Error::Syntax(_)) if !builder.stack.is_empty() || !text.is_empty() && text.trim_start().starts_with('<') => {
                    return Err(Reason::CutOff.into());
                }
                Err(_) => return Err(Reason::NotXml.into()),
            }
        }
    }
}

struct Builder {
    nodes: Vec<Node>,
    stack: Vec<(NodeId, usize)>,
    /// Prefix and number of its namespace, innermost last.
    scopes: Vec<(String, u32)>,
    known: HashMap<String, u32>,
    namespaces: Vec<String>,
    pending: String,
    pending_at: usize,
}

impl Default for Builder {
    fn default() -> Self {
        let document = Node { parent: 0, offset: 0, content: Content::Document(Vec::new()) };
        let namespaces = vec![String::new(), XML_NAMESPACE.to_owned()];
        let known = namespaces.iter().zip(0..).map(|(uri, number)| (uri.clone(), number)).collect();
        let scopes = vec![(String::new(), 0), ("xml".to_owned(), 1)];
        Self { nodes: vec![document], stack: Vec::new(), scopes, known, namespaces, pending: String::new(), pending_at: 0 }
    }
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: usize) -> Result<(), Unreadable> {
        match event {
            Event::Start(start) => self.open(&start, at)?,
            Event::Empty(start) => {
                self.open(&start, at)?;
                self.close()?;
            }
            Event::End(_) => self.close()?,
            Event::Text(text) => self.text(&text, at),
            Event::CData(data) => self.text(&data, at),
            Event::GeneralRef(name) => {
                let c = entity(&name).ok_or(Reason::BadReference)?;
                self.text(c.encode_utf8(&mut [0; 4]), at);
            }
            Event::DocType(_) => return Err(Reason::Doctype.into()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str, at: usize) {
        if self.pending.is_empty() {
            self.pending_at = at;
        }
        self.pending.push_str(text);
    }

    fn push(&mut self, offset: usize, content: Content) -> Result<NodeId, Unreadable> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Reason::TooComplex.into());
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| Unreadable::from(Reason::TooComplex))?;
        let parent = self.stack.last().map_or(0, |(id, _)| *id);
        self.nodes.push(Node { parent, offset, content });
        if let Some(Node { content: Content::Document(children) | Content::Element { children, .. }, .. }) =
            self.nodes.get_mut(parent as usize)
        {
            children.push(id);
        }
        Ok(id)
    }

    fn flush(&mut self) -> Result<(), Unreadable> {
        let text = std::mem::take(&mut self.pending);
        if text.trim().is_empty() {
            return Ok(());
        }
        if self.stack.is_empty() {
            return Err(Reason::NotXml.into());
        }
        self.push(self.pending_at, Content::Text(text)).map(|_| ())
    }

    fn open(&mut self, start: &BytesStart<'_>, at: usize) -> Result<(), Unreadable> {
        self.flush()?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(Reason::TooComplex.into());
        }
        if self.stack.is_empty() && self.nodes.len() > 1 {
            return Err(Reason::NotXml.into());
        }
        let scope = self.scopes.len();
        let mut raw = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| Unreadable::from(Reason::NotXml))?;
            let value = resolve(&attribute.value)?;
            let name = attribute.key.as_ref();
            if name == "xmlns" || name.starts_with("xmlns:") {
                let number = self.number(&value)?;
                self.scopes.push((name.strip_prefix("xmlns:").unwrap_or_default().to_owned(), number));
            } else {
                raw.push((name.to_owned(), value));
            }
            if raw.len() + self.scopes.len() - scope > MAX_ATTRIBUTES {
                return Err(Reason::TooComplex.into());
            }
        }
        let name = self.name(start.name().as_ref(), true)?;
        let mut attributes: Vec<(Name, String)> = Vec::with_capacity(raw.len());
        for (raw, value) in raw {
            let name = self.name(&raw, false)?;
            if attributes.iter().any(|(known, _)| *known == name) {
                return Err(Reason::NotXml.into());
            }
            attributes.push((name, value));
        }
        let id = self.push(at, Content::Element { name, attributes, children: Vec::new() })?;
        self.stack.push((id, scope));
        Ok(())
    }

    fn number(&mut self, uri: &str) -> Result<u32, Unreadable> {
        if let Some(number) = self.known.get(uri) {
            return Ok(*number);
        }
        let number = u32::try_from(self.namespaces.len()).map_err(|_| Unreadable::from(Reason::TooComplex))?;
        self.namespaces.push(uri.to_owned());
        self.known.insert(uri.to_owned(), number);
        Ok(number)
    }

    fn name(&self, raw: &str, element: bool) -> Result<Name, Unreadable> {
        let (prefix, local) = raw.split_once(':').unwrap_or(("", raw));
        if local.is_empty() || local.contains(':') {
            return Err(Reason::NotXml.into());
        }
        if prefix.is_empty() && !element {
            return Ok(Name { namespace: 0, local: local.to_owned() });
        }
        let bound = self.scopes.iter().rev().find(|(known, _)| known == prefix);
        let (_, namespace) = bound.ok_or(Unreadable::from(Reason::NotXml))?;
        Ok(Name { namespace: *namespace, local: local.to_owned() })
    }

    fn close(&mut self) -> Result<(), Unreadable> {
        self.flush()?;
        let (_, scope) = self.stack.pop().ok_or(Unreadable::from(Reason::NotXml))?;
        self.scopes.truncate(scope);
        Ok(())
    }

    fn finish(mut self) -> Result<Dom, Unreadable> {
        if !self.stack.is_empty() {
            return Err(Reason::CutOff.into());
        }
        self.flush()?;
        if self.nodes.len() < 2 {
            return Err(Reason::NotXml.into());
        }
        Ok(Dom { nodes: self.nodes, namespaces: self.namespaces })
    }
}

/// Resolves the entities of an attribute's value.
fn resolve(raw: &str) -> Result<String, Unreadable> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        value.push_str(&rest[..at]);
        let end = rest[at..].find(';').ok_or(Unreadable::from(Reason::BadReference))? + at;
        value.push(entity(&rest[at + 1..end]).ok_or(Unreadable::from(Reason::BadReference))?);
        rest = &rest[end + 1..];
    }
    value.push_str(rest);
    Ok(value)
}
