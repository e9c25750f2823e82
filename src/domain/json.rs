//! JSON as it came: a borrowed tree that refuses what `serde_json` lets pass.
//!
//! `serde_json` keeps the last of two equal keys and says nothing; a customs value must not be
//! chosen by such an accident. Here duplicate keys, nesting over [`MAX_DEPTH`], bad UTF-8, NaN and
//! anything after the value are malformed input (HTTP 400); what is well-formed but no declaration
//! is for [`super::record`] to tell (HTTP 422). Bytes are bounded by the caller.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: usize = 64;

const DUPLICATE: &str = "duplicate key";
const TOO_DEEP: &str = "too deep";

/// A JSON value that borrows its texts from the body where it can.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object, in the order it came; keys are unique.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why bytes are not JSON that we take. `line` and `column` count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub kind: MalformedKind,
    /// Line of the fault.
    pub line: usize,
    /// Column (bytes) of the fault.
    pub column: usize,
}

/// Kinds of malformed JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MalformedKind {
    /// No JSON text, or not UTF-8.
    Syntax,
    /// It ends too early.
    CutOff,
    /// One object has the same key twice.
    DuplicateKey,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            MalformedKind::Syntax => "not well-formed JSON in UTF-8",
            MalformedKind::CutOff => "the JSON text ends too early",
            MalformedKind::DuplicateKey => "an object has the same key twice",
            MalformedKind::TooDeep => "nested deeper than 64 levels",
        };
        write!(f, "{what}, at line {}, column {}", self.line, self.column)
    }
}

/// Reads one JSON value and nothing after it.
///
/// # Errors
/// [`Malformed`] with the place; never a part of the input.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { depth: 0 }.deserialize(&mut deserializer).and_then(|v| deserializer.end().map(|()| v));
    value.map_err(|error| {
        let text = error.to_string();
        let kind = if text.starts_with(DUPLICATE) {
            MalformedKind::DuplicateKey
        } else if text.starts_with(TOO_DEEP) || text.starts_with("recursion limit") {
            MalformedKind::TooDeep
        } else if error.is_eof() {
            MalformedKind::CutOff
        } else {
            MalformedKind::Syntax
        };
        Malformed { kind, line: error.line().max(1), column: error.column().max(1) }
    })
}

/// Reads one value at a known depth.
struct Node {
    depth: usize,
}

impl Node {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom(TOO_DEEP)) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self.deeper()?)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut object: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        let mut seen: std::collections::HashSet<Cow<'de, str>> = std::collections::HashSet::new();
        while let Some(key) = access.next_key_seed(Key)? {
            // Small objects are searched; a set only pays, and only guards against quadratic cost, in large ones.
            let repeated = if object.len() < 64 {
                object.iter().any(|(k, _)| *k == key)
            } else {
                if seen.is_empty() {
                    seen.extend(object.iter().map(|(k, _)| k.clone()));
                }
                !seen.insert(key.clone())
            };
            if repeated {
                return Err(A::Error::custom(DUPLICATE));
            }
            let value = access.next_value_seed(self.deeper()?)?;
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

/// Reads an object's key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_input_is_told_by_kind_and_place() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        for (text, kind) in [
            (br#"{"a":1,"b":{"c":1,"c":2}}"#.to_vec(), MalformedKind::DuplicateKey),
            (br#"{"a":1,"\u0061":2}"#.to_vec(), MalformedKind::DuplicateKey),
            (br#"{"a":NaN}"#.to_vec(), MalformedKind::Syntax),
            (br#"{"a":1} x"#.to_vec(), MalformedKind::Syntax),
            (b"\"\xff\"".to_vec(), MalformedKind::Syntax),
            (br#"{"a":"#.to_vec(), MalformedKind::CutOff),
            (b"".to_vec(), MalformedKind::CutOff),
            (deep(65).into_bytes(), MalformedKind::TooDeep),
            (deep(500).into_bytes(), MalformedKind::TooDeep),
        ] {
            assert_eq!(parse(&text).expect_err("malformed").kind, kind, "{}", String::from_utf8_lossy(&text));
        }
        assert!(parse(deep(64).as_bytes()).is_ok());
    }

    #[test]
    fn a_large_object_still_refuses_a_repeated_key() {
        let keys: Vec<String> = (0..200).map(|n| format!("\"k{n}\":0")).collect();
        assert!(parse(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
        let body = format!("{{{},\"k7\":1}}", keys.join(","));
        assert_eq!(parse(body.as_bytes()).expect_err("repeated").kind, MalformedKind::DuplicateKey);
    }
}
