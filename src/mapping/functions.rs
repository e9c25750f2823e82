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
    /// Anything that can be written as a text.
    Scalar,
    /// A number, a date or an instant.
    Ordered,
    /// A list.
    List,
    /// A list or a text.
    Countable,
    /// A record.
    Record,
    /// A record with an amount and a currency.
    Money,
    /// A text that is a currency; checked when it is written out.
    Currency,
    /// A text that is a time zone; checked when it is written out.
    Zone,
    /// A whole number, written out.
    Whole,
    /// A field of the list's entries, written out: `'value.amount'`.
    Field,
    /// A field to group by, written out: `'hs_code'`, `'hs_code:6'`.
    Key,
    /// `'name'` or `'number'`, written out.
    Part,
    /// Allowed characters, written out.
    Alphabet,
    /// What stands for characters that are not allowed, written out.
    Replacement,
    /// One character that fills up; checked when it is written out.
    Fill,
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
    MaxDecimals,
    Convert,
    Total,
    Apportion,
    Entry,
    GroupBy,
    Ungrouped,
    StreetPart,
    Wrap,
    Split,
    Latin,
    Ascii,
    Alphabet,
    Guid,
    PadLeft,
    Min,
    Max,
    AddDays,
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
    Kg "kg" [Number Whole Rounding] 2 "grams | kg(n)" "grams as kilograms with exactly n decimals (0 to 10), rounded half up or as by `kg(n, 'down')`"
    MaxDecimals "max_decimals" [Number Whole Rounding] 2 "number | max_decimals(n)" "the number with at most n decimals (0 to 10), rounded half up or as by `max_decimals(n, 'down')`, without zeros at the end"
    Date "date" [Day Form Zone] 2 "date | date(form)" "a date or instant (in UTC) in a form: `'102'` 20261120, `'304'` 20261120120000Z, `'iso'` 2026-11-20 or 2026-11-20T12:00:00Z, or of parts like `'%y%m%d %H%M'`; `date(form, zone)` tells an instant in a time zone, `'Europe/Amsterdam'` or `'+09:00'`: `'iso'` and `'304'` then end with its offset, 2026-11-20T21:00:00+09:00 and 20261120210000+09; a date stays that date"
    AddDays "add_days" [Day Number] 2 "date | add_days(n)" "a date n days later, or earlier when n is negative; an instant n times 24 hours later"
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
    Convert "convert" [Money Currency] 2 "money | convert('EUR')" "money (a record with `amount` and `currency`) in another currency, unrounded, by the operator's rate of the posting date: `(line.value | convert('EUR')).amount`; without a rate a fault of the sender. The rate and its date are kept with the message"
    Total "total" [List Currency Field Whole] 2 "list | total('EUR', 'field', n)" "the sum of a list of money, or of a money field of its entries (`''`: of the entries themselves), in one currency; each is converted and, with n, rounded half up to n decimals (0 to 10) before it is added. What is missing is skipped, an empty list gives 0"
    Apportion "apportion" [Number List Field Whole] 4 "apportion(amount, list, 'field', n)" "a list with the share of each entry of an amount, in proportion to a field that is a number (missing is 0; all of them 0: equal shares). Shares have n decimals (0 to 10), rounded half up, the last has what remains, so that they add up to the amount rounded to n decimals; if that would turn the sign of the last, the others are rounded down. `p:let-shares` around a `p:each`, `entry(shares, position)` inside"
    Entry "entry" [List Number] 2 "entry(list, position)" "the entry at a place from 1, missing when there is none"
    GroupBy "group_by" [List Key Key Key Key Key Key] 2 "list | group_by('field', …)" "a list of groups, each the list of the entries that agree in one to six fields, in the order in which groups appear; `'hs_code:6'` compares the first six characters only, and missing agrees with missing"
    Ungrouped "ungrouped" [List] 1 "list | ungrouped" "a list of groups of one entry each: `contents | group_by('hs_code') if settings.group else (contents | ungrouped)`"
    StreetPart "street_part" [Text Part] 2 "street_part(line, 'number')" "the house number of a street line, or its `'name'`, what is left of it. The number is the first word, else the last (with `bis`, `ter` or `quater` behind it), when it begins with a digit and has digits, single letters, `-` and `/` only: 12, 12a, 12-14, 3/4. A line of one word, and one with the word Box or Postfach, is all name; without a number it is missing"
    Wrap "wrap" [Text Whole] 2 "wrap(text, n)" "a list of lines of at most n characters, broken at blanks; a longer word is broken too. Blanks in a row become one"
    Split "split" [Text Text] 2 "split(text, ',')" "the list of the texts between separators, without blanks at both ends; empty ones are left out"
    Latin "latin" [Text] 1 "text | latin" "other scripts in Latin letters; accents stay. When something changes the sender is warned with the field (`transliterated`). What no rule knows becomes `?` (`replaced`). Han is read as Mandarin, whatever the country"
    Ascii "ascii" [Text] 1 "text | ascii" "the same for everything outside of ASCII, accents too: Müller becomes Muller"
    Alphabet "alphabet" [Text Alphabet Replacement] 2 "text | alphabet('A-Z0-9 .,-')" "only the characters written out (`'A-Z'` is a range, `-` itself stands first or last), or of `'ascii'`, `'latin1'`, `'latin9'`. Others are left out, or replaced by a third argument: `alphabet('ascii', '?')`; the sender is warned with the field (`replaced`), and blanks in a row become one"
    Guid "guid" [Text] 1 "guid('name')" "a GUID that is always the same for this message and this name (UUID version 5 under the message's id)"
    PadLeft "pad_left" [Scalar Whole Fill] 3 "pad_left(text, n, '0')" "filled up at its left with a character to n characters (1 to 1000); a longer text stays"
    Min "min" [Ordered Ordered] 2 "min(a, b)" "the smaller number, or the earlier date"
    Max "max" [Ordered Ordered] 2 "max(a, b)" "the greater number, or the later date"
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
