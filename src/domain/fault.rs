//! Faults of an input: where (JSON pointer), what (a code of a closed table), what is allowed.
//!
//! All faults of one request are told at once. A fault never repeats a value of the input: the
//! pointer says where, the detail says what is allowed (promise P10). The list is bounded, so a
//! hostile body cannot grow an answer without end.

use std::borrow::Cow;

use serde::Serialize;

/// More faults than this in one input are counted, not listed.
pub const MAX_FAULTS: usize = 256;

/// One fault, warning or note about one place of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// RFC 6901 pointer into the body ("" is the whole body); of a member's name too when the name is the fault.
    pub pointer: String,
    /// A code of [`CODES`], or of the mapping's own `p:check`.
    pub code: Cow<'static, str>,
    /// What is allowed or what to do; never a value of the input.
    pub detail: Cow<'static, str>,
}

impl Fault {
    /// A fault at a place.
    pub fn new(pointer: impl Into<String>, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

macro_rules! fault_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $meaning:literal;)*) => {
        $($(#[$doc])* #[doc = $meaning] pub const $name: &str = $code;)*
        /// Every code that `errors[].code` and `warnings[].code` can hold, with its meaning.
        pub const CODES: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

fault_codes! {
    REQUIRED = "required", "the field has to be given";
    UNKNOWN_FIELD = "unknown_field", "no such field; the detail names the nearest one";
    WRONG_TYPE = "wrong_type", "the value has another JSON type than the field asks for";
    UNKNOWN_VALUE = "unknown_value", "the value is not one of the allowed words";
    TOO_LONG = "too_long", "the text has more characters than the field holds";
    TOO_MANY = "too_many", "the list has more entries than allowed";
    EMPTY = "empty", "the text is empty or only blanks";
    CONTROL_CHARACTER = "control_character", "the text holds a character that no XML message can carry";
    OUT_OF_RANGE = "out_of_range", "the number or date is outside what is allowed";
    BAD_FORMAT = "bad_format", "the value does not have the form that the detail names";
    S10_FORMAT = "s10_format", "not two letters, nine digits and a country code (UPU S10)";
    S10_CHECK_DIGIT = "s10_check_digit", "the check digit of the S10 identifier is wrong";
    S10_INDICATOR = "s10_indicator", "the service indicator is reserved or does not fit the mail class";
    S10_COUNTRY = "s10_country", "the issuing country of the S10 identifier is not one that this post may declare";
    UNKNOWN_COUNTRY = "unknown_country", "not an ISO 3166-1 alpha-2 country code";
    UNKNOWN_CURRENCY = "unknown_currency", "not a current ISO 4217 currency code";
    HS_FORMAT = "hs_format", "an HS code is 6 to 10 digits, a national tariff code 6 to 14";
    WEIGHT_SUM = "weight_sum", "the lines weigh more than the item's gross weight";
    CONDITION = "condition", "required because of another field, which the detail names";
    CONFLICT = "conflict", "contradicts another field, which the detail names";
    NORMALISED = "normalised", "warning: the value was normalised; the original is kept";
    VAGUE_DESCRIPTION = "vague_description", "warning: the description is a general word; customs may refuse it";
    SHORTENED = "shortened", "warning: the mapping shortened the text by its recorded rule";
    TRANSLITERATED = "transliterated", "warning: the mapping wrote the text in Latin letters for the broker; the declaration keeps the original";
    REPLACED = "replaced", "warning: the mapping left out or replaced characters that the broker's format does not take";
    MAPPING_MISSING = "mapping_missing", "the broker's format needs a value that the declaration does not give";
    MAPPING_CODE = "mapping_code", "the value is not in the code list of the broker's format";
    MAPPING_VALUE = "mapping_value", "the broker's format cannot hold this value";
    MAPPING_SCHEMA = "mapping_schema", "the message would break the broker's official schema; the detail names the place in the mapping and what is allowed";
    UNKNOWN_BROKER = "unknown_broker", "the broker is not one of those that this post may choose";
    IMMUTABLE = "immutable", "the field cannot be changed by an amendment";
}

/// A bounded list of faults.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    list: Vec<Fault>,
    dropped: usize,
}

impl Faults {
    /// Adds a fault; beyond [`MAX_FAULTS`] it is only counted.
    pub fn push(&mut self, fault: Fault) {
        if self.list.len() < MAX_FAULTS {
            self.list.push(fault);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds a fault unless its place, a place above or a place below already has one: what was
    /// found wrong in shape is not told again as wrong in meaning.
    pub fn push_unless_covered(&mut self, fault: Fault) {
        let covered = |a: &str, b: &str| a == b || (b.starts_with(a) && b.as_bytes().get(a.len()) == Some(&b'/'));
        if !self.list.iter().any(|f| covered(&f.pointer, &fault.pointer) || covered(&fault.pointer, &f.pointer)) {
            self.push(fault);
        }
    }

    /// Adds a fault unless the very same is there: several messages of one declaration often have the same.
    pub fn push_once(&mut self, fault: Fault) {
        if !self.list.contains(&fault) {
            self.push(fault);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many were found, listed or not.
    pub fn count(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// The listed faults in the order they were found.
    pub fn as_slice(&self) -> &[Fault] {
        &self.list
    }

    /// The listed faults.
    pub fn into_vec(self) -> Vec<Fault> {
        self.list
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(list: Vec<Fault>) -> Self {
        let mut faults = Self::default();
        list.into_iter().for_each(|f| faults.push(f));
        faults
    }
}
