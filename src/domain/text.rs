//! The simple field types that records are made of: bounded texts, whole numbers, exact decimals,
//! dates. Each reads itself and tells what is allowed; none repeats what it was given.

use std::fmt;

use rust_decimal::Decimal;

use super::fault;
use super::ids::S10;
use super::json::Json;
use super::masked::Masked;
use super::record::{FieldType, Kind, Reader, Val};
use super::time::{Date, Timestamp};

/// A text of 1 to `MAX` characters, trimmed, without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// A text known when this program was written.
    pub fn constant(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// A text of ours, made of names that this program knows; cut at `MAX` characters.
    pub(super) fn plain(text: &str) -> Self {
        Self(text.chars().take(MAX).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> FieldType for Text<MAX> {
    fn kind() -> Kind {
        Kind::Text
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        Self(read_text(json, MAX, reader))
    }

    fn view(&self) -> Val<'_> {
        Val::Str(&self.0)
    }
}

/// Personal text (name, address, phone, e-mail, contents, secret) of 1 to `MAX` characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private<const MAX: usize>(Masked<String>);

impl<const MAX: usize> Private<MAX> {
    /// The text itself; only for what it was given for.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl<const MAX: usize> FieldType for Private<MAX> {
    fn kind() -> Kind {
        Kind::Text
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        Self(Masked::new(read_text(json, MAX, reader)))
    }

    fn view(&self) -> Val<'_> {
        Val::Str(self.0.expose())
    }
}

fn read_text(json: &Json<'_>, max: usize, reader: &mut Reader) -> String {
    let Json::Text(text) = json else {
        reader.fault(fault::WRONG_TYPE, "has to be a text");
        return String::new();
    };
    let text = text.trim();
    if text.is_empty() {
        reader.fault(fault::EMPTY, "has to hold at least one character; leave the field out instead");
    } else if text.len() > max && text.chars().count() > max {
        reader.fault(fault::TOO_LONG, format!("at most {max} characters"));
    } else if !text.chars().all(is_xml_character) {
        reader.fault(fault::CONTROL_CHARACTER, "control characters are not allowed");
    } else {
        return text.to_owned();
    }
    String::new()
}

/// Whether a character may stand in one line of an XML 1.0 text (`Char` of the recommendation,
/// without tab and line ends).
pub fn is_xml_character(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// A whole number from 0 to 10^12.
impl FieldType for u64 {
    fn kind() -> Kind {
        Kind::Integer
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        const MAX: i64 = 1_000_000_000_000;
        match json {
            Json::Integer(value @ 0..=MAX) => value.unsigned_abs(),
            Json::Integer(_) => {
                reader.fault(fault::OUT_OF_RANGE, "a whole number from 0 to 1000000000000");
                0
            }
            Json::Float(value) if value.fract() == 0.0 && (0.0..=MAX as f64).contains(value) => *value as Self,
            _ => {
                reader.fault(fault::WRONG_TYPE, "has to be a whole number");
                0
            }
        }
    }

    fn view(&self) -> Val<'_> {
        Val::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl FieldType for bool {
    fn kind() -> Kind {
        Kind::Bool
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        if let Json::Bool(value) = json {
            return *value;
        }
        reader.fault(fault::WRONG_TYPE, "has to be true or false");
        false
    }

    fn view(&self) -> Val<'_> {
        Val::Bool(*self)
    }
}

/// An exact decimal, 0 to 10^12 with at most 6 decimals; from a text (amounts always) or a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exact(pub Decimal);

/// An amount of money: a decimal *text*, 0 to 10^12 with at most 3 decimals, so that no sender's
/// floating point ever touches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub Decimal);

fn read_decimal(text: &str, decimals: u32, reader: &mut Reader) -> Decimal {
    let plain = !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = plain.then(|| Decimal::from_str_exact(text).ok()).flatten();
    match value {
        Some(value) if value.scale() <= decimals && value <= Decimal::from(1_000_000_000_000_u64) => value,
        Some(_) => {
            reader.fault(fault::OUT_OF_RANGE, format!("from 0 to 1000000000000 with at most {decimals} decimals"));
            Decimal::ZERO
        }
        None => {
            reader.fault(fault::BAD_FORMAT, "a decimal like \"12.50\": digits and one point, no sign, blank or exponent");
            Decimal::ZERO
        }
    }
}

impl FieldType for Amount {
    fn kind() -> Kind {
        Kind::Decimal
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        match json {
            Json::Text(text) => Self(read_decimal(text, 3, reader)),
            _ => {
                reader.fault(fault::WRONG_TYPE, "has to be a decimal in a text, like \"12.50\"");
                Self::default()
            }
        }
    }

    fn view(&self) -> Val<'_> {
        Val::Decimal(self.0)
    }
}

impl FieldType for Exact {
    fn kind() -> Kind {
        Kind::Decimal
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        match json {
            Json::Text(text) => Self(read_decimal(text, 6, reader)),
            Json::Integer(value) => Self(read_decimal(&value.to_string(), 6, reader)),
            Json::Float(value) => Self(read_decimal(&value.to_string(), 6, reader)),
            _ => {
                reader.fault(fault::WRONG_TYPE, "has to be a number");
                Self::default()
            }
        }
    }

    fn view(&self) -> Val<'_> {
        Val::Decimal(self.0)
    }
}

/// A calendar date, `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub Date);

impl FieldType for Day {
    fn kind() -> Kind {
        Kind::Date
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        let parsed = match json {
            Json::Text(text) if text.len() == 10 => text.parse::<Date>().ok(),
            _ => None,
        };
        parsed.map(Self).unwrap_or_else(|| {
            reader.fault(fault::BAD_FORMAT, "a date like 2026-11-20");
            Self::default()
        })
    }

    fn view(&self) -> Val<'_> {
        Val::Date(self.0)
    }
}

/// An instant, RFC 3339 with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Timestamp);

impl Default for Instant {
    fn default() -> Self {
        Self(Timestamp::UNIX_EPOCH)
    }
}

impl FieldType for Instant {
    fn kind() -> Kind {
        Kind::Timestamp
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        let parsed = match json {
            Json::Text(text) if text.len() <= 35 => text.parse::<Timestamp>().ok(),
            _ => None,
        };
        parsed.map(Self).unwrap_or_else(|| {
            reader.fault(fault::BAD_FORMAT, "an instant with its zone, like 2026-11-22T05:10:00Z (RFC 3339)");
            Self::default()
        })
    }

    fn view(&self) -> Val<'_> {
        Val::Time(self.0)
    }
}

impl FieldType for S10 {
    fn kind() -> Kind {
        Kind::Text
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        let parsed = match json {
            Json::Text(text) => Self::parse(text),
            _ => None,
        };
        parsed.unwrap_or_else(|| {
            reader.fault(fault::S10_FORMAT, "two capital letters, nine digits, a two-letter country code (UPU S10)");
            Self::default()
        })
    }

    fn view(&self) -> Val<'_> {
        Val::Str(self.as_str())
    }
}

/// An HS code as digits: 6 to `MOST` of them, 10 unless said otherwise. Dots and blanks are dropped with a warning; the original
/// stays in the stored body. Six digits are the international code, the rest is national
/// (UPU Convention Regulations ask for six since 1 September 2025).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HsCode<const MOST: usize = 10>(String);

impl<const MOST: usize> HsCode<MOST> {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> FieldType for HsCode<MOST> {
    fn kind() -> Kind {
        Kind::Text
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        let Json::Text(text) = json else {
            reader.fault(fault::WRONG_TYPE, format!("has to be a text of 6 to {MOST} digits"));
            return Self::default();
        };
        let digits: String = text.chars().filter(|c| !matches!(c, '.' | ' ')).take(MOST + 1).collect();
        if !(6..=MOST).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            reader.fault(fault::HS_FORMAT, format!("6 to {MOST} digits; only dots and blanks may stand between them"));
            return Self::default();
        }
        if digits.len() != text.len() {
            reader.warn(fault::NORMALISED, "dots and blanks were dropped");
        }
        Self(digits)
    }

    fn view(&self) -> Val<'_> {
        Val::Str(&self.0)
    }
}
