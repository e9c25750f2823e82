//! A template compiled: runs of fixed bytes with the places of values between them.
//!
//! Every decision of a template has a [`Site`]: what coverage counts and what an explanation names.
//! A program is compiled in two forms: the plain one that messages are made by, with neighbouring
//! fixed bytes in one step, and on demand a traced one that also marks where elements begin and end.

use std::collections::HashMap;

use super::code::Code;

/// A compiled template.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub ops: Vec<Op>,
    /// How many values `p:let` and `p:each` hold at once.
    pub slots: usize,
    /// Every decision, by [`SiteId`].
    pub sites: Vec<Site>,
    /// Sites of `a if c else b` by the address of their parts, which never move.
    pub choices: HashMap<usize, SiteId>,
}

/// The place of a decision in [`Program::sites`].
pub(super) type SiteId = u32;

/// A decision of a template.
#[derive(Debug)]
pub(super) struct Site {
    pub kind: SiteKind,
    /// Offset in the template file.
    pub offset: usize,
    /// The element that it is about, as written.
    pub element: Box<str>,
    /// The condition, list or value that decides.
    pub text: Box<str>,
}

/// Kinds of decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiteKind {
    If,
    Each,
    Optional,
    OptionalAttribute,
    Empty,
    Check,
    Choice,
}

impl SiteKind {
    /// What it is called when it went one way or the other.
    pub(super) fn outcomes(self) -> [(bool, &'static str); 2] {
        match self {
            Self::If => [(true, "p:if is true"), (false, "p:if is false")],
            Self::Each => [(true, "p:each has an entry"), (false, "p:each is empty")],
            Self::Optional => [(true, "p:optional is written"), (false, "p:optional is left out")],
            Self::OptionalAttribute => [(true, "the optional attribute is written"), (false, "the optional attribute is left out")],
            Self::Empty => [(true, "p:empty has a value"), (false, "p:empty has none")],
            Self::Check => [(true, "p:check holds"), (false, "p:check fails")],
            Self::Choice => [(true, "the first value of `if … else`"), (false, "the second value of `if … else`")],
        }
    }

    /// Whether a case has to show an outcome: an empty list is no branch of its own.
    pub(super) fn counts(self, outcome: bool) -> bool {
        outcome || self != Self::Each
    }
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
    OptionalAttribute(Box<[u8]>, Vec<Piece>, SiteId),
    If(Code, Vec<Op>, SiteId),
    Let(u16, Code),
    Each(Box<Each>),
    /// An element that is left out when nothing was written between its tags.
    Optional(Box<Optional>),
    /// What stands between tags, and the bytes that stand there when it is nothing.
    Otherwise(Vec<Op>, &'static [u8], SiteId),
    /// A document of its own that is written as text.
    Encode(Vec<Op>, Encoding),
    /// Texts and values that are written together, or not at all when every value is missing.
    Together(Vec<Piece>),
    Check(Box<Check>),
    /// Traced only: an element begins here.
    Enter(Box<Mark>),
    /// Traced only: the element that began last ends here.
    Leave,
}

/// A literal or a value of a mixed text.
#[derive(Debug)]
pub(super) enum Piece {
    Literal(Box<[u8]>),
    Value(Code, Box<Place>),
}

/// Where a value is written, for faults, for escaping and for explanations.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `GoodsShipment/Commodity/Description`, or with `@name`.
    pub path: Box<str>,
    pub attribute: bool,
    /// What kind of value it takes, in words.
    pub noun: Box<str>,
    /// The expression as written.
    pub text: Box<str>,
}

/// An element of the template.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// Offset of its name in the template file.
    pub offset: usize,
    /// `GoodsShipment/Commodity/Description`
    pub path: Box<str>,
}

/// How the document in an element is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// XML with its markup escaped.
    Escaped,
    Base64,
    /// gzip (RFC 1952), then base64.
    GzipBase64,
}

impl Encoding {
    /// The words of `p:encode`.
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("escaped", Self::Escaped), ("base64", Self::Base64), ("gzip base64", Self::GzipBase64)];
}

/// A repeat.
#[derive(Debug)]
pub(super) struct Each {
    pub list: Code,
    pub entry: u16,
    pub position: u16,
    pub last: u16,
    pub body: Vec<Op>,
    pub site: SiteId,
}

/// An optional element: its start tag, what stands between, its end tag.
#[derive(Debug)]
pub(super) struct Optional {
    pub open: Vec<Op>,
    pub body: Vec<Op>,
    pub close: Box<[u8]>,
    pub site: SiteId,
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
    pub site: SiteId,
}
