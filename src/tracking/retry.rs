//! When an event goes to a target again, and when not: policy, as functions of values.
//!
//! The schedule is the example of the Standard Webhooks specification: ten tries over 75 h 35 min.
//! Only 2xx is success; a redirect is a failure; 410 ends the subscription. `Retry-After` can only
//! make a wait longer, by at most a day: a target cannot ask to be hammered, nor park an event for ever.

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::net::webhook_client::{WebhookAnswer, WebhookFailure};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// The wait before each try in seconds, counted from the end of the one before.
pub const SCHEDULE_S: [u64; 10] = [0, 5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
/// How far jitter moves a wait, as a share of it, to either side.
pub const JITTER: f64 = 0.1;
/// The longest wait that a target can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * HOUR);

/// What one try means for the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Taken.
    Done,
    /// Again after this time.
    Again(Duration),
    /// The schedule is used up; the feed still has the event.
    GiveUp,
    /// The target wants no more events, ever.
    Gone,
}

/// Judges a try. `tries` counts this one (1 for the first); `random` is from 0 to 1.
pub fn judge(answer: &WebhookAnswer, tries: u32, now: Timestamp, random: f64) -> Verdict {
    let asked = match answer {
        WebhookAnswer::Status { code: 200..=299, .. } => return Verdict::Done,
        WebhookAnswer::Status { code: 410, .. } => return Verdict::Gone,
        WebhookAnswer::Status { retry_after, .. } => retry_after.as_deref().and_then(|text| retry_after_of(text, now)),
        WebhookAnswer::Failed(_) => None,
    };
    match wait_before(tries.saturating_add(1), random) {
        Some(wait) => Verdict::Again(wait.max(asked.unwrap_or_default().min(MAX_RETRY_AFTER))),
        None => Verdict::GiveUp,
    }
}

/// The wait before a try (1 is the first), with jitter; none when the schedule is used up.
pub fn wait_before(attempt: u32, random: f64) -> Option<Duration> {
    let index = usize::try_from(attempt.checked_sub(1)?).ok()?;
    let wait = Duration::from_secs(*SCHEDULE_S.get(index)?);
    Some(wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0)))
}

/// `Retry-After` (RFC 9110): seconds, or an HTTP date; a date in the past is no wait.
pub fn retry_after_of(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// The outcome of a try in one word for logs and the answer to a test: `http_503`, `timeout`, ….
pub fn word_of(answer: &WebhookAnswer) -> String {
    match answer {
        WebhookAnswer::Status { code, .. } => format!("http_{code}"),
        WebhookAnswer::Failed(failure) => WebhookFailure::as_str(*failure).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T05:00:00Z".parse().expect("instant")
    }

    fn status(code: u16, retry_after: Option<&str>) -> WebhookAnswer {
        WebhookAnswer::Status { code, retry_after: retry_after.map(str::to_owned) }
    }

    #[test]
    fn only_2xx_is_success_and_only_410_ends_the_subscription() {
        for code in 100..=599 {
            let expected = match code {
                200..=299 => Verdict::Done,
                410 => Verdict::Gone,
                _ => Verdict::Again(Duration::from_secs(5)),
            };
            assert_eq!(judge(&status(code, None), 1, now(), 0.5), expected, "{code}");
        }
        let failed = WebhookAnswer::Failed(WebhookFailure::Timeout);
        assert_eq!(judge(&failed, 1, now(), 0.5), Verdict::Again(Duration::from_secs(5)));
    }

    #[test]
    fn ten_tries_over_three_days_with_a_tenth_of_jitter() {
        let waits: Vec<_> = (1..=10).map(|attempt| wait_before(attempt, 0.5).expect("a wait").as_secs()).collect();
        assert_eq!(waits, SCHEDULE_S);
        assert_eq!(waits.iter().sum::<u64>(), 75 * HOUR + 35 * MINUTE + 5);
        for attempt in 2..=10 {
            let (low, high) = (wait_before(attempt, 0.0).expect("low"), wait_before(attempt, 1.0).expect("high"));
            let middle = wait_before(attempt, 0.5).expect("middle").as_secs_f64();
            assert!((low.as_secs_f64() / middle - 0.9).abs() < 1e-9 && (high.as_secs_f64() / middle - 1.1).abs() < 1e-9);
        }
        let failed = status(500, None);
        assert!(matches!(judge(&failed, 9, now(), 0.5), Verdict::Again(_)));
        assert_eq!(judge(&failed, 10, now(), 0.5), Verdict::GiveUp);
        assert_eq!(judge(&failed, u32::MAX, now(), 0.5), Verdict::GiveUp);
    }

    #[test]
    fn retry_after_is_honoured_but_bounded() {
        for (text, tries, expected_s) in [
            ("120", 1, 120),
            ("1", 1, 5),
            ("0", 2, 300),
            (" 30 ", 1, 30),
            ("Sun, 22 Nov 2026 05:10:00 GMT", 1, 600),
            ("Sun, 22 Nov 2026 04:00:00 GMT", 1, 5),
            ("99999999999999999999", 1, 5),
            ("864000", 1, 86_400),
            ("-1", 1, 5),
            ("soon", 1, 5),
        ] {
            let verdict = judge(&status(503, Some(text)), tries, now(), 0.5);
            assert_eq!(verdict, Verdict::Again(Duration::from_secs(expected_s)), "{text}");
        }
    }
}
