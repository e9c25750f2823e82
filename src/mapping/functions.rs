//! THE table of functions that expressions can use: names, arguments, meaning.
//!
//! The check of a mapping and the table in `docs/MAPPING.md` both come from it. Each function can
//! be written `f(x, …)` or `x | f(…)`. What is missing stays missing, unless a function says otherwise.

/// What an argument has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// Any value.
    Any,
    /// A text.
    Text,
    /// A number.
    Number,
    /// A date or an instant.
    Day,
    /// A list.
    List,
    /// A list or a text.
    Countable,
    /// A record.
    Record,
    /// A whole number, written out.
    Whole,
    /// A field of the list's entries, written out: `'value.amount'`.
    Field,
    /// The name of a code list, written out.
    Codes,
    /// A form of a date, written out.
    Form,
    /// A way of rounding, written out.
    Rounding,
}

/// One function.
#[derive(Debug)]
pub struct Function {
    /// Which.
    pub(super) call: Call,
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub signature: &'static str,
    /// What it gives.
    pub doc: &'static str,
    /// Its arguments in order.
    pub args: &'static [Arg],
    /// How many of them have to be given.
    pub needed: usize,
}

/// The functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Decimals,
    Kg,
    Date,
    Upper,
    Lower,
    Trim,
    Join,
    Cut,
    Pick,
    Where,
    Sum,
    Count,
    Digits,
    First,
    Default,
    Code,
    StartsWith,
    Length,
    Substring,
    TariffCode,
    Replace,
    Todo,
}

macro_rules! functions {
    ($($call:ident $name:literal [$($arg:ident)*] $needed:literal $signature:literal $doc:literal)*) => {
        /// Every function.
        pub const FUNCTIONS: &[Function] = &[$(Function {
            call: Call::$call, name: $name, signature: $signature, doc: $doc, args: &[$(Arg::$arg),*], needed: $needed,
        }),*];
    };
}

functions! {
    Decimals "decimals" [Number Whole Rounding] 2 "number | decimals(n)" "the number with exactly n decimals (0 to 10), rounded half up; `decimals(n, 'half_even')`, `'up'` (away from zero) and `'down'` round otherwise"
    Kg "kg" [Number Whole] 2 "grams | kg(n)" "grams as kilograms with exactly n decimals (0 to 10), rounded half up"
    Date "date" [Day Form] 2 "date | date(form)" "a date or instant (in UTC) in a form: `'102'` 20261120, `'304'` 20261120120000Z, `'iso'` 2026-11-20 or 2026-11-20T12:00:00Z, or of parts like `'%y%m%d %H%M'`"
    Upper "upper" [Text] 1 "text | upper" "in capital letters"
    Lower "lower" [Text] 1 "text | lower" "in small letters"
    Trim "trim" [Text] 1 "text | trim" "without blanks at both ends"
    Join "join" [List Text] 2 "list | join(', ')" "the texts of a list with something between them; an empty list is missing"
    Cut "cut" [Text Whole] 2 "text | cut(n)" "at most n characters; when it shortens, the sender is warned with the field (`shortened`)"
    Pick "pick" [List Text] 2 "pick(list, type)" "the first entry whose `type` is this, else missing"
    Where "where" [List Field Any] 3 "list | where('field', value)" "the entries whose field has this value; the field may be a path, `'value.currency'`"
    Sum "sum" [List Field] 1 "list | sum('field')" "the sum of a list of numbers, or of a field of its entries; missing ones are skipped, an empty list gives 0"
    Count "count" [List] 1 "list | count" "how many entries; 0 when missing"
    Digits "digits" [Text] 1 "text | digits" "only the digits 0 to 9 of a text"
    First "first" [List] 1 "first(list)" "the first entry, missing when there is none"
    Default "default" [Any Any] 2 "value | default(other)" "the other when the value is missing or an empty text; unlike `or`, 0 and false stay"
    Code "code" [Text Codes Any] 2 "text | code('list')" "the value that `codes/list.csv` gives for the text; without a row a fault of the sender, or the third argument: `code('list', '')`"
    StartsWith "starts_with" [Text Text] 2 "starts_with(text, 'start')" "whether a text begins so; false when missing"
    Length "length" [Countable] 1 "text | length" "the number of characters of a text or entries of a list; 0 when missing"
    Substring "substring" [Text Whole Whole] 2 "text | substring(from, to)" "the characters from place `from` (0 is the first) up to, but without, `to`; to the end without `to`"
    TariffCode "tariff_code" [Record Text] 2 "tariff_code(line, 'GB')" "the code that the line's `tariff_codes` give for a country, else missing"
    Replace "replace" [Text Text Text] 3 "text | replace('a', 'b')" "every `a` replaced by `b`"
    Todo "todo" [Text] 1 "todo('value')" "the value; marks a place that is still to be decided. Only a mapping with `draft = true` may have one, and no broker can use a draft"
}

/// A function by its name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The table of functions as it stands in `docs/MAPPING.md`.
pub fn table() -> String {
    let mut table = String::from("| function | gives |\n| --- | --- |\n");
    for function in FUNCTIONS {
        let signature = function.signature.replace('|', "\\|");
        table.push_str(&format!("| `{signature}` | {} |\n", function.doc));
    }
    table
}

/// Ways of rounding.
pub(super) const ROUNDINGS: &[(&str, rust_decimal::RoundingStrategy)] = &[
    ("half_up", rust_decimal::RoundingStrategy::MidpointAwayFromZero),
    ("half_even", rust_decimal::RoundingStrategy::MidpointNearestEven),
    ("up", rust_decimal::RoundingStrategy::AwayFromZero),
    ("down", rust_decimal::RoundingStrategy::ToZero),
];
