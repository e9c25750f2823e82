//! The simulated broker, seen from outside: over real mutual TLS, with a receiver of our own for its callbacks.
//!
//! Notices are validated by `xmllint` against the official schema where both are present (`PRECLEAR_SHARED` or `../shared`).

// Certificates must be valid by the clock that TLS reads, which is the system's.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use preclear::mapping::{Registry, Source};
use preclear::pki::{Authority, Issued, Purpose, install_crypto_provider};
use preclear::sandbox::{CallbackOptions, FolderOptions, Outcome, Sandbox, SandboxOptions, Scenario, Summary, TlsMaterial};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One CA and what it signed for the four parties.
struct Pki {
    authority: Authority,
    broker: Issued,
    broker_client: Issued,
    gateway: Issued,
    gateway_client: Issued,
}

impl Pki {
    fn new() -> Self {
        install_crypto_provider();
        let now = Timestamp::now();
        let authority = Authority::generate("test CA", now).expect("CA");
        let issue = |name: &str, purpose, san: &str| authority.issue(name, purpose, &[san.parse().expect("a name")], now).expect("issued");
        Self {
            broker: issue("broker", Purpose::Server, "localhost"),
            broker_client: issue("uk-broker-client", Purpose::Client, "uk-broker.example"),
            gateway: issue("gateway", Purpose::Server, "localhost"),
            gateway_client: issue("gateway-client", Purpose::Client, "gateway.example"),
            authority,
        }
    }

    fn material(&self, of: &Issued) -> TlsMaterial {
        TlsMaterial::new(of, self.authority.certificate_pem())
    }

    fn client(&self, identity: Option<&Issued>) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.authority.certificate_pem().as_bytes()).expect("CA");
        let mut builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().timeout(Duration::from_secs(20));
        if let Some(identity) = identity {
            builder = builder.identity(reqwest::Identity::from_pem(identity.identity_pem().as_bytes()).expect("identity"));
        }
        builder.build().expect("client")
    }
}

/// A callback as it was received.
#[derive(Debug, Clone)]
struct Received {
    head: String,
    body: Vec<u8>,
}

impl Received {
    fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.split("<FunctionCode>").nth(1).unwrap_or("??").chars().take(2).collect()
    }

    fn header(&self, name: &str) -> String {
        let found = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_default()
    }
}

/// The gateway's place: takes callbacks over mutual TLS, refusing the first `refuse` of them.
struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    async fn start(pki: &Pki, refuse: usize) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pki.authority.certificate_pem().as_bytes()).expect("CA")).expect("CA");
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("verifier");
        let chain = vec![CertificateDer::from_pem_slice(pki.gateway.certificate_pem.as_bytes()).expect("certificate")];
        let key = PrivateKeyDer::from_pem_slice(pki.gateway.key_pem.as_bytes()).expect("key");
        let config = rustls::ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).expect("config");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("address").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (book, left) = (received.clone(), Arc::new(Mutex::new(refuse)));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, book, left) = (acceptor.clone(), book.clone(), left.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                    let Some(callback) = read_request(&mut stream).await else { return };
                    let refuse = {
                        let mut left = left.lock().expect("lock");
                        let refuse = *left > 0;
                        *left = left.saturating_sub(1);
                        refuse
                    };
                    if !refuse {
                        book.lock().expect("lock").push(callback);
                    }
                    let status = if refuse { "503 Busy" } else { "202 Accepted" };
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, received }
    }

    fn options(&self, pki: &Pki) -> CallbackOptions {
        let url = format!("https://localhost:{}", self.port);
        CallbackOptions::new(url, "uk-broker", pki.material(&pki.broker_client))
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().expect("lock").clone()
    }

    fn codes(&self) -> String {
        self.received().iter().map(Received::code).collect::<Vec<_>>().join(" ")
    }
}

async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut body = bytes.split_off(end + 4);
            let mut callback = Received { head, body: Vec::new() };
            let length: usize = callback.header("content-length").parse().ok()?;
            while body.len() < length {
                stream.read_buf(&mut body).await.ok().filter(|read| *read > 0)?;
            }
            callback.body = body;
            return Some(callback);
        }
        stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
    }
}

fn declaration(lrn: &str, type_code: &str) -> String {
    additional(lrn, type_code, "9", "")
}

fn additional(lrn: &str, type_code: &str, function: &str, id: &str) -> String {
    format!(
        "<md:MetaData xmlns:md=\"urn:wco:datamodel:WCO:DocumentMetaData-DMS:2\" xmlns=\"urn:wco:datamodel:WCO:DEC-DMS:2\">\
         <md:WCODataModelVersionCode>3.6</md:WCODataModelVersionCode><Declaration><FunctionCode>{function}</FunctionCode>\
         <FunctionalReferenceID>{lrn}</FunctionalReferenceID>{id}<TypeCode>{type_code}</TypeCode></Declaration></md:MetaData>"
    )
}

/// A sandbox that calls a receiver back, and a client that it lets in.
struct Bench {
    pki: Pki,
    sandbox: Sandbox,
    receiver: Receiver,
    client: reqwest::Client,
}

impl Bench {
    async fn new(refuse: usize, adjust: impl FnOnce(&mut SandboxOptions)) -> Self {
        let pki = Pki::new();
        let receiver = Receiver::start(&pki, refuse).await;
        let mut options = SandboxOptions::new(pki.material(&pki.broker));
        options.callbacks = Some(receiver.options(&pki));
        options.delay = Duration::ZERO;
        options.slow = Duration::from_millis(50);
        adjust(&mut options);
        let sandbox = Sandbox::start(options).await.expect("started");
        let client = pki.client(Some(&pki.gateway_client));
        Self { pki, sandbox, receiver, client }
    }

    async fn playing(scenario: Scenario) -> Self {
        Self::new(0, |options| options.scenario = scenario).await
    }

    async fn post(&self, key: &str, body: String) -> reqwest::Result<reqwest::Response> {
        let request = self.client.post(self.sandbox.url()).header("Content-Type", "application/xml; charset=UTF-8");
        request.header("Idempotency-Key", key).body(body).send().await
    }

    /// Posts and gives the status, 0 for a cut connection.
    async fn status(&self, key: &str, body: &str) -> u16 {
        self.post(key, body.to_owned()).await.map_or(0, |response| response.status().as_u16())
    }
}

fn conversation(response: &reqwest::Response) -> String {
    response.headers().get("x-conversation-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}

fn shared() -> Option<PathBuf> {
    let dir =
        std::env::var_os("PRECLEAR_SHARED").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let has_xmllint = Command::new("xmllint").arg("--version").stderr(Stdio::null()).status().is_ok();
    (dir.join("schemas/hmrc-cds").is_dir() && has_xmllint).then_some(dir)
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate_of_the_ca() {
    let bench = Bench::playing(Scenario::Clear).await;
    let foreign = Pki::new();
    let server_certificate_as_client = Some(&bench.pki.gateway);
    for identity in [None, Some(&foreign.gateway_client), server_certificate_as_client] {
        let client = bench.pki.client(identity);
        let sent = client.post(bench.sandbox.url()).body("x").send().await;
        assert!(sent.is_err(), "refused at the handshake, got {sent:?}");
    }
    assert_eq!(bench.sandbox.ledger.summary(), Summary::default());
    assert_eq!(bench.status("k", &declaration("L", "IMA")).await, 202);
    let entry = &bench.sandbox.ledger.entries()[0];
    assert_eq!(entry.client_sans, ["DNS:gateway.example"]);
}

#[tokio::test]
async fn each_scenario_answers_and_calls_back_as_its_name_says() {
    use Scenario::*;
    let clear = "01 13 13 09";
    let table: [(Scenario, &[u16], &str); 20] = [
        (Accept, &[202], "01"),
        (Hold, &[202], "01 05"),
        (Documents, &[202], "01 06"),
        (Duties, &[202], "01 13 14"),
        (Release, &[202], "01 13 08"),
        (Clear, &[202], clear),
        (Reject, &[202], "03"),
        (Register, &[202], "02"),
        (Silence, &[202], ""),
        (TooManyRequests, &[429, 429, 202], clear),
        (ServerErrors, &[503, 500, 503, 202], clear),
        (Reset, &[0, 202], clear),
        (LostAnswer, &[0, 202], clear),
        (Slow, &[202], clear),
        (Duplicate, &[202], "01 01 13 13 13 13 13 09 09 09"),
        (OutOfOrder, &[202], "09 13 13 01"),
        (Early, &[202], clear),
        (Junk, &[200, 202], clear),
        (UnknownCode, &[202], "99 01 13 13 09"),
        (Unreadable, &[202], "01 01 13 13 09"),
    ];
    for (scenario, statuses, codes) in table {
        let bench = Bench::playing(scenario).await;
        for expected in statuses {
            assert_eq!(bench.status("k", &declaration("EE123456785KR", "IMA")).await, *expected, "{scenario}");
        }
        bench.sandbox.idle().await;
        assert_eq!(bench.receiver.codes(), codes, "{scenario}");
        let summary = bench.sandbox.ledger.summary();
        assert_eq!((summary.taken, summary.arrivals), (1, statuses.len() as u64), "{scenario}");
        bench.sandbox.stop().await;
    }
}

#[tokio::test]
async fn callbacks_carry_the_conversation_and_the_brokers_certificate_and_are_valid() {
    let bench = Bench::new(0, |options| {
        options.rules = Scenario::all().map(|scenario| (format!(">S-{scenario}<"), scenario)).collect();
        options.fault_times = Some(0);
    })
    .await;
    for scenario in Scenario::all() {
        let response = bench.post(scenario.name(), declaration(&format!("S-{scenario}"), "IMA")).await;
        let Ok(response) = response else {
            assert_eq!(scenario, Scenario::LostAnswer);
            continue;
        };
        let id = conversation(&response);
        bench.sandbox.idle().await;
        for callback in bench.receiver.received().iter().filter(|callback| callback.header("x-conversation-id") == id) {
            assert!(callback.head.starts_with("POST /v1/brokers/uk-broker/notices HTTP/1.1"));
            assert_eq!(callback.header("content-type"), "application/xml; charset=UTF-8");
        }
    }
    bench.sandbox.idle().await;
    let received = bench.receiver.received();
    assert_eq!(received.len(), bench.sandbox.ledger.summary().callbacks_delivered as usize);
    let conversations: std::collections::HashSet<_> = received.iter().map(|c| c.header("x-conversation-id")).collect();
    assert_eq!(conversations.len(), 19, "one for each scenario but silence");

    let whole = |callback: &&Received| callback.body.ends_with(b"</md:MetaData>\n");
    assert_eq!(received.iter().filter(|callback| !whole(callback)).count(), 1, "the unreadable one");
    let Some(shared) = shared() else {
        eprintln!("SKIPPED: notices are not validated, for xmllint or the official schema is missing");
        return;
    };
    for callback in received.iter().filter(whole) {
        let schema = shared.join("schemas/hmrc-cds/_driver-notification.xsd");
        let fault = xmllint(&schema, &callback.body);
        assert_eq!(fault, None, "{}", String::from_utf8_lossy(&callback.body));
    }
}

/// What xmllint has against the document, if anything.
fn xmllint(schema: &std::path::Path, body: &[u8]) -> Option<String> {
    let file = std::env::temp_dir().join(format!("preclear-notice-{:016x}.xml", fastrand::u64(..)));
    std::fs::write(&file, body).expect("written");
    let output = Command::new("xmllint").args(["--nonet", "--noout", "--schema"]).arg(schema).arg(&file).output().expect("run");
    let _ = std::fs::remove_file(&file);
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn repeats_are_dropped_unless_the_broker_is_not_idempotent() {
    let bench = Bench::playing(Scenario::Accept).await;
    let body = declaration("L", "IMA");
    let first = bench.post("k", body.clone()).await.expect("answered");
    let again = bench.post("k", body.clone()).await.expect("answered");
    assert_eq!((conversation(&first), again.status().as_u16()), (conversation(&again), 202));
    assert_eq!(bench.status("k", &declaration("M", "IMA")).await, 409);
    bench.sandbox.idle().await;
    assert_eq!(bench.receiver.codes(), "01");
    let outcomes: Vec<_> = bench.sandbox.ledger.entries().iter().map(|e| (e.outcome, e.arrival, e.repeat)).collect();
    let expected = [(Outcome::Taken, 1, false), (Outcome::Repeat, 2, true), (Outcome::Conflict, 3, true)];
    assert_eq!(outcomes, expected);

    let careless = Bench::new(0, |options| options.idempotent = false).await;
    for _ in 0..2 {
        assert_eq!(careless.status("k", &body).await, 202);
    }
    assert_eq!(careless.sandbox.ledger.summary().taken, 2);
}

#[tokio::test]
async fn a_hundred_repeats_at_once_are_one_message() {
    let bench = Arc::new(Bench::playing(Scenario::Accept).await);
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let bench = bench.clone();
        posts.spawn(async move { bench.status("k", &declaration("L", "IMA")).await });
    }
    assert!(posts.join_all().await.iter().all(|status| *status == 202));
    bench.sandbox.idle().await;
    let summary = bench.sandbox.ledger.summary();
    assert_eq!((summary.taken, summary.repeats, summary.callbacks_delivered), (1, 99, 1));
}

#[tokio::test]
async fn a_reset_takes_nothing_and_a_lost_answer_takes_the_message() {
    for (scenario, first, second) in
        [(Scenario::Reset, Outcome::Cut, Outcome::Taken), (Scenario::LostAnswer, Outcome::TakenUnanswered, Outcome::Repeat)]
    {
        let bench = Bench::playing(scenario).await;
        let body = declaration("L", "IMA");
        let fault = bench.post("k", body.clone()).await.expect_err("cut");
        assert!(!fault.is_connect() && !fault.is_timeout(), "cut after the request: {fault:?}");
        assert_eq!(bench.status("k", &body).await, 202);
        let outcomes: Vec<_> = bench.sandbox.ledger.entries().iter().map(|entry| entry.outcome).collect();
        assert_eq!(outcomes, [first, second], "{scenario}");
    }
}

#[tokio::test]
async fn early_callbacks_come_before_the_answer() {
    let bench = Bench::playing(Scenario::Early).await;
    let response = bench.post("k", declaration("L", "IMA")).await.expect("answered");
    assert_eq!(response.status().as_u16(), 202);
    assert_eq!(bench.receiver.codes(), "01 13 13 09", "all of them are here when the answer is");
}

#[tokio::test]
async fn a_pre_lodged_declaration_waits_for_its_presentation() {
    let bench = Bench::playing(Scenario::Clear).await;
    let response = bench.post("k1", declaration("L1", "IMD")).await.expect("answered");
    let first = conversation(&response);
    bench.sandbox.idle().await;
    assert_eq!(bench.receiver.codes(), "02");
    let mrn = bench.sandbox.ledger.callbacks()[0].mrn.clone().expect("has an MRN");
    let presentation = additional("L2", "GPR", "13", &format!("<ID>{mrn}</ID>"));
    let second = conversation(&bench.post("k2", presentation).await.expect("answered"));
    bench.sandbox.idle().await;
    assert_eq!(bench.receiver.codes(), "02 02 01 13 13 09");
    let under: Vec<_> = bench.receiver.received().iter().map(|callback| callback.header("x-conversation-id")).collect();
    assert_eq!(under, [&first, &second, &first, &first, &first, &first].map(String::clone));
}

#[tokio::test]
async fn callbacks_are_repeated_until_they_are_taken_and_given_up_in_the_end() {
    let bench = Bench::new(2, |options| options.scenario = Scenario::Hold).await;
    assert_eq!(bench.status("k", &declaration("L", "IMA")).await, 202);
    bench.sandbox.idle().await;
    assert_eq!(bench.receiver.codes(), "01 05", "in order, although the first was refused twice");
    assert_eq!(bench.sandbox.ledger.callbacks()[0].attempts, 3);

    let bench = Bench::new(usize::MAX, |options| {
        options.scenario = Scenario::Accept;
        if let Some(callbacks) = &mut options.callbacks {
            callbacks.attempts = 2;
        }
    })
    .await;
    assert_eq!(bench.status("k", &declaration("L", "IMA")).await, 202);
    let summary = bench.sandbox.ledger.wait_for(|summary| summary.callbacks_failed == 1).await;
    assert_eq!(summary.callbacks_delivered, 0);
}

#[tokio::test]
async fn what_is_not_a_declaration_is_refused_with_the_authoritys_error_body() {
    let bench = Bench::new(0, |options| options.max_body_bytes = 10_000).await;
    let good = declaration("L", "IMA");
    let long = declaration(&"L".repeat(23), "IMA");
    let huge = format!("{good}{}", " ".repeat(10_000));
    let table: [(&str, Option<&str>, &str, u16); 7] = [
        ("application/json", Some("k"), &good, 415),
        ("application/xml", None, &good, 400),
        ("application/xml", Some("k"), "<a/>", 400),
        ("application/xml", Some("k"), &good[..good.len() - 3], 400),
        ("application/xml", Some("k"), &long, 400),
        ("application/xml", Some("k"), &huge, 413),
        ("text/xml", Some("k"), &good, 202),
    ];
    for (media, key, body, expected) in table {
        let mut request = bench.client.post(bench.sandbox.url()).header("Content-Type", media);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.body(body.to_owned()).send().await.expect("answered");
        assert_eq!(response.status().as_u16(), expected);
        if expected != 202 {
            let text = response.text().await.expect("text");
            assert!(text.starts_with("<errorResponse><code>"), "{text}");
        }
    }
    let get = bench.client.get(bench.sandbox.url()).send().await.expect("answered");
    assert_eq!(get.status().as_u16(), 405);
    let summary = bench.sandbox.ledger.summary();
    assert_eq!((summary.taken, summary.refused), (1, 5), "an unread body is no arrival");
}

#[tokio::test]
async fn the_official_schema_is_a_judge_where_it_is_present() {
    let Some(shared) = shared() else {
        eprintln!("SKIPPED: messages are not validated, for xmllint or the official schema is missing");
        return;
    };
    let schema = shared.join("schemas/hmrc-cds/customs/wrapper_submit.xsd");
    let bench = Bench::new(0, |options| options.schema = Some(schema)).await;
    let sample = shared.join("samples/broker/hmrc-cds/request/TT_IM080a__TT_IM080a.xml");
    let sample = std::fs::read_to_string(sample).expect("sample");
    assert_eq!(bench.status("k1", &sample).await, 202);
    let wrong = sample.replace("<GoodsItemQuantity>1<", "<GoodsItemQuantity>one<");
    let response = bench.post("k2", wrong).await.expect("answered");
    assert_eq!(response.status().as_u16(), 400);
    let body = response.bytes().await.expect("body");
    assert!(String::from_utf8_lossy(&body).contains("xml_validation_error"));
    assert_eq!(xmllint(&shared.join("schemas/hmrc-cds/customs/error.xsd"), &body), None);
}

#[tokio::test]
async fn the_ledger_file_and_the_rate_tell_what_was_seen() {
    let file = std::env::temp_dir().join(format!("preclear-ledger-{:016x}.jsonl", fastrand::u64(..)));
    let bench = Bench::new(0, |options| {
        options.ledger_file = Some(file.clone());
        options.rate = Some(2);
        options.choose = Some(Arc::new(|body| body.windows(2).any(|two| two == b"L2").then_some(Scenario::Silence)));
    })
    .await;
    for lrn in ["L1", "L2", "L3", "L4"] {
        assert_eq!(bench.status(lrn, &declaration(lrn, "IMA")).await, 202);
    }
    let summary = bench.sandbox.ledger.summary();
    let within = summary.peak_per_second;
    // On a very slow machine the four may not fall into one second; the two counters must agree in any case.
    assert!(within <= 4 && (within <= 2) == (summary.over_rate == 0), "{summary:?}");
    bench.sandbox.stop().await;
    let text = std::fs::read_to_string(&file).expect("ledger");
    let _ = std::fs::remove_file(&file);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let told: Vec<_> = lines.iter().map(|line| (line["lrn"].as_str(), line["scenario"].as_str())).collect();
    let expected = [("L1", "clear"), ("L2", "silence"), ("L3", "clear"), ("L4", "clear")];
    assert_eq!(told, expected.map(|(lrn, scenario)| (Some(lrn), Some(scenario))));
    assert_eq!(lines[0]["outcome"], "taken");
    assert_eq!(lines[0]["body_sha256"].as_str().map(str::len), Some(64));
    assert!(!text.contains("MetaData"), "no body in the ledger");
}

#[tokio::test]
async fn a_stop_lets_what_is_open_end() {
    let bench = Bench::new(0, |options| {
        options.scenario = Scenario::Slow;
        options.slow = Duration::from_secs(60);
    })
    .await;
    let ledger = bench.sandbox.ledger.clone();
    let post = {
        let request = bench.client.post(bench.sandbox.url()).header("Content-Type", "application/xml");
        request.header("Idempotency-Key", "k").body(declaration("L", "IMA"))
    };
    let answer = tokio::spawn(post.send());
    ledger.wait_for(|summary| summary.taken == 1).await;
    bench.sandbox.stop().await;
    let response = answer.await.expect("joined").expect("answered, not cut");
    assert_eq!(response.status().as_u16(), 202);
    assert_eq!(bench.receiver.codes(), "01 13 13 09", "its notices were brought before the end");
}

#[tokio::test]
async fn a_mappings_folder_speaks_another_format_with_the_references_of_the_message() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("mappings/nl-deco");
    let bench = Bench::new(0, |options| {
        let notices = vec!["control-planned".to_owned(), "accepted-and-released".to_owned()];
        options.folder = Some(FolderOptions { folder: folder.clone(), reply: Some("accepted".to_owned()), notices });
    })
    .await;
    let (registry, _) = Registry::load(&Source::Folder(folder.parent().expect("mappings").to_owned()));
    let mapping = registry.get("nl-deco").expect("loads");
    let lrn = "CP123456785KR26112001";
    let answer = bench.post("k", format!("<Any><Reference>{lrn}</Reference></Any>")).await.expect("answered");
    assert_eq!(answer.status().as_u16(), 200);
    let reply = answer.bytes().await.expect("body");
    bench.sandbox.idle().await;
    let received = bench.receiver.received();
    assert_eq!(received.len(), 2);
    let mut mrns = std::collections::BTreeSet::new();
    for body in [reply.to_vec()].iter().chain(received.iter().map(|callback| &callback.body)) {
        let facts = mapping.read(body).expect("the mapping reads its own cases");
        assert!(facts.iter().filter_map(|fact| fact.lrn.as_deref()).all(|found| found == lrn), "{facts:?}");
        mrns.extend(facts.into_iter().filter_map(|fact| fact.mrn));
    }
    assert_eq!(mrns.len(), 1, "one declaration has one reference: {mrns:?}");
    let codes: Vec<String> = bench.sandbox.ledger.callbacks().into_iter().map(|callback| callback.code).collect();
    assert_eq!(codes, ["control-planned", "accepted-and-released"]);

    assert_eq!(bench.status("other", "<Any/>").await, 400);
    let refused = bench.sandbox.ledger.entries().pop().expect("written");
    assert_eq!(refused.refused_for, Some("no LRN (item id, posting date, two characters) stands in the message"));

    let mut options = SandboxOptions::new(bench.pki.material(&bench.pki.broker));
    options.folder = Some(FolderOptions { folder, reply: None, notices: vec!["acepted".to_owned()] });
    let fault = Sandbox::start(options).await.err().expect("no such case").to_string();
    assert!(fault.starts_with("there is no notice case acepted; there are: accepted, accepted-and-released, "), "{fault}");
}
