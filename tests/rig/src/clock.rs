//! Wall-clock texts without a calendar library: dates, instants and HTTP dates in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Year, month and day of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

fn parts(at: i64) -> (i64, (i64, i64, i64), [i64; 3]) {
    let (days, second) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    (days, civil(days), [second / 3600, second / 60 % 60, second % 60])
}

/// Seconds since 1970.
pub fn seconds() -> i64 {
    i64::try_from(now().as_secs()).unwrap_or(i64::MAX)
}

/// `2026-11-20`.
pub fn date(at: i64) -> String {
    let (_, (year, month, day), _) = parts(at);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11-20T12:00:00Z`.
pub fn instant(at: i64) -> String {
    let (_, _, [hour, minute, second]) = parts(at);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(at))
}

/// `Fri, 20 Nov 2026 12:00:00 GMT` (RFC 9110, 5.6.7).
pub fn http_date(at: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, (year, month, day), [hour, minute, second]) = parts(at);
    let name = |names: &[&'static str], index: i64| names[usize::try_from(index).unwrap_or(0)];
    let (weekday, month) = (name(&DAYS, days.rem_euclid(7)), name(&MONTHS, month - 1));
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_instants() {
        assert_eq!(super::instant(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(super::http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
