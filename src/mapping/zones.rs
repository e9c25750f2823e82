//! Time zones by name: the IANA list that the program carries, whatever the machine has, so that the
//! same declaration gives the same bytes everywhere.

use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| DATABASE.available().map(|name| name.as_str().to_owned()).collect());

/// A zone: `Europe/Amsterdam`, `+09:00`, `-03:30`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    offset(name).or_else(|| DATABASE.get(name).ok().filter(|zone| zone.iana_name() == Some(name)))
}

/// Every name, for suggestions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(String::as_str)
}

fn offset(text: &str) -> Option<TimeZone> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two = |digits: &str, most: i32| {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|value: &i32| plain && *value <= most)
    };
    let seconds = two(hours, 14)? * 3600 + two(minutes, 59)? * 60;
    Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
}
