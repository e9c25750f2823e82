//! A template compiled: runs of fixed bytes with the places of values between them.

use super::code::Code;

/// A compiled template.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub ops: Vec<Op>,
    /// How many values `p:let` and `p:each` hold at once.
    pub slots: usize,
    /// Whether something is converted to another currency.
    pub converts: bool,
}

/// One step of writing a message.
#[derive(Debug)]
pub(super) enum Op {
    /// Fixed bytes, already escaped.
    Bytes(Box<[u8]>),
    /// A value that has to be there.
    Value(Code, Box<Place>),
    /// A value that is written when it is there.
    Lenient(Code, Box<Place>),
    /// An attribute that is left out unless all its values are there.
    OptionalAttribute(Box<[u8]>, Vec<Piece>, Box<Place>),
    If(Code, Vec<Op>),
    Let(u16, Code),
    Each(Box<Each>),
    /// An element that is left out when nothing was written between its tags.
    Optional(Box<Optional>),
    /// Texts and values that are written together, or not at all when every value is missing.
    Together(Vec<Piece>, Box<Place>),
    Check(Box<Check>),
}

/// A literal or a value of a mixed text.
#[derive(Debug)]
pub(super) enum Piece {
    Literal(Box<[u8]>),
    Value(Code),
}

/// Where a value is written, for faults and for escaping.
#[derive(Debug)]
pub(super) struct Place {
    /// `GoodsShipment/Commodity/Description`, or with `@name`.
    pub path: Box<str>,
    pub attribute: bool,
    /// What kind of value it takes, in words.
    pub noun: Box<str>,
}

/// A repeat.
#[derive(Debug)]
pub(super) struct Each {
    pub list: Code,
    pub entry: u16,
    pub position: u16,
    pub last: u16,
    pub body: Vec<Op>,
}

/// An optional element: its start tag, what stands between, its end tag.
#[derive(Debug)]
pub(super) struct Optional {
    pub open: Vec<Op>,
    pub body: Vec<Op>,
    pub close: Box<[u8]>,
}

/// A business rule.
#[derive(Debug)]
pub(super) struct Check {
    pub that: Code,
    pub code: String,
    pub text: String,
    /// The declaration's field: names, `None` for every entry of a list.
    pub field: Vec<Option<String>>,
    /// Lists of the repeats around it with the slot of their entry, outermost first.
    pub around: Vec<u16>,
}
