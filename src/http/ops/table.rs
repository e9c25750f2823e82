//! The rows of the operators' listener.

use actix_web::web;

use super::source::ParkedState;
use super::{dashboard, evidence, handlers, orders, views};
use crate::domain::delivery::DeadReason;
use crate::error::Code;
use crate::http::routes::{Answer, Content, Listener, Method, Parameter, Route, Table, Values};
use crate::http::schema;

/// Most rows of a list.
const MAX_ROWS: u64 = 1000;

pub(super) const BROKER: Parameter = Parameter::query("broker", Values::Text(64), "Of one broker only.");
pub(super) const REASON: Parameter = Parameter::query("reason", Values::OneOf(DeadReason::WORDS), "Of one reason only.");
pub(super) const POST: Parameter = Parameter::query("post", Values::Text(64), "Of one post only.");
pub(super) const LIMIT: Parameter =
    Parameter::query("limit", Values::Integer { min: 1, max: MAX_ROWS, default: 100 }, "At most so many, newest first.");
pub(super) const STATE: Parameter =
    Parameter::query("state", Values::OneOf(ParkedState::WORDS), "Unreadable ones, or those whose item is not known.").required();
pub(super) const REFRESH: Parameter =
    Parameter::query("refresh", Values::Integer { min: 0, max: 3600, default: 10 }, "Seconds until the page loads itself anew; 0 never.");

pub(super) const DEAD_LETTER_PARAMETERS: &[Parameter] = &[BROKER, REASON, POST, LIMIT];
pub(super) const NOTICE_PARAMETERS: &[Parameter] = &[STATE, LIMIT];
pub(super) const PAGE_PARAMETERS: &[Parameter] = &[REFRESH];

const REASON_FORMS: &[Content] = &[
    Content::json(schema::record::<handlers::StandingOrder>),
    Content::of("application/x-www-form-urlencoded", schema::record::<handlers::StandingOrder>),
];
const THE_BROKER: &[Content] = &[Content::json(schema::answer::<views::BrokerView>)];
const ORDER_ANSWERS: &[Answer] = &[
    Answer::new(200, "Done, and durable; the broker as it now is.", THE_BROKER),
    Answer::empty(303, "Done; asked for by the page's form.").headers(&[("Location", "`/`")]),
];
const ORDER_REFUSALS: &[Code] = &[
    Code::MalformedJson,
    Code::BadQuery,
    Code::NotFound,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidRequest,
    Code::StoreUnavailable,
];

/// The operators' listener.
pub static TABLE: Table = Table {
    listener: Listener::Ops,
    parts: &[HEALTH, LISTS, ORDERS, orders::ROUTES, evidence::ROUTES],
    always: &[Code::Internal],
    closed: &[Code::Unauthorized, Code::Forbidden],
};

const HEALTH: &[Route] = &[
    Route::new(Method::Get, "/health/live", "Whether the process lives", || web::to(handlers::live))
        .answers(&[Answer::new(200, "It lives.", &[Content::json(schema::answer::<views::Health>)])])
        .open(),
    Route::new(Method::Get, "/health/ready", "Whether work is taken", || web::to(handlers::ready))
        .described("All three listeners are bound and the store commits. 503 while the process ends.")
        .answers(&[Answer::new(200, "Work is taken.", &[Content::json(schema::answer::<views::Health>)])])
        .refuses(&[Code::Draining, Code::StoreUnavailable])
        .open(),
    Route::new(Method::Get, "/metrics", "Metrics", || web::to(handlers::metrics))
        .answers(&[Answer::new(200, "Prometheus text format.", &[Content::of("text/plain", schema::text)])])
        .refuses(&[Code::BadQuery]),
    Route::new(Method::Get, "/", "The page for operators", || web::to(dashboard::page))
        .described("Brokers with what waits for them and why, dead letters, parked notices, certificates that end soon. Loads nothing from elsewhere.")
        .parameters(PAGE_PARAMETERS)
        .answers(&[Answer::new(200, "The page.", &[Content::of("text/html", schema::text)])])
        .refuses(&[Code::BadQuery]),
];

const LISTS: &[Route] = &[
    Route::new(Method::Get, "/v1/brokers", "Brokers: what each does, why, and what waits for it", || web::to(handlers::brokers))
        .answers(&[Answer::new(200, "Every configured broker.", &[Content::json(schema::answer::<views::BrokerList>)])])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
    Route::new(Method::Get, "/v1/dead-letters", "Messages that were given up", || web::to(handlers::dead_letters))
        .parameters(DEAD_LETTER_PARAMETERS)
        .answers(&[Answer::new(200, "Newest first.", &[Content::json(schema::answer::<views::DeadLetterList>)])])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
    Route::new(Method::Get, "/v1/notices", "Notices that are parked", || web::to(handlers::notices))
        .parameters(NOTICE_PARAMETERS)
        .answers(&[Answer::new(200, "Newest first.", &[Content::json(schema::answer::<views::NoticeList>)])])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
    Route::new(Method::Get, "/v1/mappings", "Mappings: the version that serves, and what is wrong with the files", || {
        web::to(handlers::mappings)
    })
    .answers(&[Answer::new(200, "By name.", &[Content::json(schema::answer::<views::MappingList>)])])
    .refuses(&[Code::BadQuery]),
    Route::new(Method::Get, "/v1/certificates", "Configured certificates and when they end", || web::to(handlers::certificates))
        .described("The files as they are now; what is in use changes with `reload-certificates`.")
        .answers(&[Answer::new(200, "Every configured file.", &[Content::json(schema::answer::<views::CertificateList>)])])
        .refuses(&[Code::BadQuery]),
];

const ORDERS: &[Route] = &[
    Route::new(Method::Post, "/v1/brokers/{broker}/pause", "Hold a broker", || web::to(handlers::pause))
        .described("Nothing more is sent to it, no attempt is spent, the give-up time stands still. Holds over a restart. Safe to repeat.")
        .may_take("Why; shown in the lists until it is resumed.", REASON_FORMS)
        .answers(ORDER_ANSWERS)
        .refuses(ORDER_REFUSALS),
    Route::new(Method::Post, "/v1/brokers/{broker}/resume", "Let a broker go on", || web::to(handlers::resume))
        .described("What waited is sent in order at the permitted rate. Safe to repeat.")
        .may_take("Why.", REASON_FORMS)
        .answers(ORDER_ANSWERS)
        .refuses(ORDER_REFUSALS),
    Route::new(Method::Post, "/v1/brokers/{broker}/reload-certificates", "Read a broker's certificates anew", || {
        web::to(handlers::reload_certificates)
    })
    .described("Its secrets too. The new ones are used from the next connection on, after a check; the old ones stay when the check fails.")
    .answers(&[Answer::new(200, "They are in use.", THE_BROKER)])
    .refuses(&[Code::BadQuery, Code::NotFound, Code::ReloadRefused, Code::StoreUnavailable]),
    Route::new(Method::Post, "/v1/mappings/reload", "Load all mappings anew", || web::to(handlers::reload_mappings))
        .described("All or nothing: when one has faults, or a broker's settings do not fit, all are listed and those in use stay. Good versions are kept in the store before they serve. Queued messages keep their bytes.")
        .answers(&[Answer::new(200, "They are in use.", &[Content::json(schema::answer::<views::MappingList>)])])
        .refuses(&[Code::BadQuery, Code::ReloadRefused, Code::StoreUnavailable]),
];
