//! Values while a message is made, and what operators mean for them.
//!
//! A value borrows from the declaration wherever it can. Decimals are exact. What is missing stays
//! missing through every operator, so that a gap is told at the element that needs the value
//! rather than filled with something wrong.

use std::cmp::Ordering;
use std::rc::Rc;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::rates::CurrencyCode;
use crate::domain::record::{ListView, Record, Val};
use crate::domain::time::{Date, Timestamp, date_of};

/// A value. Cheap to clone.
#[derive(Clone)]
pub(super) enum V<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Dec(Decimal),
    Str(&'a str),
    Owned(Rc<str>),
    Date(Date),
    Time(Timestamp),
    List(&'a dyn ListView),
    Record(&'a dyn Record),
    /// Some entries of a list, each with its index there.
    Seq(Rc<[(u32, V<'a>)]>),
    /// A record of an amount and a currency that was computed.
    Money(Decimal, CurrencyCode),
}

impl<'a> From<Val<'a>> for V<'a> {
    fn from(value: Val<'a>) -> Self {
        match value {
            Val::Missing => Self::Missing,
            Val::Bool(value) => Self::Bool(value),
            Val::Int(value) => Self::Int(value),
            Val::Decimal(value) => Self::Dec(value),
            Val::Str(text) => Self::Str(text),
            Val::Date(date) => Self::Date(date),
            Val::Time(time) => Self::Time(time),
            Val::List(list) => Self::List(list),
            Val::Record(record) => Self::Record(record),
        }
    }
}

impl<'a> V<'a> {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Owned(Rc::from(text.into()))
    }

    pub(super) fn opt(text: Option<&'a str>) -> Self {
        text.map_or(Self::Missing, Self::Str)
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// The text of a text; `None` of anything else.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Owned(text) => Some(text),
            _ => None,
        }
    }

    /// Missing, false, "", 0 and an empty list are false.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Missing => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Dec(value) => !value.is_zero(),
            Self::Str(text) => !text.is_empty(),
            Self::Owned(text) => !text.is_empty(),
            Self::Date(_) | Self::Time(_) | Self::Record(_) | Self::Money(..) => true,
            Self::List(list) => !list.is_empty(),
            Self::Seq(entries) => !entries.is_empty(),
        }
    }

    pub(super) fn number(&self) -> Option<Decimal> {
        match self {
            Self::Int(value) => Some(Decimal::from(*value)),
            Self::Dec(value) => Some(*value),
            _ => None,
        }
    }

    /// How many entries a list has; `None` of anything else.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.len()),
            Self::Seq(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// The entry at a place of a list, with its index in the declaration's list.
    pub(super) fn entry(&self, at: usize) -> (u32, V<'a>) {
        match self {
            Self::List(list) => (u32::try_from(at).unwrap_or(u32::MAX), list.get(at).into()),
            Self::Seq(entries) => entries.get(at).cloned().unwrap_or((0, Self::Missing)),
            _ => (0, Self::Missing),
        }
    }

    /// The value along some fields of a record.
    pub(super) fn get(self, steps: &[u16]) -> V<'a> {
        let mut value = self;
        for step in steps {
            value = match value {
                Self::Record(record) => record.get(usize::from(*step)).into(),
                // The fields of `Money` in their order.
                Self::Money(amount, _) if *step == 0 => Self::Dec(amount),
                Self::Money(_, currency) if *step == 1 => Self::text(currency.as_str()),
                _ => return Self::Missing,
            };
        }
        value
    }

    /// The text that is written for a value; `None` when it has none.
    pub(super) fn display(&self) -> Option<String> {
        match self {
            Self::Missing | Self::List(_) | Self::Record(_) | Self::Seq(_) | Self::Money(..) => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Dec(value) => Some(value.to_string()),
            Self::Str(text) => Some((*text).to_owned()),
            Self::Owned(text) => Some(text.to_string()),
            Self::Date(date) => Some(date.to_string()),
            Self::Time(time) => Some(format!("{time:.0}")),
        }
    }
}

/// Equality: numbers by value, dates also with their ISO text; different kinds are never equal.
pub(super) fn equal(a: &V<'_>, b: &V<'_>) -> bool {
    match (a, b) {
        (V::Missing, V::Missing) => true,
        (V::Bool(a), V::Bool(b)) => a == b,
        (V::Int(a), V::Int(b)) => a == b,
        _ => compare(a, b) == Some(Ordering::Equal),
    }
}

/// Order of two values of one kind; `None` when they have none, as with anything missing.
pub(super) fn compare(a: &V<'_>, b: &V<'_>) -> Option<Ordering> {
    match (a, b) {
        (V::Int(a), V::Int(b)) => Some(a.cmp(b)),
        (V::Int(_) | V::Dec(_), V::Int(_) | V::Dec(_)) => Some(a.number()?.cmp(&b.number()?)),
        (V::Str(_) | V::Owned(_), V::Str(_) | V::Owned(_)) => Some(a.as_str()?.cmp(b.as_str()?)),
        (V::Time(a), V::Time(b)) => Some(a.cmp(b)),
        (V::Time(_), V::Str(_) | V::Owned(_)) if b.as_str()?.len() > 10 => {
            let V::Time(time) = a else { return None };
            Some(time.cmp(&b.as_str()?.parse().ok()?))
        }
        (V::Str(_) | V::Owned(_), V::Time(_)) if a.as_str()?.len() > 10 => compare(b, a).map(Ordering::reverse),
        (V::Date(_) | V::Time(_), V::Date(_) | V::Time(_) | V::Str(_) | V::Owned(_))
        | (V::Str(_) | V::Owned(_), V::Date(_) | V::Time(_)) => Some(date(a)?.cmp(&date(b)?)),
        _ => None,
    }
}

/// The calendar date of a date, an instant (in UTC) or an ISO text.
pub(super) fn date(value: &V<'_>) -> Option<Date> {
    match value {
        V::Date(date) => Some(*date),
        V::Time(time) => Some(date_of(*time)),
        other => other.as_str().filter(|text| text.len() == 10)?.parse().ok(),
    }
}

/// Whether a list holds a value, or a text a part.
pub(super) fn contains(needle: &V<'_>, hay: &V<'_>) -> bool {
    match (hay.len(), hay.as_str(), needle.as_str()) {
        (Some(len), ..) => (0..len).any(|at| equal(needle, &hay.entry(at).1)),
        (None, Some(hay), Some(needle)) => hay.contains(needle),
        _ => false,
    }
}

/// Arithmetic operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

/// Exact arithmetic; `Err` when there is no result (division by zero, overflow), missing when an operand is.
pub(super) fn arithmetic<'a>(op: Arithmetic, a: &V<'_>, b: &V<'_>) -> Result<V<'a>, ()> {
    let (Some(left), Some(right)) = (a.number(), b.number()) else {
        return Ok(V::Missing);
    };
    let result = match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Sub => left.checked_sub(right),
        Arithmetic::Mul => left.checked_mul(right),
        Arithmetic::Div => left.checked_div(right),
    };
    let whole = matches!((a, b), (V::Int(_), V::Int(_))) && op != Arithmetic::Div;
    match (result, result.filter(|_| whole).and_then(|value| value.to_i64())) {
        (Some(_), Some(value)) => Ok(V::Int(value)),
        (Some(value), None) => Ok(V::Dec(value)),
        (None, _) => Err(()),
    }
}

/// What a value will be, as far as it is known when a mapping is loaded.
#[derive(Debug, Clone)]
pub(super) enum Ty {
    Any,
    Text,
    Choice(&'static [&'static str]),
    Int,
    Dec,
    Bool,
    Date,
    Time,
    None,
    List(Box<Ty>),
    Record(&'static crate::domain::record::Descriptor),
}

impl Ty {
    pub(super) fn of(kind: crate::domain::record::Kind) -> Self {
        use crate::domain::record::Kind;
        match kind {
            Kind::Text => Self::Text,
            Kind::Integer => Self::Int,
            Kind::Decimal => Self::Dec,
            Kind::Bool => Self::Bool,
            Kind::Date => Self::Date,
            Kind::Timestamp => Self::Time,
            Kind::Choice(words) => Self::Choice(words),
            Kind::List(of) => Self::List(Box::new(Self::of(of()))),
            Kind::Record(descriptor) => Self::Record(descriptor),
            Kind::Map(_) => Self::Any,
        }
    }

    /// The word for it in a fault.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text | Self::Choice(_) => "a text",
            Self::Int => "a whole number",
            Self::Dec => "a number",
            Self::Bool => "true or false",
            Self::Date => "a date",
            Self::Time => "an instant",
            Self::None => "nothing",
            Self::List(_) => "a list",
            Self::Record(_) => "a record",
        }
    }

    /// Whether it can be written as a text.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Record(_))
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Any | Self::None | Self::Text | Self::Choice(_))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Any | Self::None | Self::Int | Self::Dec)
    }

    pub(super) fn is_day(&self) -> bool {
        matches!(self, Self::Any | Self::None | Self::Date | Self::Time)
    }

    /// Whether two values of these kinds can be compared at all.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        let day = |ty: &Self| matches!(ty, Self::Date | Self::Time);
        match (self, other) {
            (Self::Any | Self::None, _) | (_, Self::Any | Self::None) => true,
            (a, b) if a.is_number() && b.is_number() => true,
            (a, b) if (day(a) || a.is_text()) && (day(b) || b.is_text()) => true,
            (Self::Bool, Self::Bool) => true,
            _ => false,
        }
    }

    /// What either of two kinds is.
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, ty) | (ty, Self::None) => ty,
            (Self::Choice(a), Self::Choice(b)) if a == b => Self::Choice(a),
            (Self::Text | Self::Choice(_), Self::Text | Self::Choice(_)) => Self::Text,
            (Self::Int, Self::Int) => Self::Int,
            (Self::Int | Self::Dec, Self::Int | Self::Dec) => Self::Dec,
            (Self::Bool, Self::Bool) => Self::Bool,
            (Self::Date, Self::Date) => Self::Date,
            (Self::Time, Self::Time) => Self::Time,
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(*b))),
            // By name: a description is a constant and may have several addresses in an optimised build.
            (Self::Record(a), Self::Record(b)) if a.name == b.name => Self::Record(a),
            _ => Self::Any,
        }
    }
}
