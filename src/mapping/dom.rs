//! A small tree of a document from outside, within hard bounds.
//!
//! What a broker sends is hostile until read: bytes, depth, nodes, attributes and namespaces in
//! force are bounded. Here is the tree and how it grows; [`super::xml`] and [`super::json_body`]
//! read the two notations into it. Names and texts are borrowed from the input wherever nothing
//! in them had to be resolved, and all nodes lie in one list in document order: reading a notice
//! should cost little more than looking at its bytes once.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use super::reading::{Unreadable, UnreadableReason as Reason};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most elements and texts.
pub(super) const MAX_NODES: usize = 100_000;
/// So many namespaces are looked up one by one; beyond, by a table.
const FEW: usize = 32;
/// The namespaces that every document knows: none, and that of `xml:`.
const FIXED: [&str; 2] = ["", "http://www.w3.org/XML/1998/namespace"];

/// The place of a node in its document; 0 is the document itself.
pub(super) type NodeId = u32;

/// A name with its namespace, as a number of the document's table of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub namespace: u32,
    pub local: &'a str,
}

/// A node of the tree. Nodes stand in document order.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub parent: NodeId,
    /// The first child and the next sibling; 0 when there is none.
    first: NodeId,
    next: NodeId,
    /// Where it begins in the file.
    pub offset: u32,
    pub content: Content<'a>,
}

#[derive(Debug)]
pub(super) enum Content<'a> {
    Document,
    /// An element, with the place and number of its attributes.
    Element(Name<'a>, u32, u32),
    Text(Cow<'a, str>),
}

/// An attribute.
pub(super) type Attribute<'a> = (Name<'a>, Cow<'a, str>);

/// A document.
#[derive(Debug)]
pub(super) struct Dom<'a> {
    nodes: Vec<Node<'a>>,
    attributes: Vec<Attribute<'a>>,
    namespaces: Vec<Cow<'a, str>>,
}

impl<'a> Dom<'a> {
    pub(super) fn node(&self, id: NodeId) -> Option<&Node<'a>> {
        self.nodes.get(id as usize)
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn children(&self, id: NodeId) -> Children<'_, 'a> {
        Children { dom: self, next: self.node(id).map_or(0, |node| node.first) }
    }

    pub(super) fn name(&self, id: NodeId) -> Option<Name<'a>> {
        match self.node(id)?.content {
            Content::Element(name, ..) => Some(name),
            _ => None,
        }
    }

    pub(super) fn attributes(&self, id: NodeId) -> &[Attribute<'a>] {
        match self.node(id).map(|node| &node.content) {
            Some(Content::Element(_, from, count)) => self.attributes.get(*from as usize..(*from + *count) as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The namespace of a number.
    pub(super) fn uri(&self, namespace: u32) -> &str {
        self.namespaces.get(namespace as usize).map_or("", |uri| uri)
    }

    /// All text below a node, and how many nodes were looked at.
    pub(super) fn text(&self, id: NodeId) -> (Cow<'_, str>, usize) {
        let Some(node) = self.node(id) else { return (Cow::Borrowed(""), 1) };
        // Nearly every element that is asked for its text holds one text and nothing else.
        let only = match &node.content {
            Content::Text(_) => Some(node),
            _ => self.node(node.first).filter(|child| node.first != 0 && child.next == 0),
        };
        match only.map(|node| &node.content) {
            Some(Content::Text(text)) => (Cow::Borrowed(text), 2),
            None if node.first == 0 => (Cow::Borrowed(""), 1),
            _ => self.deep_text(id),
        }
    }

    fn deep_text(&self, id: NodeId) -> (Cow<'_, str>, usize) {
        let (mut text, mut looked_at) = (String::new(), 0);
        // All that lies below a node follows it.
        for below in self.below(id) {
            looked_at += 1;
            if let Some(Content::Text(part)) = self.node(below).map(|node| &node.content) {
                text.push_str(part);
            }
        }
        (Cow::Owned(text), looked_at)
    }

    /// A node and all below it, in document order.
    pub(super) fn below(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let end = self.end(id);
        id..end
    }

    /// The node that follows a node and all that lies below it.
    fn end(&self, id: NodeId) -> NodeId {
        let mut at = id;
        while let Some(node) = self.node(at) {
            if node.next != 0 {
                return node.next;
            }
            if at == 0 {
                break;
            }
            at = node.parent;
        }
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// The nodes in document order, the table of attributes, and that of namespaces.
    pub(super) fn into_parts(self) -> (Vec<Node<'a>>, Vec<Attribute<'a>>, Vec<Cow<'a, str>>) {
        (self.nodes, self.attributes, self.namespaces)
    }
}

/// The children of a node.
pub(super) struct Children<'d, 'a> {
    dom: &'d Dom<'a>,
    next: NodeId,
}

impl Iterator for Children<'_, '_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let id = self.next;
        self.next = self.dom.node(id).filter(|_| id != 0)?.next;
        Some(id)
    }
}

/// Texts that are made while a document is read (a payload taken out of its encoding) and that
/// its tree borrows from. They stay where they are: each chunk is twice as long as the one before
/// and is never moved.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    chunks: [OnceCell<Box<[OnceCell<String>]>>; 32],
    count: Cell<usize>,
}

impl Buffers {
    /// Keeps a text.
    pub(super) fn keep(&self, text: String) -> &str {
        let place = self.count.get() + 1;
        self.count.set(place);
        let chunk = place.ilog2() as usize;
        let cells = self.chunks.get(chunk).map(|cells| cells.get_or_init(|| (0..1usize << chunk).map(|_| OnceCell::new()).collect()));
        let cell = cells.and_then(|cells| cells.get(place - (1 << chunk)));
        cell.map_or("", |cell| cell.get_or_init(|| text))
    }
}

/// An element that is open.
struct Open {
    id: NodeId,
    /// Its last child so far.
    last: NodeId,
}

/// A tree that grows.
pub(super) struct Builder<'a> {
    nodes: Vec<Node<'a>>,
    attributes: Vec<Attribute<'a>>,
    namespaces: Vec<Cow<'a, str>>,
    /// Numbers of namespaces, once there are many.
    numbers: HashMap<Cow<'a, str>, u32>,
    /// Elements that are open, below the document itself.
    open: Vec<Open>,
}

impl<'a> Builder<'a> {
    /// An empty document. The namespaces of rules that will look at it have the numbers from 2,
    /// in their order: so the rules need not look them up.
    pub(super) fn new(known: &'a [String], bytes: usize) -> Self {
        let fixed = FIXED.iter().map(|uri| Cow::Borrowed(*uri));
        let namespaces = fixed.chain(known.iter().map(|uri| Cow::Borrowed(uri.as_str()))).collect();
        Self::with(namespaces, bytes / 32)
    }

    /// An empty document that knows the namespaces of another.
    pub(super) fn with(namespaces: Vec<Cow<'a, str>>, nodes: usize) -> Self {
        let mut list = Vec::with_capacity(nodes.clamp(32, MAX_NODES));
        list.push(Node { parent: 0, first: 0, next: 0, offset: 0, content: Content::Document });
        let open = vec![Open { id: 0, last: 0 }];
        Self { nodes: list, attributes: Vec::new(), namespaces, numbers: HashMap::new(), open }
    }

    /// The number of a namespace.
    pub(super) fn number(&mut self, uri: Cow<'a, str>) -> Result<u32, Unreadable> {
        let found = match self.numbers.is_empty() {
            true => self.namespaces.iter().position(|known| *known == uri).and_then(|at| u32::try_from(at).ok()),
            false => self.numbers.get(&uri).copied(),
        };
        if let Some(number) = found {
            return Ok(number);
        }
        let number = u32::try_from(self.namespaces.len()).map_err(|_| Unreadable::from(Reason::TooComplex))?;
        if self.namespaces.len() >= FEW {
            if self.numbers.is_empty() {
                // The first of two equal ones counts, as it does one by one.
                let known = self.namespaces.iter().cloned().zip(0..).collect::<Vec<_>>();
                self.numbers.extend(known.into_iter().rev());
            }
            self.numbers.insert(uri.clone(), number);
        }
        self.namespaces.push(uri);
        Ok(number)
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len() - 1
    }

    /// Whether there is nothing in the element that is open, or in the document.
    pub(super) fn is_empty(&self) -> bool {
        self.open.last().is_none_or(|open| open.last == 0)
    }

    /// The attributes that the next element will have: those from this place on.
    pub(super) fn attributes_from(&mut self) -> usize {
        self.attributes.len()
    }

    /// Adds an attribute of the next element.
    pub(super) fn attribute(&mut self, name: Name<'a>, value: Cow<'a, str>) {
        self.attributes.push((name, value));
    }

    /// The attributes from a place on.
    pub(super) fn attributes_mut(&mut self, from: usize) -> &mut [Attribute<'a>] {
        self.attributes.get_mut(from..).unwrap_or_default()
    }

    fn push(&mut self, offset: usize, content: Content<'a>) -> Result<NodeId, Unreadable> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Reason::TooComplex.into());
        }
        // Less than MAX_NODES, and bytes within 32 bits: both fit.
        let (id, offset) = (u32::try_from(self.nodes.len()).unwrap_or(u32::MAX), u32::try_from(offset).unwrap_or(u32::MAX));
        let mut parent = 0;
        if let Some(open) = self.open.last_mut() {
            parent = open.id;
            let before = if open.last == 0 { open.id } else { open.last };
            if let Some(node) = self.nodes.get_mut(before as usize) {
                *(if open.last == 0 { &mut node.first } else { &mut node.next }) = id;
            }
            open.last = id;
        }
        self.nodes.push(Node { parent, first: 0, next: 0, offset, content });
        Ok(id)
    }

    /// Opens an element; its attributes are those added from a place on.
    pub(super) fn open(&mut self, name: Name<'a>, attributes: usize, offset: usize) -> Result<NodeId, Unreadable> {
        if self.depth() >= MAX_DEPTH {
            return Err(Reason::TooComplex.into());
        }
        let number = |number: usize| u32::try_from(number).map_err(|_| Unreadable::from(Reason::TooComplex));
        let (from, count) = (number(attributes)?, number(self.attributes.len() - attributes)?);
        let id = self.push(offset, Content::Element(name, from, count))?;
        self.open.push(Open { id, last: 0 });
        Ok(id)
    }

    /// Adds a text to the element that is open.
    pub(super) fn text(&mut self, text: Cow<'a, str>, offset: usize) -> Result<(), Unreadable> {
        self.push(offset, Content::Text(text)).map(|_| ())
    }

    /// Closes the element that is open.
    pub(super) fn close(&mut self) {
        if self.depth() > 0 {
            self.open.pop();
        }
    }

    /// The document.
    pub(super) fn finish(self) -> Dom<'a> {
        Dom { nodes: self.nodes, attributes: self.attributes, namespaces: self.namespaces }
    }
}
