//! `GET /`: one plain page that answers "what is stuck, for how long, why".
//!
//! It is made whole on the server, has no script, and loads nothing: the content security policy allows its one style
//! by hash and its forms to this listener only. It shows what the lists show and nothing more (P10). Where the store
//! does not answer, the page says so and still shows the lanes: that is when it is looked at.

mod mappings;

use std::sync::LazyLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::source::{BreakerState, DeadFilter, Lane, LaneState, LoadedMapping, ParkedState};
use super::views::{BACKLOG_STATES, CertificateView, age_seconds, oldest_due_age};
use super::{OpsState, table};
use crate::domain::delivery::DeliveryState;
use crate::domain::time::{Timestamp, rfc3339};
use crate::error::ApiError;
use crate::http::problem::answer;
use crate::http::query::Query;
use crate::store::{BacklogRow, DeadLetter, ParkedNotice, StoreError};

const STYLE: &str = include_str!("dashboard.css");
/// Rows of each list on the page; the routes give more.
const ROWS: u32 = 20;
/// From this many days on a certificate is shown as ending soon.
const SOON_DAYS: i64 = 30;

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
});

/// What the store tells, as far as it answers.
struct Stored {
    backlog: Vec<BacklogRow>,
    dead: Vec<DeadLetter>,
    parked: Vec<ParkedNotice>,
}

struct Page {
    lanes: Vec<Lane>,
    mappings: Vec<LoadedMapping>,
    stored: Option<Stored>,
    certificates: Vec<CertificateView>,
    draining: bool,
    now: Timestamp,
    refresh: u64,
}

/// The page.
pub async fn page(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = gather(&request, &state).await.map(|page| {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
            .insert_header((REFERRER_POLICY, "same-origin"))
            .body(page.html(&state).into_string())
    });
    answer(&request, outcome)
}

async fn gather(request: &HttpRequest, state: &OpsState) -> Result<Page, ApiError> {
    let refresh = Query::read(request, table::PAGE_PARAMETERS)?.integer(&table::REFRESH);
    let stored = match stored(state).await {
        Ok(stored) => Some(stored),
        Err(error) => {
            tracing::warn!(%error, "the store did not answer the operators' page");
            None
        }
    };
    let certificates = state.read_certificates().await?.into_iter().map(|file| file.view).collect();
    let (lanes, mappings) = (state.source.lanes(), state.source.mappings());
    Ok(Page { lanes, mappings, stored, certificates, draining: state.draining.is_on(), now: state.now(), refresh })
}

async fn stored(state: &OpsState) -> Result<Stored, StoreError> {
    let backlog = state.source.backlog().await?;
    let dead = state.source.dead_letters(DeadFilter { limit: ROWS, ..DeadFilter::default() }).await?;
    let mut parked = state.source.parked_notices(ParkedState::Unreadable, ROWS).await?;
    parked.extend(state.source.parked_notices(ParkedState::Orphan, ROWS).await?);
    parked.extend(state.source.parked_notices(ParkedState::UnknownCode, ROWS).await?);
    parked.sort_by(|a, b| b.received_at.cmp(&a.received_at));
    Ok(Stored { backlog, dead, parked })
}

impl Page {
    fn html(&self, state: &OpsState) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    @if self.refresh > 0 { meta http-equiv="refresh" content=(self.refresh); }
                    title { "Preclear: operations" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { "Preclear" }
                        span.soft { "Operations · version " (env!("CARGO_PKG_VERSION")) }
                        span."soft"."push" {
                            "As of " (moment(self.now)) " · "
                            @if self.refresh > 0 { "renewed every " (self.refresh) " s · " a href="/?refresh=0" { "stop" } }
                            @else { "not renewed · " a href="/" { "renew every 10 s" } }
                        }
                    }
                    main {
                        (self.attention())
                        (self.brokers(state))
                        (self.dead_letters())
                        (self.parked())
                        (mappings::section(&self.mappings))
                        (self.certificates())
                    }
                    footer { p {
                        "The same as data: " a href="/v1/brokers" { "brokers" } " · " a href="/v1/dead-letters" { "dead letters" } " · "
                        a href="/v1/notices?state=unreadable" { "unreadable" } " and " a href="/v1/notices?state=orphan" { "orphan notices" } " · "
                        a href="/v1/mappings" { "mappings" } " · " a href="/v1/certificates" { "certificates" } " · " a href="/metrics" { "metrics" }
                    } }
                }
            }
        }
    }

    /// What a person should look at, worst first.
    fn attention(&self) -> Markup {
        let mut list: Vec<String> = Vec::new();
        if self.stored.is_none() {
            list.push("The store does not answer: nothing is taken, and backlog and lists cannot be shown.".to_owned());
        }
        if self.draining {
            list.push("The process is ending: what is under way is finished, new declarations are sent away.".to_owned());
        }
        for lane in &self.lanes {
            match lane.state {
                LaneState::Running | LaneState::Stopping => {}
                LaneState::Held => list.push(format!("{} is held for a while.", lane.broker)),
                LaneState::Paused => list.push(format!("{} is paused.", lane.broker)),
                LaneState::BreakerOpen => list.push(format!("{}: its channel fails, its breaker is open.", lane.broker)),
                LaneState::Disabled => {
                    list.push(format!("{} is disabled: nothing is sent until its configuration is mended.", lane.broker))
                }
            }
        }
        list.extend(mappings::attention(&self.mappings));
        let dead = self.count(DeliveryState::Dead);
        if dead > 0 {
            list.push(format!("{dead} dead {} for a person to decide on.", if dead == 1 { "letter waits" } else { "letters wait" }));
        }
        let unreadable = self.stored.iter().flat_map(|stored| &stored.parked).filter(|notice| notice.state == "unreadable").count();
        if unreadable > 0 {
            list.push("Notices came that no mapping could read.".to_owned());
        }
        for file in self.certificates.iter().filter(|file| is_urgent(file)) {
            list.push(format!("Certificate {}: {}.", file.name, ending(file)));
        }
        html! {
            @if list.is_empty() {
                p."attention"."good" role="status" { strong { "Nothing is stuck." } " All brokers run, nothing is dead or unreadable, all mappings are loaded, no certificate ends soon." }
            } @else {
                div."attention"."warn" role="status" {
                    strong { "To look at" }
                    ul { @for line in &list { li { (line) } } }
                }
            }
        }
    }

    fn count(&self, state: DeliveryState) -> u64 {
        self.stored.iter().flat_map(|stored| &stored.backlog).filter(|row| row.state == state).map(|row| row.count).sum()
    }

    fn brokers(&self, state: &OpsState) -> Markup {
        html! {
            section aria-labelledby="brokers" {
                div.head { h2 #brokers { "Brokers" } span.soft { "Messages by state; the age is that of the oldest that is due." } }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Broker" } th scope="col" { "State" } th scope="col" { "Why" }
                        th.number scope="col" { "Waiting" } th.number scope="col" { "Queued" } th.number scope="col" { "Sending" }
                        th.number scope="col" { "In doubt" } th.number scope="col" { "Dead" } th.number scope="col" { "Oldest" }
                        th.number scope="col" { "In flight" } th scope="col" { "Breaker" } th scope="col" { "Order" }
                    } }
                    tbody { @for lane in &self.lanes { (self.broker(lane, state.mapping_of(&lane.broker))) } }
                } }
            }
        }
    }

    fn broker(&self, lane: &Lane, mapping: &str) -> Markup {
        let rows = || self.stored.iter().flat_map(|stored| &stored.backlog).filter(|row| row.broker == lane.broker);
        let age = oldest_due_age(rows(), self.now);
        let count = |state: DeliveryState| rows().filter(|row| row.state == state).map(|row| row.count).sum::<u64>();
        html! {
            tr {
                th scope="row" { (lane.broker) div.small { (mappings::named(mapping, &self.mappings)) } }
                td { (lane_badge(lane.state)) }
                td.wide {
                    @if let Some(reason) = &lane.reason { (reason) } @else if lane.state == LaneState::Running { span.zero { "–" } }
                    @if let Some(since) = lane.since.filter(|_| lane.state != LaneState::Running) { div.small { "for " (self.ago(since)) } }
                }
                @for state in BACKLOG_STATES { td.number { (self.number(count(*state))) } }
                td.number { @if age > 0 { (duration(age)) } @else { span.zero { "–" } } }
                td.number { @if lane.in_flight > 0 { (grouped(lane.in_flight)) } @else { span.zero { "0" } } }
                td { (breaker_badge(lane.breaker)) }
                td { (order_form(lane)) }
            }
        }
    }

    /// What stands in an empty list: nothing is known where the store did not answer.
    fn none(&self, text: &'static str) -> &'static str {
        if self.stored.is_some() { text } else { "Not known: the store does not answer." }
    }

    /// A count; a question mark where the store did not answer.
    fn number(&self, count: u64) -> Markup {
        match (self.stored.is_some(), count) {
            (false, _) => html! { span.zero { "?" } },
            (true, 0) => html! { span.zero { "0" } },
            (true, count) => html! { (grouped(count)) },
        }
    }

    fn dead_letters(&self) -> Markup {
        let letters = self.stored.as_ref().map_or(&[][..], |stored| &stored.dead);
        let total = self.count(DeliveryState::Dead);
        html! {
            section aria-labelledby="dead" {
                div.head { h2 #dead { "Dead letters" } span.soft { @if letters.is_empty() {} @else { "The newest " (letters.len()) " of " (grouped(total)) "." } } }
                @if letters.is_empty() { p.empty { (self.none("None: no message was given up.")) } } @else {
                    div.scroll { table {
                        thead { tr {
                            th scope="col" { "Item" } th scope="col" { "Broker" } th scope="col" { "Post" } th scope="col" { "Message" }
                            th scope="col" { "Reason" } th scope="col" { "Last outcome" } th.number scope="col" { "Attempts" } th.number scope="col" { "For" }
                        } }
                        tbody { @for letter in letters { tr {
                            th scope="row" { span.mono { (letter.item_id) } }
                            td { (letter.broker) }
                            td { (letter.post) }
                            td { (letter.kind.as_str()) div."small"."mono" { (letter.message_id.to_string()) } div.small { (letter.mapping) " " (letter.mapping_version) } }
                            td { span."badge"."bad" { (letter.reason.as_str()) } }
                            td {
                                @if let Some(outcome) = &letter.last_outcome { (outcome) }
                                @if let Some(status) = letter.last_status { div.small { "HTTP " (status) } }
                            }
                            td.number { (letter.attempts) }
                            td.number { (self.since(&rfc3339(letter.since))) }
                        } } }
                    } }
                }
            }
        }
    }

    fn parked(&self) -> Markup {
        let parked = self.stored.as_ref().map_or(&[][..], |stored| &stored.parked);
        html! {
            section aria-labelledby="parked" {
                div.head { h2 #parked { "Parked notices" } span.soft { "Stored and kept: unreadable ones, and those whose item is not known yet; the newest " (ROWS) " of each." } }
                @if parked.is_empty() { p.empty { (self.none("None: every notice was read and belongs to an item.")) } } @else {
                    div.scroll { table {
                        thead { tr {
                            th scope="col" { "Notice" } th scope="col" { "Broker" } th scope="col" { "State" } th scope="col" { "Reason" }
                            th.number scope="col" { "Bytes" } th scope="col" { "SHA-256" } th.number scope="col" { "Came" }
                        } }
                        tbody { @for notice in parked { tr {
                            th scope="row" { span.mono { (notice.notice_id.to_string()) } }
                            td { (notice.broker) }
                            td { span class=(if notice.state == "unreadable" { "badge bad" } else { "badge warn" }) { (notice.state) } }
                            td {
                                (notice.reason.as_deref().unwrap_or("–"))
                                @if let Some(version) = &notice.mapping_version { div.small { "by " (version) } }
                            }
                            td.number { (grouped(notice.size)) }
                            td { span.mono { (notice.sha256.get(..12).unwrap_or_default()) "…" } }
                            td.number { (self.since(&notice.received_at)) " ago" }
                        } } }
                    } }
                }
            }
        }
    }

    fn certificates(&self) -> Markup {
        let (shown, well): (Vec<_>, Vec<_>) = self.certificates.iter().partition(|file| is_urgent(file));
        let next = well.iter().filter_map(|file| Some((file.days_left?, &file.name))).min();
        html! {
            section aria-labelledby="certificates" {
                div.head { h2 #certificates { "Certificates" } span.soft { "Those that end within " (SOON_DAYS) " days, have ended, or cannot be read." } }
                @if !shown.is_empty() {
                    div.scroll { table {
                        thead { tr { th scope="col" { "Certificate" } th scope="col" { "State" } th scope="col" { "Ends" } th.number scope="col" { "Days left" } } }
                        tbody { @for file in &shown { tr {
                            th scope="row" { (file.name) }
                            td { span class=(if file.state == "valid" { "badge warn" } else { "badge bad" }) { (file.state.replace('_', " ")) } @if let Some(fault) = &file.fault { div.small { (fault) } } }
                            td { (file.not_after.as_deref().and_then(|text| text.get(..10)).unwrap_or("–")) }
                            td.number { @if let Some(days) = file.days_left { (days) } @else { "–" } }
                        } } }
                    } }
                }
                @if let Some((days, name)) = next {
                    p.empty { @if shown.is_empty() { "None. " } (well.len()) " in good order; the next to end is " (name) ", in " (days) " days." }
                }
            }
        }
    }

    fn ago(&self, at: Timestamp) -> Markup {
        html! { time datetime=(rfc3339(at)) title=(rfc3339(at)) { (duration(age_seconds(at, self.now))) } }
    }

    /// The time since an instant given as text.
    fn since(&self, text: &str) -> Markup {
        match text.parse::<Timestamp>() {
            Ok(at) => self.ago(at),
            Err(_) => html! { (text) },
        }
    }
}

fn lane_badge(state: LaneState) -> Markup {
    let (class, word) = match state {
        LaneState::Running => ("badge good", "running"),
        LaneState::Paused => ("badge warn", "paused"),
        LaneState::BreakerOpen => ("badge bad", "breaker open"),
        LaneState::Disabled => ("badge bad", "disabled"),
        LaneState::Held => ("badge warn", "held"),
        LaneState::Stopping => ("badge still", "stopping"),
    };
    html! { span class=(class) { (word) } }
}

fn breaker_badge(state: BreakerState) -> Markup {
    let (class, word) = match state {
        BreakerState::Closed => ("badge still", "closed"),
        BreakerState::HalfOpen => ("badge warn", "half-open"),
        BreakerState::Open => ("badge bad", "open"),
    };
    html! { span class=(class) { (word) } }
}

/// Two steps, so that no broker is held by a slip of the hand.
fn order_form(lane: &Lane) -> Markup {
    let (order, word) = if lane.state == LaneState::Paused { ("resume", "Resume") } else { ("pause", "Pause") };
    html! {
        details {
            summary aria-label=(format!("{word} {}", lane.broker)) { (word) "…" }
            form method="post" action=(format!("/v1/brokers/{}/{order}", lane.broker)) {
                input type="hidden" name="reason" value=(format!("{order}d on the operators' page"));
                button { (word) " now" }
            }
        }
    }
}

fn is_urgent(file: &CertificateView) -> bool {
    file.state != "valid" || file.days_left.is_some_and(|days| days < SOON_DAYS)
}

fn ending(file: &CertificateView) -> String {
    match (file.state, file.days_left) {
        ("valid", Some(0)) => "ends within a day".to_owned(),
        ("valid", Some(1)) => "ends in 1 day".to_owned(),
        ("valid", Some(days)) => format!("ends in {days} days"),
        ("not_yet_valid", _) => "is not valid yet".to_owned(),
        ("expired", _) => "has ended".to_owned(),
        _ => "cannot be read".to_owned(),
    }
}

fn moment(at: Timestamp) -> Markup {
    let text = rfc3339(at);
    let shown = text.get(..19).unwrap_or(&text).replace('T', " ");
    html! { time datetime=(text) { (shown) " UTC" } }
}

/// The two largest units of a duration: `3 d 4 h`, `12 min`.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Thousands apart by a thin space.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
