//! Expressions as they are run: names resolved to field indexes, calls to their table entries.

use std::sync::Arc;

use rust_decimal::{Decimal, RoundingStrategy};

use super::codes::CodeList;
use super::functions::Call;
use super::value::Arithmetic;

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// The declaration.
    Declaration,
    /// A party in effect: the stated one, else another.
    Effective {
        stated: u16,
        otherwise: u16,
    },
    /// A `p:let`, the entry of a `p:each`, `position` or `last`.
    Slot(u16),
    Setting(u16),
    Lrn,
    MessageId,
    ConversationId,
    CreatedAt,
    PostCode,
    PostName,
    Mrn,
    ReasonCode,
    ReasonText,
    Previous,
    Changes,
    Broker,
}

/// `<`, `<=`, `>`, `>=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An expression.
#[derive(Debug)]
pub(super) enum Code {
    None,
    Bool(bool),
    Int(i64),
    Dec(Decimal),
    Text(Box<str>),
    Root(Root),
    /// Fields of a record by their indexes, and the same as a JSON pointer.
    Get(Box<Code>, Box<[u16]>, Box<str>),
    Index(Box<Code>, usize),
    Not(Box<Code>),
    And(Box<Code>, Box<Code>),
    Or(Box<Code>, Box<Code>),
    Equal(Box<Code>, Box<Code>),
    Order(Order, Box<Code>, Box<Code>),
    In(Box<Code>, Box<Code>),
    /// Condition, then, else.
    If(Box<[Code; 3]>),
    Arithmetic(Arithmetic, Box<Code>, Box<Code>),
    Concat(Vec<Code>),
    List(Vec<Code>),
    Call(Box<CallCode>),
}

impl Code {
    /// The parts that an expression is made of, in the order they are written.
    pub(super) fn parts(&self) -> Vec<&Code> {
        match self {
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Dec(_) | Self::Text(_) | Self::Root(_) => Vec::new(),
            Self::Get(inner, ..) | Self::Index(inner, _) | Self::Not(inner) => vec![inner],
            Self::And(a, b) | Self::Or(a, b) | Self::Equal(a, b) | Self::In(a, b) => vec![a, b],
            Self::Order(_, a, b) | Self::Arithmetic(_, a, b) => vec![a, b],
            Self::If(parts) => vec![&parts[1], &parts[0], &parts[2]],
            Self::Concat(parts) | Self::List(parts) => parts.iter().collect(),
            Self::Call(call) => call.args.iter().collect(),
        }
    }

    /// Tells the address of each `a if c else b` in the expression, by which [`address`] knows it again.
    pub(super) fn choices(&self, tell: &mut impl FnMut(usize)) {
        if let Self::If(parts) = self {
            tell(address(parts));
        }
        for part in self.parts() {
            part.choices(tell);
        }
    }
}

/// The address of the parts of a choice. They are boxed and never moved while the program lives.
pub(super) fn address(parts: &[Code; 3]) -> usize {
    std::ptr::from_ref(parts).addr()
}

/// A call of one of our functions, with what its written-out arguments say.
#[derive(Debug)]
pub(super) struct CallCode {
    pub call: Call,
    /// The arguments that are values.
    pub args: Vec<Code>,
    /// The field that the function looks at.
    pub field: Box<[u16]>,
    /// Whole numbers, in order.
    pub whole: [Option<u32>; 2],
    pub rounding: RoundingStrategy,
    pub form: Form,
    pub codes: Option<Arc<CodeList>>,
}

/// Forms of dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Iso,
    /// `yyyymmdd`
    Form102,
    /// `yyyymmddhhmmssZ`
    Form304,
    /// Parts like `%y%m%d`.
    Parts(Box<str>),
}
