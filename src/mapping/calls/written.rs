//! Arguments that are written out in the template: checked when it is loaded.

use super::Given;
use crate::domain::codes::is_currency;
use crate::mapping::alphabet::Alphabet;
use crate::mapping::code::{CallCode, Code, Extra, Form, Key};
use crate::mapping::expr::Compiler;
use crate::mapping::faults::Remark;
use crate::mapping::functions::{Arg, Call, Function, ROUNDINGS};
use crate::mapping::value::Ty;
use crate::mapping::zones;

/// Most decimals that a number is rounded to.
const MAX_DECIMALS: u32 = 10;
/// Longest text that something is filled up to.
const MAX_FILLED: u32 = 1000;

impl Compiler<'_> {
    pub(super) fn written_out(&mut self, function: &Function, arg: Arg, one: Given, entries: &Ty, call: &mut CallCode) {
        let Given { code, at, .. } = one;
        match (arg, code) {
            (Arg::Whole, Code::Int(value)) => self.whole(value, at, call),
            (Arg::Rounding, Code::Text(word)) => match ROUNDINGS.iter().find(|(name, _)| **name == *word) {
                Some((_, rounding)) => call.rounding = *rounding,
                None => {
                    let known = ROUNDINGS.iter().map(|(name, _)| *name);
                    self.fault(at, Remark::unknown("a way of rounding is half_up, half_even, up or down", &word, known));
                }
            },
            (Arg::Form, Code::Text(word)) => match form(&word) {
                Some(form) => call.form = form,
                None => {
                    self.fault(at, "a form of a date is '102', '304', 'iso' or has parts like '%Y%m%d%H%M%S'");
                }
            },
            (Arg::Codes, Code::Text(name)) => self.codes(&name, at, call),
            // The entries of the list themselves.
            (Arg::Field, Code::Text(path)) if path.is_empty() && call.call == Call::Total => {}
            (Arg::Field, Code::Text(path)) => {
                call.field = self.field_path(entries, &path, at).0;
                call.pointer = format!("/{}", path.replace('.', "/")).into();
            }
            (Arg::Key, Code::Text(text)) => self.key(&text, at, entries, call),
            (Arg::Part, Code::Text(word)) => match &*word {
                "name" => call.extra = Extra::StreetName(true),
                "number" => call.extra = Extra::StreetName(false),
                _ => {
                    self.fault(at, Remark::unknown("a street line has 'name' and 'number'", &word, ["name", "number"]));
                }
            },
            (Arg::Alphabet, Code::Text(text)) => match Alphabet::read(&text) {
                Ok(alphabet) => call.extra = Extra::Alphabet(alphabet),
                Err(remark) => {
                    self.fault(at, remark);
                }
            },
            (Arg::Replacement, Code::Text(text)) => {
                if let Extra::Alphabet(alphabet) = &mut call.extra
                    && !alphabet.set_replacement(&text)
                {
                    self.fault(at, "what stands for other characters has to be allowed itself, at most 10 characters");
                }
            }
            _ => {
                self.fault(at, format!("has to be written out here: `{}`", function.signature));
            }
        }
    }

    fn whole(&mut self, value: i64, at: usize, call: &mut CallCode) {
        let (least, most) = match call.call {
            Call::Decimals | Call::MaxDecimals | Call::Kg | Call::Apportion | Call::Total => (0, MAX_DECIMALS),
            Call::PadLeft => (1, MAX_FILLED),
            Call::Wrap => (1, 100_000),
            _ => (0, 100_000),
        };
        match u32::try_from(value).ok().filter(|value| (least..=most).contains(value)) {
            Some(value) if call.whole[0].is_none() => call.whole[0] = Some(value),
            Some(value) => call.whole[1] = Some(value),
            None => {
                self.fault(at, format!("a whole number from {least} to {most}"));
            }
        }
    }

    fn codes(&mut self, name: &str, at: usize, call: &mut CallCode) {
        match self.scope.codes.iter().find(|list| list.name == name) {
            Some(list) => call.extra = Extra::Codes(std::sync::Arc::clone(list)),
            None => {
                let known: Vec<String> = self.scope.codes.iter().map(|list| list.name.clone()).collect();
                let message = format!("there is no code list codes/{name}.csv");
                self.fault(at, Remark::unknown(message, name, known.iter().map(String::as_str)));
            }
        }
    }

    /// `'hs_code'`, or `'hs_code:6'` for its first characters.
    fn key(&mut self, text: &str, at: usize, entries: &Ty, call: &mut CallCode) {
        let (path, characters) = match text.split_once(':') {
            None => (text, None),
            Some((path, count)) => match count.parse().ok().filter(|count| (1..=100).contains(count)) {
                Some(count) => (path, Some(count)),
                None => {
                    self.fault(at, "after the colon stands how many characters are compared, from 1 to 100: 'hs_code:6'");
                    return;
                }
            },
        };
        let faults = self.fault_count();
        let (field, ty) = self.field_path(entries, path, at);
        if self.fault_count() > faults {
            return;
        }
        if !ty.is_scalar() {
            self.fault(at, format!("entries are grouped by a single value, not by {}", ty.noun()));
        } else if characters.is_some() && !ty.is_text() {
            self.fault(at, format!("only a text has first characters, not {}", ty.noun()));
        }
        let key = Key { field, characters };
        match &mut call.extra {
            Extra::Keys(keys) => keys.push(key),
            extra => *extra = Extra::Keys(vec![key]),
        }
    }

    /// Values that may be computed, but are checked when they are written out.
    pub(super) fn checked_when_written(&mut self, function: &Function, arg: Arg, one: &Given, call: &mut CallCode) {
        match (arg, &one.code) {
            (Arg::Currency, Code::Text(code)) if !is_currency(code) => {
                self.fault(one.at, "a currency is a current ISO 4217 code like 'EUR'");
            }
            (Arg::Zone, Code::Text(name)) => match zones::zone(name) {
                Some(zone) => call.extra = Extra::Zone(zone),
                None => {
                    let message = "a time zone is a name of the IANA list like 'Europe/Amsterdam', or an offset like '+09:00'";
                    self.fault(one.at, Remark::unknown(message, name, zones::names()));
                }
            },
            (Arg::Fill, Code::Text(fill)) if fill.chars().count() != 1 => {
                self.fault(one.at, "one character fills up: '0'");
            }
            (Arg::Number, Code::Int(place)) if function.call == Call::Entry && *place < 1 => {
                self.fault(one.at, "places are counted from 1");
            }
            _ => {}
        }
    }
}

fn form(word: &str) -> Option<Form> {
    match word {
        "iso" => Some(Form::Iso),
        "102" => Some(Form::Form102),
        "304" => Some(Form::Form304),
        parts if parts.contains('%') && parts.len() <= 64 => {
            let sample = jiff::civil::date(2026, 11, 20).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            jiff::fmt::strtime::format(parts, &sample).ok()?;
            Some(Form::Parts(parts.into()))
        }
        _ => None,
    }
}
