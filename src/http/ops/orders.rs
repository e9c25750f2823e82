//! Orders about what is stuck: dead letters are replayed or purged, parked notices are read again.
//!
//! An order has to say what it is about: a filter without a member would be about everything, and is refused. With
//! `dry_run` it is counted and nothing more. The answer tells how many it was about and how many were changed.

use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::OpsState;
use super::handlers::{ORDER_LIMITS, json, no_query};
use super::source::{DeadDeed, DeadOrder, ParkedState, RereadOrder};
use crate::domain::delivery::DeadReason;
use crate::domain::fault::{self, Fault};
use crate::domain::ids::MessageId;
use crate::domain::operate::ReplayMode;
use crate::domain::record::{FieldType, Reader};
use crate::domain::text::Text;
use crate::domain::time::{Timestamp, from_millis};
use crate::error::{ApiError, Code};
use crate::http::body;
use crate::http::problem::answer;
use crate::http::routes::{Answer, Content, Method, Route};
use crate::http::schema;
use crate::record;
use crate::store::{DeadSelection, Handled};

record! {
    /// Which dead letters; at least one member has to be given, and all that are given have to fit.
    pub struct DeadLetterSelection {
        /// This message.
        message_id: Option<Text<36>>,
        /// Of this broker.
        broker: Option<Text<64>>,
        /// With this reason.
        reason: Option<DeadReason>,
        /// Of this post.
        post: Option<Text<64>>,
        /// Dead for at least so many seconds.
        older_than_s: Option<u64>,
    }
}
record! {
    /// Lets dead letters live again.
    pub struct ReplayOrder {
        /// Which.
        filter: DeadLetterSelection,
        /// How.
        mode: ReplayMode,
        /// Only count them.
        dry_run: bool = false,
        /// At most so many, by broker and the longest dead first; all when left out.
        limit: Option<u64>,
        /// Why; kept with the act.
        reason: Option<Text<200>>,
    }
}
record! {
    /// Takes dead letters back for good.
    pub struct PurgeOrder {
        /// Which.
        filter: DeadLetterSelection,
        /// Why; kept with the act.
        reason: Text<200>,
        /// Only count them.
        dry_run: bool = false,
        /// At most so many, by broker and the longest dead first; all when left out.
        limit: Option<u64>,
    }
}

record! {
    /// Which parked notices.
    pub struct ParkedNoticeSelection {
        /// Why they are parked.
        state: ParkedState,
        /// Of this broker only.
        broker: Option<Text<64>>,
    }
}
record! {
    /// Has parked notices read again.
    pub struct NoticeRereadOrder {
        /// Which.
        filter: ParkedNoticeSelection,
        /// Only count them.
        dry_run: bool = false,
        /// Why; kept with the act.
        reason: Option<Text<200>>,
    }
}

/// What an order came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderView {
    /// What was ordered: `same_bytes`, `remap`, `settle_delivered`, `purge`, `reread`.
    pub mode: &'static str,
    /// Whether it was only counted.
    pub dry_run: bool,
    /// How many the order is about, its limit not counted.
    pub matched: u64,
    /// How many were changed.
    pub done: u64,
}

const THE_COUNTS: &[Content] = &[Content::json(schema::answer::<OrderView>)];
const REFUSALS: &[Code] = &[
    Code::MalformedJson,
    Code::BadQuery,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidRequest,
    Code::StoreUnavailable,
];

/// Routes of this module.
pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Post, "/v1/dead-letters/replay", "Let dead letters live again", || web::to(replay))
        .described("`same_bytes`: the same bytes under the same message id, attempts and give-up time counted anew, in the order of their filings and at no more than half of the broker's permits. `remap`: rendered anew by the newest mapping with a new message id and LRN; the dead message ends `withdrawn`. `settle_delivered`: a person knows that the broker has it; nothing is sent. What dies again while the order runs is not taken twice. Safe to repeat.")
        .takes("Which, how, and whether only to count.", &[Content::json(schema::record::<ReplayOrder>)])
        .answers(&[Answer::new(200, "Done, and durable; or counted.", THE_COUNTS)])
        .refuses(REFUSALS),
    Route::new(Method::Post, "/v1/dead-letters/purge", "Take dead letters back for good", || web::to(purge))
        .described("They end `withdrawn`; bytes and attempts stay as evidence, and what waited behind them in their filings goes on. Safe to repeat.")
        .takes("Which and why, and whether only to count.", &[Content::json(schema::record::<PurgeOrder>)])
        .answers(&[Answer::new(200, "Done, and durable; or counted.", THE_COUNTS)])
        .refuses(REFUSALS),
];

/// The route for parked notices.
pub(super) const NOTICE_ROUTES: &[Route] = &[
    Route::new(Method::Post, "/v1/notices/reread", "Have parked notices read again", || web::to(reread))
        .described("By the mapping that serves. What was unreadable or of an unknown code under another version of its mapping is read again without being asked for. Safe to repeat: a notice that is read twice changes nothing, and a repeat of it stays a repeat.")
        .takes("Which, and whether only to count.", &[Content::json(schema::record::<NoticeRereadOrder>)])
        .answers(&[Answer::new(200, "They wait to be read; or they were counted.", THE_COUNTS)])
        .refuses(REFUSALS),
];

/// Reads an order; `check` adds the faults that no single field shows.
pub(super) async fn read<T: FieldType, S>(
    request: &HttpRequest,
    payload: Payload,
    check: impl FnOnce(T, &mut Vec<Fault>) -> S,
) -> Result<S, ApiError> {
    no_query(request)?;
    let bytes = body::read(request, payload, ORDER_LIMITS).await?;
    body::demand_type(request, &["application/json"])?;
    let json = crate::domain::json::parse(&bytes).map_err(|malformed| ApiError::new(Code::MalformedJson).detail(malformed.to_string()))?;
    let mut reader = Reader::default();
    let order = T::read(&json, &mut reader);
    let mut faults = reader.finish().0.into_vec();
    let checked = check(order, &mut faults);
    if faults.is_empty() { Ok(checked) } else { Err(ApiError::new(Code::InvalidRequest).errors(faults)) }
}

fn selection(filter: DeadLetterSelection, limit: Option<u64>, now: Timestamp, faults: &mut Vec<Fault>) -> DeadSelection {
    // A filter with a fault in it named something.
    if filter == DeadLetterSelection::default() && !faults.iter().any(|fault| fault.pointer.starts_with("/filter")) {
        faults.push(Fault::new("/filter".to_owned(), fault::REQUIRED, "has to name at least one thing"));
    }
    let message_id = filter.message_id.as_ref().and_then(|text| MessageId::parse(text.as_str()));
    if filter.message_id.is_some() && message_id.is_none() {
        faults.push(Fault::new("/filter/message_id".to_owned(), fault::BAD_FORMAT, "a UUID, as the list shows it"));
    }
    if limit == Some(0) {
        faults.push(Fault::new("/limit".to_owned(), fault::OUT_OF_RANGE, "at least 1"));
    }
    let age_ms = filter.older_than_s.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000));
    DeadSelection {
        message_id,
        broker: filter.broker.map(|text| text.to_string()),
        reason: filter.reason,
        post: filter.post.map(|text| text.to_string()),
        dead_before: age_ms.map(|age| from_millis(now.as_millisecond().saturating_sub(age))),
        limit,
    }
}

async fn carry_out(state: &OpsState, order: DeadOrder) -> Result<HttpResponse, ApiError> {
    let mode = match order.deed {
        DeadDeed::Replay(mode) => mode.as_str(),
        DeadDeed::Purge => "purge",
    };
    let dry_run = order.dry_run;
    let Handled { matched, done } = state.source.settle_dead(order).await?;
    if !dry_run {
        tracing::info!(mode, matched, done, "an operator decided on dead letters");
    }
    Ok(json(&OrderView { mode, dry_run, matched, done }))
}

async fn replay(request: HttpRequest, payload: Payload, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let now = state.now();
        let order = read(&request, payload, |order: ReplayOrder, faults| DeadOrder {
            selection: selection(order.filter, order.limit, now, faults),
            deed: DeadDeed::Replay(order.mode),
            dry_run: order.dry_run,
            reason: order.reason.map(|text| text.to_string()),
        });
        carry_out(&state, order.await?).await
    };
    answer(&request, outcome.await)
}

async fn purge(request: HttpRequest, payload: Payload, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let now = state.now();
        let order = read(&request, payload, |order: PurgeOrder, faults| DeadOrder {
            selection: selection(order.filter, order.limit, now, faults),
            deed: DeadDeed::Purge,
            dry_run: order.dry_run,
            reason: Some(order.reason.to_string()),
        });
        carry_out(&state, order.await?).await
    };
    answer(&request, outcome.await)
}

async fn reread(request: HttpRequest, payload: Payload, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let order = read(&request, payload, |order: NoticeRereadOrder, _| RereadOrder {
            state: order.filter.state,
            broker: order.filter.broker.map(|text| text.to_string()),
            dry_run: order.dry_run,
            reason: order.reason.map(|text| text.to_string()),
        });
        let order = order.await?;
        let (dry_run, parked) = (order.dry_run, order.state);
        let Handled { matched, done } = state.source.reread(order).await?;
        if !dry_run {
            tracing::info!(state = parked.as_str(), matched, done, "an operator had parked notices read again");
        }
        Ok(json(&OrderView { mode: "reread", dry_run, matched, done }))
    };
    answer(&request, outcome.await)
}
