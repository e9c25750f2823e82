//! Changes of a declaration: amend it, cancel it.

use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::super::common::{conversation_of, traceparent_of};
use super::super::problem::answer;
use super::super::query::Query;
use super::super::routes::{Answer, Content, Method, Parameter, Route, Values};
use super::super::schema;
use super::IntakeState;
use super::declarations::{KEY, REPLAY_HEADER, STATUS, declaration_id, idempotency_key, submission, taken_answer};
use crate::domain::declaration::Declaration;
use crate::domain::intent::ReasonCode;
use crate::error::Code;
use crate::intake::Submission;
use crate::store::WantedReason;

const REASON: Parameter = Parameter::query("reason", Values::OneOf(ReasonCode::WORDS), "Why; `other` when left out.");
const TEXT: Parameter = Parameter::query("text", Values::Text(512), "Why, in the post's words; for the broker.");

pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Put, "/v1/declarations/{declaration_id}", "Amend a declaration", || web::to(amend))
        .described(
            "The body is the whole new version, with `reason` (`code`, `text`) beside its fields. It is queued behind the earlier messages of its filings: nothing sent yet or rejected, \
             and it becomes a new declaration with a new LRN; accepted, and it becomes the format's amendment.",
        )
        .parameters(&[KEY])
        .takes("The new version, and `reason`.", &[Content::json(schema::record::<Declaration>)])
        .answers(&[
            Answer::new(202, "Stored; carried out when the earlier messages are settled.", STATUS),
            Answer::new(200, "Equal to the newest version: its answer again.", STATUS).headers(REPLAY_HEADER),
        ])
        .refuses(&[
            Code::MalformedJson,
            Code::BadHeader,
            Code::RequestTimeout,
            Code::NotFound,
            Code::DeclarationEnded,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidDeclaration,
            Code::MappingFault,
            Code::ChangeUnsupported,
            Code::KeyReused,
            Code::StoreUnavailable,
            Code::Overloaded,
            Code::Draining,
            Code::MappingUnavailable,
        ]),
    Route::new(Method::Delete, "/v1/declarations/{declaration_id}", "Cancel a declaration", || web::to(cancel))
        .described("Queued behind the earlier messages of its filings. Nothing sent yet, and it is cancelled by us; accepted, and customs is asked to cancel it.")
        .parameters(&[REASON, TEXT, KEY])
        .answers(&[
            Answer::new(202, "Stored; carried out when the earlier messages are settled.", STATUS),
            Answer::new(200, "Asked for before: that answer again.", STATUS).headers(REPLAY_HEADER),
        ])
        .refuses(&[
            Code::BadHeader,
            Code::BadQuery,
            Code::NotFound,
            Code::DeclarationEnded,
            Code::MappingFault,
            Code::ChangeUnsupported,
            Code::KeyReused,
            Code::StoreUnavailable,
            Code::Overloaded,
            Code::Draining,
            Code::MappingUnavailable,
        ]),
];

async fn amend(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let submission = submission(&request, payload, &state).await?;
        let id = declaration_id(&request)?;
        Ok(taken_answer(state.intake.amend(id, &submission).await?))
    };
    answer(&request, outcome.await)
}

async fn cancel(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        state.takes_work()?;
        let query = Query::read(&request, &[REASON, TEXT])?;
        let code = query.text(&REASON).and_then(ReasonCode::parse).unwrap_or(ReasonCode::Other);
        let reason = WantedReason { code, text: query.text(&TEXT).map(str::to_owned) };
        let submission = Submission {
            post,
            body: bytes::Bytes::copy_from_slice(request.query_string().as_bytes()),
            key: idempotency_key(&request)?,
            conversation_id: conversation_of(&request),
            traceparent: traceparent_of(&request),
        };
        let id = declaration_id(&request)?;
        Ok(taken_answer(state.intake.cancel(id, &submission, reason).await?))
    };
    answer(&request, outcome.await)
}
