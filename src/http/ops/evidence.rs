//! The evidence: its chains to be taken away and checked elsewhere, a check on the spot, and what operators did.
//!
//! What is exported are ids and digests: it can be given to an auditor without giving a declaration away.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::OpsState;
use super::handlers::{json, no_query};
use crate::domain::audit::{ChainSum, to_line};
use crate::domain::fault::{self, Fault};
use crate::domain::time::rfc3339;
use crate::error::{ApiError, Code};
use crate::http::problem::answer;
use crate::http::query::Query;
use crate::http::routes::{Answer, Content, Method, Parameter, Route, Values};
use crate::http::schema;
use crate::store::{ActRow, BadEvidence, Verified};

const NDJSON: &str = "application/x-ndjson";
/// Most links, and most acts, of one page.
const MAX_LINKS: u64 = 10_000;
const MAX_ACTS: u64 = 1000;

const AFTER: Parameter = Parameter::query("after", Values::Text(64), "`CHAIN:NUMBER` of the last line seen; left out, the first.");
const LINKS: Parameter = Parameter::query("limit", Values::Integer { min: 1, max: MAX_LINKS, default: 1000 }, "At most so many lines.");
const ACTS: Parameter =
    Parameter::query("limit", Values::Integer { min: 1, max: MAX_ACTS, default: 100 }, "At most so many, newest first.");
const EXPORT_PARAMETERS: &[Parameter] = &[AFTER, LINKS];
const ACT_PARAMETERS: &[Parameter] = &[ACTS];

/// Routes of this module.
pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/v1/audit", "Links of the chains of evidence", || web::to(export))
        .described("One JSON object a line: `chain`, `number`, `at`, `previous`, `entries` (`kind`, `subject`, `digest`), `hash`. A page may be shorter than its limit; an empty one is the end. `preclear audit verify` checks what was exported, on any machine.")
        .parameters(EXPORT_PARAMETERS)
        .answers(&[Answer::new(200, "Links, in the order of chains and numbers.", &[Content::of(NDJSON, schema::text)])])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
    Route::new(Method::Get, "/v1/audit/verify", "Check all evidence", || web::to(verify))
        .described("Every link is followed; every declaration, message, notice and act that is still stored with its salt is held against the link that it names. Takes as long as reading all that takes; nobody waits for it.")
        .answers(&[Answer::new(200, "What was found: `ok`, or the first thing that is wrong.", &[Content::json(schema::answer::<AuditView>)])])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
    Route::new(Method::Get, "/v1/audit/acts", "What operators did", || web::to(acts))
        .parameters(ACT_PARAMETERS)
        .answers(&[Answer::new(200, "Newest first.", &[Content::json(schema::answer::<ActList>)])])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
];

/// `GET /v1/audit/verify`.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// Whether everything holds.
    pub ok: bool,
    /// Every chain as far as it was followed.
    pub chains: Vec<ChainView>,
    /// Stored rows that were held against their links.
    pub rows: u64,
    /// The first thing that is wrong.
    pub bad: Option<BadView>,
}

/// A chain of evidence; each writer has its own.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainView {
    /// Its id.
    pub chain: String,
    /// Links.
    pub links: u64,
    /// Entries in them.
    pub entries: u64,
    /// Time of the first.
    pub first_at: String,
    /// Time of the last.
    pub last_at: String,
}

/// A bad link, or a stored row that its link does not prove.
#[derive(Debug, Serialize, ToSchema)]
pub struct BadView {
    /// Chain of a bad link.
    pub chain: Option<String>,
    /// Number of a bad link.
    pub number: Option<u64>,
    /// What a bad row is: `declaration`, `message`, `notice` or `act`.
    pub kind: Option<&'static str>,
    /// Id of a bad row.
    pub subject: Option<String>,
    /// `gap`, `previous`, `hash` or `entries` of a link; `missing` or `differs` of a row.
    pub why: &'static str,
}

/// `GET /v1/audit/acts`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActList {
    /// Newest first.
    pub acts: Vec<ActView>,
}

/// What an operator did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActView {
    /// Its id.
    pub act_id: String,
    /// When it began.
    pub at: String,
    /// Who: whoever holds the operators' credentials.
    pub who: &'static str,
    /// `pause`, `resume`, `reload_certificates`, `reload_mappings`, `replay`, `purge` or `reread`.
    pub act: &'static str,
    /// To which broker.
    pub broker: Option<String>,
    /// What it was about, as it was asked for.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<serde_json::Value>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Rows that it changed; null where it is not about rows.
    pub done: Option<u64>,
}

impl From<Verified> for AuditView {
    fn from(found: Verified) -> Self {
        let chain = |sum: ChainSum| ChainView {
            chain: sum.chain.to_string(),
            links: sum.links,
            entries: sum.entries,
            first_at: rfc3339(sum.first_at),
            last_at: rfc3339(sum.last_at),
        };
        let none = BadView { chain: None, number: None, kind: None, subject: None, why: "" };
        let bad = |bad: BadEvidence| match bad {
            BadEvidence::Link(bad) => {
                BadView { chain: Some(bad.chain.to_string()), number: Some(bad.number), why: bad.why.as_str(), ..none }
            }
            BadEvidence::Row { kind, subject, why } => {
                BadView { kind: Some(kind.as_str()), subject: Some(subject.to_string()), why: why.as_str(), ..none }
            }
        };
        Self { ok: found.bad.is_none(), chains: found.chains.into_iter().map(chain).collect(), rows: found.rows, bad: found.bad.map(bad) }
    }
}

impl From<ActRow> for ActView {
    fn from(row: ActRow) -> Self {
        Self {
            act_id: row.act_id.to_string(),
            at: rfc3339(row.at),
            who: "ops",
            act: row.kind.as_str(),
            broker: row.broker,
            filter: row.filter.and_then(|filter| serde_json::from_str(&filter).ok()),
            reason: row.reason,
            done: row.done,
        }
    }
}

async fn export(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let query = Query::read(&request, EXPORT_PARAMETERS)?;
        let after = query.text(&AFTER).map(|text| place(text).ok_or_else(bad_place)).transpose()?;
        let limit = usize::try_from(query.integer(&LINKS)).unwrap_or(usize::MAX);
        let links = state.source.audit_links(after, limit).await?;
        // A link whose entries are none has no line: the export ends before it, and `verify` names it.
        let lines: String = links.iter().map_while(to_line).map(|line| line + "\n").collect();
        if lines.is_empty() && !links.is_empty() {
            tracing::error!("a link of the evidence is damaged; GET /v1/audit/verify names it");
            return Err(Code::Internal.into());
        }
        Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, NDJSON)).body(lines))
    };
    answer(&request, outcome.await)
}

fn place(text: &str) -> Option<(Uuid, u64)> {
    let (chain, number) = text.split_once(':')?;
    Some((Uuid::try_parse(chain).ok()?, number.parse().ok()?))
}

fn bad_place() -> ApiError {
    ApiError::new(Code::BadQuery).errors(vec![Fault::new(
        "/after".to_owned(),
        fault::BAD_FORMAT,
        "the chain and the number of a line, with a colon between them",
    )])
}

async fn verify(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        let found = AuditView::from(state.source.verify_audit().await?);
        if !found.ok {
            tracing::error!("the evidence does not hold; the answer of GET /v1/audit/verify says where");
        }
        Ok(json(&found))
    };
    answer(&request, outcome.await)
}

async fn acts(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let query = Query::read(&request, ACT_PARAMETERS)?;
        let limit = u32::try_from(query.integer(&ACTS)).unwrap_or(u32::MAX);
        let acts = state.source.acts(limit).await?.into_iter().map(Into::into).collect();
        Ok(json(&ActList { acts }))
    };
    answer(&request, outcome.await)
}
