//! Reads instants in the forms that authorities and brokers write them.
//!
//! A text without a zone of its own is read in the zone that the rule names, UTC when it names
//! none. What does not fit its form is no instant: nothing is guessed.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::faults::Remark;
use crate::domain::time::Timestamp;

/// Most parts of a form.
const MAX_PARTS: usize = 32;

/// Forms of instants in notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// `yyyymmddhhmmss` with `Z`, `+01` or `+0100`, or in the rule's zone.
    Form304,
    /// `yyyymmdd`
    Form102,
    /// ISO 8601.
    Iso,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// Parts like `%Y%m%d%H%M`.
    Parts(Vec<TimePart>),
}

/// One part of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    Literal(char),
    /// Four digits.
    Year,
    /// Two digits, of this century.
    ShortYear,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// So many digits of a second; 0 for as many as there are, 1 to 9.
    Fraction(usize),
    /// `Z`, `+01`, `+0130`, `+01:30`.
    Zone,
}

/// The words and parts of a form.
const FORMS: [(&str, TimeForm); 5] = [
    ("304", TimeForm::Form304),
    ("102", TimeForm::Form102),
    ("iso", TimeForm::Iso),
    ("epoch_s", TimeForm::EpochSeconds),
    ("epoch_ms", TimeForm::EpochMillis),
];

impl TimeForm {
    /// Reads a form as it is written in `notices.toml`.
    ///
    /// # Errors
    /// The fault with its byte offset in the text.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, Remark)> {
        if let Some((_, form)) = FORMS.iter().find(|(word, _)| *word == text) {
            return Ok(form.clone());
        }
        if !text.contains('%') {
            let message = "a form of an instant is 304, 102, iso, epoch_s, epoch_ms, or parts like %Y%m%d%H%M";
            return Err((0, Remark::unknown(message, text, FORMS.iter().map(|(word, _)| *word))));
        }
        let parts = parts(text)?;
        let has = |wanted: &[TimePart]| parts.iter().any(|part| wanted.contains(part));
        let whole = has(&[TimePart::Year, TimePart::ShortYear]) && has(&[TimePart::Month]) && has(&[TimePart::Day]);
        if !whole || parts.len() > MAX_PARTS {
            return Err((0, "the parts of an instant are a year (%Y or %y), %m and %d at least".into()));
        }
        Ok(Self::Parts(parts))
    }

    /// Whether a zone says anything about this form.
    pub(super) fn takes_zone(&self) -> bool {
        !matches!(self, Self::EpochSeconds | Self::EpochMillis)
    }
}

fn parts(text: &str) -> Result<Vec<TimePart>, (usize, Remark)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        if c != '%' {
            parts.push(TimePart::Literal(c));
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        let width = rest[1..=digits].parse::<usize>().ok();
        let letter = rest[1 + digits..].chars().next().unwrap_or(' ');
        let part = match (width, letter) {
            (None, 'Y') => TimePart::Year,
            (None, 'y') => TimePart::ShortYear,
            (None, 'm') => TimePart::Month,
            (None, 'd') => TimePart::Day,
            (None, 'H') => TimePart::Hour,
            (None, 'M') => TimePart::Minute,
            (None, 'S') => TimePart::Second,
            (None, 'f') => TimePart::Fraction(0),
            (Some(width @ 1..=9), 'f') => TimePart::Fraction(width),
            (None, 'z') => TimePart::Zone,
            (None, '%') => TimePart::Literal('%'),
            _ => return Err((at, "the parts of an instant are %Y %y %m %d %H %M %S %f %3f %z and %%".into())),
        };
        parts.push(part);
        rest = &rest[1 + digits + letter.len_utf8()..];
    }
    Ok(parts)
}

/// Reads a zone: an IANA name or an offset like `+08:00`.
///
/// # Errors
/// What is allowed.
pub(super) fn zone(text: &str) -> Result<TimeZone, Remark> {
    if text.starts_with(['+', '-']) {
        let fixed = offset(text).filter(|(_, rest)| rest.is_empty());
        return fixed.map(|(offset, _)| TimeZone::fixed(offset)).ok_or_else(|| "an offset is written like +08:00".into());
    }
    TimeZone::get(text).map_err(|_| {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let message = "a zone is a name of the IANA database like Asia/Shanghai, or an offset like +08:00";
        Remark::unknown(message, text, names.iter().map(String::as_str))
    })
}

/// Reads an instant.
pub(super) fn instant(text: &str, form: &TimeForm, zone: &TimeZone) -> Option<Timestamp> {
    match form {
        TimeForm::Iso => text.parse::<Timestamp>().ok().or_else(|| local(text.parse().ok()?, zone)),
        TimeForm::EpochSeconds => Timestamp::from_second(text.parse().ok()?).ok(),
        TimeForm::EpochMillis => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        TimeForm::Form102 => {
            let mut fields = Fields::default();
            // What follows the day is not looked at: some write the time of day there.
            fields.read(&[TimePart::Year, TimePart::Month, TimePart::Day], text)?;
            fields.instant(zone)
        }
        TimeForm::Form304 => {
            const PARTS: [TimePart; 6] =
                [TimePart::Year, TimePart::Month, TimePart::Day, TimePart::Hour, TimePart::Minute, TimePart::Second];
            let mut fields = Fields::default();
            let rest = fields.read(&PARTS, text)?;
            let rest = if rest.is_empty() { rest } else { fields.read(&[TimePart::Zone], rest)? };
            rest.is_empty().then(|| fields.instant(zone)).flatten()
        }
        TimeForm::Parts(parts) => {
            let mut fields = Fields::default();
            fields.read(parts, text)?.is_empty().then(|| fields.instant(zone)).flatten()
        }
    }
}

/// The instant of a local time; of two it is the earlier, and in a gap it is as if the clock had gone on.
fn local(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(time).compatible().ok()
}

#[derive(Default)]
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    offset: Option<Offset>,
}

impl Fields {
    /// Reads parts from the beginning of a text; gives what is left of it.
    fn read<'t>(&mut self, parts: &[TimePart], text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        for part in parts {
            let two = |rest: &'t str| digits(rest, 2).and_then(|(number, rest)| Some((i8::try_from(number).ok()?, rest)));
            rest = match part {
                TimePart::Literal(c) => rest.strip_prefix(*c)?,
                TimePart::Year => {
                    let (number, rest) = digits(rest, 4)?;
                    self.year = i16::try_from(number).ok()?;
                    rest
                }
                TimePart::ShortYear => {
                    let (number, rest) = digits(rest, 2)?;
                    self.year = i16::try_from(2000 + number).ok()?;
                    rest
                }
                TimePart::Month => take(&mut self.month, two(rest)?),
                TimePart::Day => take(&mut self.day, two(rest)?),
                TimePart::Hour => take(&mut self.hour, two(rest)?),
                TimePart::Minute => take(&mut self.minute, two(rest)?),
                // A leap second is the second before it.
                TimePart::Second => take(&mut self.second, two(rest).map(|(number, rest)| (number - i8::from(number == 60), rest))?),
                TimePart::Fraction(width) => {
                    let there = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let width = if *width == 0 { there.min(9) } else { *width };
                    let (number, rest) = digits(rest, width).filter(|_| width > 0)?;
                    self.nanosecond = number.checked_mul(10i32.checked_pow(u32::try_from(9 - width).ok()?)?)?;
                    rest
                }
                TimePart::Zone => take(&mut self.offset, offset(rest).map(|(offset, rest)| (Some(offset), rest))?),
            };
        }
        Some(rest)
    }

    fn instant(&self, zone: &TimeZone) -> Option<Timestamp> {
        let time = DateTime::new(self.year, self.month, self.day, self.hour, self.minute, self.second, self.nanosecond).ok()?;
        match self.offset {
            Some(offset) => offset.to_timestamp(time).ok(),
            None => local(time, zone),
        }
    }
}

fn take<'t, T>(place: &mut T, (value, rest): (T, &'t str)) -> &'t str {
    *place = value;
    rest
}

/// The number that so many digits write, and what follows.
fn digits(text: &str, count: usize) -> Option<(i32, &str)> {
    let number = text.get(..count).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((number.parse().ok()?, &text[count..]))
}

/// `Z`, `+01`, `+0130`, `+01:30`, and what follows.
fn offset(text: &str) -> Option<(Offset, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((Offset::UTC, rest));
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = digits(&text[1..], 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(':').unwrap_or(rest), 2).unwrap_or((0, rest));
    let sound = hours <= 23 && minutes <= 59;
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok();
    offset.filter(|_| sound).map(|offset| (offset, rest))
}
