//! THE table of metrics: names, types, labels, meaning; the documentation is made from it.
//!
//! Names and labels are a contract (operators' alerts stand on them). Labels are bounded: names from
//! the configuration and words from closed lists; never an item, a declaration, an address or a text
//! that somebody sent (promise P10). Whoever counts something names it by a constant of this module.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, with its upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word of the Prometheus exposition format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name as scraped; a histogram has `_bucket`, `_sum` and `_count` behind it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

macro_rules! metrics_table {
    ($($name:ident = $text:literal, $kind:expr, [$($label:literal),*], $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $text;)*
        /// Every metric, in the order of the road.
        pub const ALL: &[Metric] = &[$(Metric { name: $text, kind: $kind, labels: &[$($label),*], meaning: $meaning }),*];
    };
}

/// Bounds for one exchange with a broker, in seconds.
const EXCHANGE_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bounds for what customs takes to decide, in seconds: from the demo's moments to days.
const DECISION_S: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0, 604_800.0];
/// Bounds for the rows of one commit.
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

metrics_table! {
    DECLARATIONS = "preclear_declarations_total", Kind::Counter, ["post", "result"], "Declarations handed in, by post and by what became of the request.";
    COMMIT_ROWS = "preclear_commit_rows", Kind::Histogram(ROWS), [], "Rows made durable by one commit.";
    BACKLOG = "preclear_backlog", Kind::Gauge, ["broker", "state"], "Messages that are not delivered or withdrawn, by broker and delivery state.";
    BACKLOG_OLDEST_AGE = "preclear_backlog_oldest_age_seconds", Kind::Gauge, ["broker"], "Age of the oldest message that waits to be sent.";
    SEND_ATTEMPTS = "preclear_send_attempts_total", Kind::Counter, ["broker", "outcome"], "Tries to send a message, by outcome.";
    SEND_DURATION = "preclear_send_duration_seconds", Kind::Histogram(EXCHANGE_S), ["broker"], "Time of one exchange with a broker, from the first byte out to the answer.";
    BREAKER_STATE = "preclear_breaker_state", Kind::Gauge, ["broker"], "Circuit breaker of a broker: 0 closed, 1 half-open, 2 open.";
    NOTICES = "preclear_notices_total", Kind::Counter, ["broker", "result"], "Notices of brokers: applied, recorded, orphan, unreadable, unknown_code, or duplicate.";
    POLLS = "preclear_polls_total", Kind::Counter, ["broker", "result"], "Rounds of asking a broker for notices: taken, empty, incomplete (an entry could not be fetched or acknowledged), or failed.";
    POLL_LAST_SUCCESS = "preclear_poll_last_success_timestamp_seconds", Kind::Gauge, ["broker"], "When asking a broker for notices worked last, in seconds since 1970.";
    EVENTS = "preclear_events_total", Kind::Counter, ["track", "status"], "Events written into the posts' logs, by track and new status; what is no status counts as `delivery` or `overdue`.";
    DECISION = "preclear_decision_seconds", Kind::Histogram(DECISION_S), ["broker"], "Time from the declaration's receipt to the first decision of customs.";
    OVERDUE = "preclear_overdue", Kind::Gauge, ["broker"], "Filings that the broker has and customs has not answered within `answer_within_s`; the post was told of each.";
    WEBHOOK_DELIVERIES = "preclear_webhook_deliveries_total", Kind::Counter, ["result"], "Tries to deliver an event to a webhook: delivered, retry, given_up, or gone.";
    MAPPING_STATE = "preclear_mapping_state", Kind::Gauge, ["mapping"], "Where a mapping that a broker names comes from: 0 its files, 1 the store since its files cannot be used, 2 nowhere.";
    BROKER_USABLE = "preclear_broker_usable", Kind::Gauge, ["broker"], "Whether messages can be made for a broker: 1; 0 when its mapping, its settings for it, its schemas or the rate table cannot be used.";
    CERTIFICATE_EXPIRY = "preclear_certificate_expiry_timestamp_seconds", Kind::Gauge, ["name"], "When a certificate in use ends, in seconds since 1970.";
}

/// Tells the installed recorder what each metric means. The histograms' bounds are set where the
/// recorder is built, from [`buckets`].
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram(_) => ::metrics::describe_histogram!(metric.name, metric.meaning),
        }
    }
}

/// Name and upper bounds of each histogram.
pub fn buckets() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    ALL.iter().filter_map(|metric| match metric.kind {
        Kind::Histogram(bounds) => Some((metric.name, bounds)),
        Kind::Counter | Kind::Gauge => None,
    })
}
