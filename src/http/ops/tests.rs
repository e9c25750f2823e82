//! The operators' routes against a stand-in for the rest of the gateway.

mod evidence;
mod mappings;
mod orders;

use std::sync::{LazyLock, Mutex};

use actix_web::http::{Method as HttpMethod, StatusCode};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;

use super::source::{BreakerState, LaneState, LoadedMapping, OpsFault, ParkedState};
use super::*;
use crate::catalog::MappingState;
use crate::config;
use crate::domain::audit::Link;
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::ids::{DeclarationId, MessageId, NoticeId};
use crate::domain::operate::ActKind;
use crate::domain::time::{FixedClock, rfc3339};
use crate::http::ops::source::{DeadFilter, DeadOrder, Lane};
use crate::http::problem::PROBLEM_JSON;
use crate::http::routes::Method;
use crate::store::{ActRow, BacklogRow, DeadLetter, Handled, KeptMapping, ParkedNotice, StoreError, Verified};

const NOW: &str = "2026-11-22T12:00:00Z";
const CONFIG: &str = r#"
    [callbacks]
    certificate = "nowhere.pem"
    key = "nowhere.key"
    client_ca = "nowhere-ca.pem"
    [posts.KRA]
    name = "Korea Post"
    api_keys = ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    [brokers.uk-broker]
    mapping = "hmrc-cds"
    url = "https://localhost:9443/declarations"
    ca = "nowhere-ca.pem"
    certificate = "nowhere.pem"
    key = "nowhere.key"
    rate = { per_second = 50 }
    [brokers.nl-broker]
    mapping = "hmrc-cds"
    url = "https://localhost:9443/declarations"
    ca = "nowhere-ca.pem"
    certificate = "nowhere.pem"
    key = "nowhere.key"
    rate = { per_second = 50 }
    [[routes]]
    broker = "uk-broker"
"#;

/// One recorder for the whole test process: the macros know no other way.
static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).expect("the first recorder of this process");
    handle
});

/// The rest of the gateway, as the test wants it.
#[derive(Default)]
struct StandIn {
    store_fails: bool,
    mappings_are_faulty: bool,
    paused: Mutex<Option<Option<String>>>,
    asked: Mutex<Vec<DeadFilter>>,
    ordered: Mutex<Vec<DeadOrder>>,
    links: Vec<Link>,
    verified: Verified,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

impl StandIn {
    fn stored<T: Send + 'static>(&self, value: T) -> BoxFuture<'_, Result<T, StoreError>> {
        let failed = self.store_fails.then_some(StoreError::Unavailable("disk full at /secret/place"));
        std::future::ready(failed.map_or(Ok(value), Err)).boxed()
    }
}

impl OpsSource for StandIn {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.stored(())
    }

    fn backlog(&self) -> BoxFuture<'_, Result<Vec<BacklogRow>, StoreError>> {
        let row = |state, count, oldest: &str| BacklogRow { broker: "uk-broker".into(), state, count, oldest_at: Some(at(oldest)) };
        self.stored(vec![
            row(DeliveryState::Waiting, 2, "2026-11-21T12:00:00Z"),
            row(DeliveryState::Queued, 1234, "2026-11-22T11:30:00Z"),
            row(DeliveryState::Dead, 1, "2026-11-01T00:00:00Z"),
            row(DeliveryState::Delivered, 99, "2026-11-01T00:00:00Z"),
        ])
    }

    fn dead_letters(&self, filter: DeadFilter) -> BoxFuture<'_, Result<Vec<DeadLetter>, StoreError>> {
        self.asked.lock().expect("whole").push(filter);
        self.stored(vec![DeadLetter {
            message_id: MessageId::new(),
            broker: "uk-broker".into(),
            post: "KRA".into(),
            declaration_id: DeclarationId::new(),
            item_id: "EE000000016KR".into(),
            kind: MessageKind::Declaration,
            mapping: "hmrc-cds".into(),
            mapping_version: "1+old".into(),
            reason: DeadReason::Refused,
            since: at("2026-11-22T09:00:00Z"),
            attempts: 1,
            last_status: Some(422),
            last_outcome: Some("refused".into()),
        }])
    }

    fn settle_dead(&self, order: DeadOrder) -> BoxFuture<'_, Result<Handled, StoreError>> {
        let handled = Handled { matched: 3, done: if order.dry_run { 0 } else { 2 } };
        self.ordered.lock().expect("whole").push(order);
        self.stored(handled)
    }

    fn verify_audit(&self) -> BoxFuture<'_, Result<Verified, StoreError>> {
        self.stored(self.verified.clone())
    }

    fn audit_links(&self, after: Option<(uuid::Uuid, u64)>, _: usize) -> BoxFuture<'_, Result<Vec<Link>, StoreError>> {
        let after = after.map_or(0, |(_, number)| number);
        self.stored(self.links.iter().filter(|link| link.number > after).cloned().collect())
    }

    fn acts(&self, _: u32) -> BoxFuture<'_, Result<Vec<ActRow>, StoreError>> {
        let (act_id, filter) = (uuid::Uuid::now_v7(), Some(r#"{"mode":"remap"}"#.to_owned()));
        let (kind, broker, reason) = (ActKind::Replay, Some("uk-broker".to_owned()), Some("mended".to_owned()));
        self.stored(vec![ActRow { act_id, at: at(NOW), kind, broker, filter, reason, done: Some(3) }])
    }

    fn parked_notices(&self, state: ParkedState, _: u32) -> BoxFuture<'_, Result<Vec<ParkedNotice>, StoreError>> {
        self.stored(vec![ParkedNotice {
            notice_id: NoticeId::new(),
            broker: "uk-broker".into(),
            state: state.to_string(),
            reason: Some("cut_off".into()),
            mapping_version: Some("1+abc".into()),
            received_at: rfc3339(at("2026-11-22T11:59:00Z")),
            size: 4711,
            sha256: "ab".repeat(32),
        }])
    }

    fn lanes(&self) -> Vec<Lane> {
        let paused = self.paused.lock().expect("whole").clone();
        let uk = Lane {
            broker: "uk-broker".into(),
            state: if paused.is_some() { LaneState::Paused } else { LaneState::Running },
            reason: paused.flatten(),
            since: Some(at("2026-11-22T11:00:00Z")),
            breaker: BreakerState::HalfOpen,
            in_flight: 3,
        };
        let nl = Lane { broker: "nl-broker".into(), breaker: BreakerState::Open, state: LaneState::BreakerOpen, ..uk.clone() };
        vec![nl, uk]
    }

    fn pause(&self, _: String, reason: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>> {
        *self.paused.lock().expect("whole") = Some(reason);
        self.stored(()).map(|done| done.map_err(OpsFault::from)).boxed()
    }

    fn resume(&self, _: String, _: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>> {
        *self.paused.lock().expect("whole") = None;
        self.stored(()).map(|done| done.map_err(OpsFault::from)).boxed()
    }

    fn reload_certificates(&self, _: String) -> BoxFuture<'_, Result<(), OpsFault>> {
        self.stored(()).map(|done| done.map_err(OpsFault::from)).boxed()
    }

    fn mappings(&self) -> Vec<LoadedMapping> {
        let faults = vec![("hmrc-cds/declaration.xml:3:7".to_owned(), "no such field <canary>".to_owned())];
        let (state, faults) = if self.mappings_are_faulty { (MappingState::Stored, faults) } else { (MappingState::Loaded, Vec::new()) };
        vec![LoadedMapping { name: "hmrc-cds".into(), title: Some("CDS".into()), version: Some("1+abc".into()), state, faults }]
    }

    fn kept_mappings(&self) -> BoxFuture<'_, Result<Vec<KeptMapping>, StoreError>> {
        let kept = |name: &str, version: &str| KeptMapping { name: name.into(), version: version.into(), kept_at: at(NOW) };
        self.stored(vec![kept("hmrc-cds", "1+abc"), kept("hmrc-cds", "1+old"), kept("other", "2+x")])
    }

    fn reload_mappings(&self) -> BoxFuture<'_, Result<(), OpsFault>> {
        let faults = vec![("hmrc-cds/declaration.xml:3:7".to_owned(), "no such field".to_owned())];
        std::future::ready(if self.mappings_are_faulty { Err(OpsFault::Refused(faults)) } else { Ok(()) }).boxed()
    }
}

struct Bench {
    source: Arc<StandIn>,
    draining: Draining,
    state: web::Data<OpsState>,
}

fn bench(source: StandIn, extra: &str) -> Bench {
    let config = config::load_text(&format!("{CONFIG}\n{extra}"), std::iter::empty()).expect("a good configuration");
    let (source, draining) = (Arc::new(source), Draining::default());
    let clock = Arc::new(FixedClock::new(at(NOW)));
    let shared = Arc::clone(&source) as Arc<dyn OpsSource>;
    let state = OpsState::new(&config, shared, METRICS.clone(), draining.clone(), clock, Arc::new(|_| true));
    Bench { source, draining, state: web::Data::new(state) }
}

struct Seen {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
    text: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn code(&self) -> String {
        assert_eq!(self.header("content-type"), PROBLEM_JSON, "{}", self.text);
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    fn pointers(&self) -> Vec<String> {
        self.json()["errors"].as_array().expect("errors").iter().map(|e| e["pointer"].as_str().expect("text").to_owned()).collect()
    }
}

async fn send(bench: &Bench, request: TestRequest) -> Seen {
    let app = App::new().wrap(from_fn(crate::http::common::around)).app_data(web::Data::new(bench.draining.clone()));
    let app = init_service(app.configure(configure(bench.state.clone()))).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Seen { status, headers, text: String::from_utf8(read_body(response).await.to_vec()).expect("UTF-8") }
}

async fn get(bench: &Bench, uri: &str) -> Seen {
    send(bench, TestRequest::get().uri(uri)).await
}

async fn post(bench: &Bench, uri: &str, kind: &str, body: &str) -> Seen {
    let request = TestRequest::post().uri(uri).set_payload(body.to_owned());
    send(bench, if kind.is_empty() { request } else { request.insert_header(("content-type", kind)) }).await
}

fn method_of(route: &routes::Route) -> HttpMethod {
    HttpMethod::from_bytes(route.method.as_str().as_bytes()).expect("a method")
}

/// Every row, asked as it wants to be, answers a status and a content type that it documents.
#[actix_web::test]
async fn every_route_answers_what_its_row_says() {
    let bench = bench(StandIn::default(), "");
    for route in TABLE.routes() {
        let mut uri = route.path.replace("{broker}", "uk-broker");
        if route.path == "/v1/notices" {
            uri.push_str("?state=orphan");
        }
        let body = match route.path {
            "/v1/dead-letters/replay" => r#"{"filter":{"reason":"refused"},"mode":"same_bytes"}"#,
            "/v1/dead-letters/purge" => r#"{"filter":{"reason":"refused"},"reason":"done by hand"}"#,
            _ => "",
        };
        let request = TestRequest::with_uri(&uri).method(method_of(route));
        let request = if body.is_empty() { request } else { request.insert_header(("content-type", "application/json")).set_payload(body) };
        let seen = send(&bench, request).await;
        let answer = route.answers.iter().find(|answer| answer.status == seen.status);
        let answer = answer.unwrap_or_else(|| panic!("{uri}: {} is not documented: {}", seen.status, seen.text));
        let media = seen.header("content-type").split(';').next().unwrap_or_default().to_owned();
        assert!(answer.contents.iter().any(|content| content.media == media), "{uri}: {media} is not documented");
        assert_eq!(seen.header("x-content-type-options"), "nosniff");
        assert_eq!(seen.header("x-conversation-id").len(), 36);
        let separator = if uri.contains('?') { '&' } else { '?' };
        let odd = send(&bench, TestRequest::with_uri(&format!("{uri}{separator}nonsense=1")).method(method_of(route))).await;
        let refused = TABLE.refusals(route).iter().any(|code| code.status() == odd.status);
        assert!(refused || odd.status == seen.status, "{uri}: {} is not documented", odd.status);
    }
}

#[actix_web::test]
async fn other_methods_and_paths_are_problems() {
    let bench = bench(StandIn::default(), "");
    let seen = send(&bench, TestRequest::delete().uri("/v1/brokers")).await;
    assert_eq!((seen.status, seen.code().as_str(), seen.header("allow")), (405, "method_not_allowed", "GET, HEAD"));
    let seen = get(&bench, "/v1/brokers/uk-broker/pause").await;
    assert_eq!((seen.status, seen.header("allow")), (405, "POST"));
    assert_eq!(send(&bench, TestRequest::default().method(HttpMethod::HEAD).uri("/health/ready")).await.status, 200);
    for path in ["/v1/events", "/v1/declarations", "/openapi.json", "/docs", "/v1/brokers/", "/v1/audit/nothing"] {
        assert_eq!(get(&bench, path).await.code(), "not_found", "{path}");
    }
    for path in ["/v1/brokers/nobody/pause", "/v1/brokers/nobody/resume", "/v1/brokers/nobody/reload-certificates"] {
        assert_eq!(post(&bench, path, "", "").await.code(), "not_found", "{path}");
    }
}

#[actix_web::test]
async fn with_a_token_only_the_probes_are_open() {
    let bench = bench(StandIn::default(), "[ops]\ntoken = \"open sesame\"");
    let basic = |pair: &str| format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair));
    let given = [
        (None, 401),
        (Some("Bearer wrong".to_owned()), 401),
        (Some("Bearer ".to_owned()), 401),
        (Some("open sesame".to_owned()), 401),
        (Some(basic("anyone:wrong")), 401),
        (Some(basic("open sesame:")), 401),
        (Some(format!("Bearer {}open sesame", " ".repeat(3000))), 401),
        (Some("Bearer open sesame".to_owned()), 200),
        (Some("bearer open sesame".to_owned()), 200),
        (Some(basic("anyone:open sesame")), 200),
    ];
    for (header, status) in given {
        for path in ["/", "/metrics", "/v1/brokers", "/v1/certificates"] {
            let request = TestRequest::get().uri(path).insert_header(("host", "ops.example"));
            let request = if let Some(header) = &header { request.insert_header(("authorization", header.as_str())) } else { request };
            let seen = send(&bench, request).await;
            assert_eq!(seen.status, status, "{path} with {header:?}");
            if status == 401 {
                assert_eq!(seen.code(), "unauthorized");
                let offered: Vec<_> = seen.headers.get_all("www-authenticate").map(|value| value.to_str().expect("text")).collect();
                assert!(offered.contains(&"Bearer") && offered.iter().any(|offer| offer.starts_with("Basic realm")), "{offered:?}");
            }
        }
        assert_eq!(get(&bench, "/health/ready").await.status, 200);
        assert_eq!(get(&bench, "/health/live").await.status, 200);
        assert_eq!(get(&bench, "/nowhere").await.status, 401, "what exists is not told to strangers");
    }
}

/// A page of another site in the operator's browser can neither read nor order.
#[actix_web::test]
async fn other_sites_are_kept_out() {
    let bench = bench(StandIn::default(), "");
    let hosts = [
        ("127.0.0.1:9090", 200),
        ("[::1]:9090", 200),
        ("localhost:9090", 200),
        ("LOCALHOST", 200),
        ("evil.example", 403),
        ("evil.example:9090", 403),
        ("127.0.0.1.evil.example", 403),
    ];
    for (host, status) in hosts {
        assert_eq!(send(&bench, TestRequest::get().uri("/v1/brokers").insert_header(("host", host))).await.status, status, "{host}");
    }
    let headers = [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "none", 200),
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://localhost:9090", 200),
    ];
    for (name, value, status) in headers {
        let request = TestRequest::post().uri("/v1/brokers/uk-broker/resume").insert_header(("host", "localhost:9090"));
        assert_eq!(send(&bench, request.insert_header((name, value))).await.status, status, "{name}: {value}");
    }
}

#[actix_web::test]
async fn queries_are_strict_and_passed_on() {
    let bench = bench(StandIn::default(), "");
    let bad = [
        ("/v1/dead-letters?limit=0", vec!["/limit"]),
        ("/v1/dead-letters?limit=1001", vec!["/limit"]),
        ("/v1/dead-letters?limit=%2B5", vec!["/limit"]),
        ("/v1/dead-letters?limit=5&limit=5", vec!["/limit"]),
        ("/v1/dead-letters?reason=canary&borker=x", vec!["/reason", "/borker"]),
        ("/v1/dead-letters?can%20ary=1", vec!["/*"]),
        ("/v1/notices", vec!["/state"]),
        ("/v1/notices?state=canary", vec!["/state"]),
        ("/v1/brokers?x=1", vec!["/x"]),
        ("/?refresh=canary", vec!["/refresh"]),
        ("/metrics?x=1", vec!["/x"]),
    ];
    for (uri, pointers) in bad {
        let seen = get(&bench, uri).await;
        assert_eq!((seen.status, seen.code().as_str()), (400, "bad_query"), "{uri}");
        assert_eq!(seen.pointers(), pointers, "{uri}");
        assert!(!seen.text.contains("canary") && !seen.text.contains("can ary"), "{}", seen.text);
    }
    get(&bench, "/v1/dead-letters?broker=uk-broker&reason=refused&limit=7").await;
    get(&bench, "/v1/dead-letters").await;
    let asked: Vec<_> =
        bench.source.asked.lock().expect("whole").drain(..).map(|filter| (filter.broker, filter.reason, filter.limit)).collect();
    assert_eq!(asked, [(Some("uk-broker".to_owned()), Some(DeadReason::Refused), 7), (None, None, 100)]);
}

#[actix_web::test]
async fn a_broker_is_paused_with_a_reason_and_resumed() {
    let bench = bench(StandIn::default(), "");
    let json = "application/json";
    let seen = post(&bench, "/v1/brokers/uk-broker/pause", json, r#"{"reason":"maintenance"}"#).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    assert_eq!((seen.json()["state"].as_str(), seen.json()["reason"].as_str()), (Some("paused"), Some("maintenance")));
    assert_eq!(seen.json()["since"], "2026-11-22T11:00:00.000Z");
    let seen = post(&bench, "/v1/brokers/uk-broker/resume", json, "{}").await;
    assert_eq!((seen.status, seen.json()["state"].as_str().expect("a word")), (200, "running"));
    assert_eq!(post(&bench, "/v1/brokers/uk-broker/pause", "", "").await.status, 200, "a body may be left out");
    let form = post(&bench, "/v1/brokers/uk-broker/resume", "application/x-www-form-urlencoded", "reason=done").await;
    assert_eq!((form.status, form.header("location")), (303, "/"));
    assert!(bench.source.paused.lock().expect("whole").is_none());
    let bad = [
        (json, "{", 400, "malformed_json"),
        (json, "[]", 422, "invalid_request"),
        (json, r#"{"reasn":"x"}"#, 422, "invalid_request"),
        (json, r#"{"reason":7}"#, 422, "invalid_request"),
        ("text/plain", "x", 415, "unsupported_media_type"),
        (json, &format!("{{\"reason\":\"{}\"}}", "x".repeat(20_000)), 413, "body_too_large"),
    ];
    for (kind, body, status, code) in bad {
        let seen = post(&bench, "/v1/brokers/uk-broker/pause", kind, body).await;
        assert_eq!((seen.status, seen.code().as_str()), (status, code), "{body}");
    }
    assert!(bench.source.paused.lock().expect("whole").is_none(), "what was refused did nothing");
}

#[actix_web::test]
async fn readiness_tells_draining_and_a_failing_store_without_internals() {
    let bench = bench(StandIn::default(), "");
    assert_eq!(get(&bench, "/health/ready").await.json()["status"], "ready");
    bench.draining.begin();
    let seen = get(&bench, "/health/ready").await;
    assert_eq!((seen.status, seen.code().as_str()), (503, "draining"));
    assert_eq!(get(&bench, "/health/live").await.status, 200);
    let failing = super::tests::bench(StandIn { store_fails: true, ..StandIn::default() }, "");
    for path in ["/health/ready", "/v1/brokers", "/v1/dead-letters", "/v1/notices?state=orphan"] {
        let seen = get(&failing, path).await;
        assert_eq!((seen.status, seen.code().as_str()), (503, "store_unavailable"), "{path}");
        assert!(!seen.header("retry-after").is_empty() && !seen.text.contains("secret"), "{path}: {}", seen.text);
    }
    assert_eq!(get(&failing, "/metrics").await.status, 200, "metrics are there when the store is not");
    let page = get(&failing, "/").await;
    assert!(page.status == 200 && page.text.contains("The store does not answer"));
    assert!(!page.text.contains("None: no message was given up"), "what is not known is not said");
}

#[actix_web::test]
async fn gauges_show_every_broker_and_state() {
    let page = get(&bench(StandIn::default(), ""), "/metrics").await.text;
    for line in [
        r#"preclear_backlog{broker="uk-broker",state="queued"} 1234"#,
        r#"preclear_backlog{broker="uk-broker",state="in_doubt"} 0"#,
        r#"preclear_backlog{broker="uk-broker",state="dead"} 1"#,
        r#"preclear_backlog{broker="nl-broker",state="queued"} 0"#,
        // The waiting ones are older, but what they wait for is not ours to hurry.
        r#"preclear_backlog_oldest_age_seconds{broker="uk-broker"} 1800"#,
        r#"preclear_backlog_oldest_age_seconds{broker="nl-broker"} 0"#,
        r#"preclear_breaker_state{broker="uk-broker"} 1"#,
        r#"preclear_breaker_state{broker="nl-broker"} 2"#,
        r#"preclear_certificate_expiry_timestamp_seconds{name="callbacks.certificate"} 0"#,
        r#"preclear_certificate_expiry_timestamp_seconds{name="brokers.uk-broker.certificate"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    let delivered = |line: &str| line.starts_with("preclear_backlog{") && line.contains("delivered");
    assert!(!page.lines().any(delivered), "delivered is no backlog");
}

#[actix_web::test]
async fn certificates_of_every_kind_are_listed() {
    let seen = get(&bench(StandIn::default(), ""), "/v1/certificates").await.json();
    let rows = seen["certificates"].as_array().expect("rows").clone();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().expect("text")).collect();
    assert_eq!(
        names,
        [
            "callbacks.certificate",
            "callbacks.client_ca",
            "brokers.nl-broker.certificate",
            "brokers.nl-broker.ca",
            "brokers.uk-broker.certificate",
            "brokers.uk-broker.ca"
        ]
    );
    assert!(rows.iter().all(|row| row["state"] == "unreadable" && row["fault"].is_string()));
}

/// The page shows what is stuck with its age and reason, escapes what it shows, and can load nothing.
#[actix_web::test]
async fn the_page_says_what_is_stuck_and_loads_nothing() {
    let bench = bench(StandIn::default(), "");
    post(&bench, "/v1/brokers/uk-broker/pause", "application/json", r#"{"reason":"<script>alert(1)</script>"}"#).await;
    let page = get(&bench, "/").await;
    assert_eq!(page.status, StatusCode::OK.as_u16());
    for text in [
        "uk-broker is paused",
        "for <time",
        "1 h 0 min",
        "1\u{202f}234",
        "EE000000016KR",
        "&lt;script&gt;alert(1)",
        "30 min",
        "cut_off",
        "4\u{202f}711",
    ] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    for text in ["<script", "http://", "https://", "src=", "<link", "@import", "url("] {
        assert!(!page.text.contains(text), "{text}");
    }
    let policy = page.header("content-security-policy");
    let (_, rest) = page.text.split_once("<style>").expect("a style");
    let (style, _) = rest.split_once("</style>").expect("its end");
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, <sha2::Sha256 as sha2::Digest>::digest(style));
    assert!(policy.starts_with("default-src 'none'") && policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    assert!(get(&bench, "/").await.text.contains("http-equiv=\"refresh\" content=\"10\""));
    assert!(!get(&bench, "/?refresh=0").await.text.contains("http-equiv"));
}

#[test]
fn every_path_but_the_probes_is_closed() {
    let open: Vec<_> = TABLE.routes().filter(|route| route.open).map(|route| (route.method, route.path)).collect();
    assert_eq!(open, [(Method::Get, "/health/live"), (Method::Get, "/health/ready")]);
}
