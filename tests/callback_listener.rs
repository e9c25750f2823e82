//! The brokers' listener from outside: real mutual TLS, a desk that can be told to fail.

// Certificates must be valid by the clock that TLS reads, which is the system's.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use preclear::domain::time::SystemClock;
use preclear::http::callbacks::{self, CallbackState, IncomingNotice, NoticeAnswer, NoticeDesk};
use preclear::http::{common, peer};
use preclear::net::tls::{ServerTlsFiles, server_config};
use preclear::pki::{Authority, Issued, Purpose, install_crypto_provider};
use preclear::store::StoreError;

/// Keeps what it is given, unless the "disk" is full.
#[derive(Default)]
struct Desk {
    full: AtomicBool,
    taken: Mutex<Vec<IncomingNotice>>,
}

impl NoticeDesk for Desk {
    fn take(&self, notice: IncomingNotice) -> BoxFuture<'_, Result<NoticeAnswer, StoreError>> {
        let full = self.full.load(Ordering::SeqCst);
        if !full {
            self.taken.lock().expect("whole").push(notice);
        }
        let answer = if full { Err(StoreError::Unavailable("no space in /secret/place")) } else { Ok(NoticeAnswer::default()) };
        std::future::ready(answer).boxed()
    }
}

struct Bench {
    desk: Arc<Desk>,
    revoked: Arc<Mutex<Vec<String>>>,
    authority: Authority,
    base: String,
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn configuration(folder: &str) -> String {
    let broker = |name: &str, identities: &str| {
        format!(
            "[brokers.{name}]\nmapping = \"hmrc-cds\"\nurl = \"https://localhost:1/\"\nca = \"ca.pem\"\ncertificate = \"c.pem\"\nkey = \"c.key\"\n\
             rate = {{ per_second = 50 }}\ncallback_identities = [{identities}]\n"
        )
    };
    format!(
        "[callbacks]\nlisten = \"127.0.0.1:0\"\ncertificate = \"{folder}/gateway.pem\"\nkey = \"{folder}/gateway.key\"\n\
         client_ca = \"{folder}/ca.pem\"\nmax_body_bytes = 20000\n\
         [posts.KRA]\nname = \"Korea Post\"\napi_keys = [\"sha256:{}\"]\n{}{}[[routes]]\nbroker = \"uk-broker\"\n",
        "00".repeat(32),
        broker("uk-broker", "\"uk-broker.example\", \"urn:broker:uk\""),
        broker("other-broker", "\"other.example\""),
    )
}

async fn bench(name: &str) -> Bench {
    install_crypto_provider();
    let now = Timestamp::now();
    let folder = std::env::temp_dir().join(format!("preclear-callbacks-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let authority = Authority::generate("test CA", now).expect("CA");
    let server = authority.issue("gateway", Purpose::Server, &["localhost".parse().expect("a name")], now).expect("issued");
    let files =
        [("gateway.pem", server.certificate_pem.as_str()), ("gateway.key", &server.key_pem), ("ca.pem", authority.certificate_pem())];
    for (file, text) in files {
        std::fs::write(folder.join(file), text).expect("written");
    }
    let config =
        preclear::config::load_text(&configuration(&folder.display().to_string()), std::iter::empty()).expect("a good configuration");
    let files = ServerTlsFiles {
        certificate: config.callbacks.certificate.as_path(),
        key: config.callbacks.key.as_path(),
        client_ca: Some(config.callbacks.client_ca.as_path()),
        crl: None,
        required: true,
    };
    let tls = server_config(&files, now).expect("TLS").config;
    let (desk, revoked) = (Arc::new(Desk::default()), Arc::new(Mutex::new(Vec::<String>::new())));
    let serials = Arc::clone(&revoked);
    let check: peer::PeerCheck = Arc::new(move |peer| !serials.lock().expect("whole").contains(&peer.serial));
    let state = web::Data::new(CallbackState::new(&config, Arc::clone(&desk) as Arc<dyn NoticeDesk>, Arc::new(SystemClock), check));
    let server = HttpServer::new(move || App::new().wrap(from_fn(common::around)).configure(callbacks::configure(state.clone())))
        .workers(1)
        .disable_signals()
        .on_connect(peer::on_connect)
        .bind_rustls_0_23("127.0.0.1:0", tls)
        .expect("bound");
    let base = format!("https://localhost:{}", server.addrs()[0].port());
    tokio::spawn(server.run());
    Bench { desk, revoked, authority, base, folder }
}

impl Bench {
    fn issue(&self, san: &str) -> Issued {
        self.authority.issue("a client", Purpose::Client, &[san.parse().expect("a name")], Timestamp::now()).expect("issued")
    }

    fn client(&self, identity: Option<&Issued>) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.authority.certificate_pem().as_bytes()).expect("CA");
        let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().timeout(Duration::from_secs(20));
        let identity = identity.map(|issued| reqwest::Identity::from_pem(issued.identity_pem().as_bytes()).expect("identity"));
        identity.into_iter().fold(builder, reqwest::ClientBuilder::identity).build().expect("client")
    }

    fn url(&self, broker: &str) -> String {
        format!("{}/v1/brokers/{broker}/notices", self.base)
    }

    fn taken(&self) -> Vec<IncomingNotice> {
        self.desk.taken.lock().expect("whole").clone()
    }
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

#[actix_web::test]
async fn only_the_brokers_own_certificate_is_taken() {
    let bench = bench("own").await;
    let expected = [
        ("uk-broker.example", "uk-broker", 202),
        ("UK-Broker.Example", "uk-broker", 202),
        ("urn:broker:uk", "uk-broker", 202),
        ("urn:broker:UK", "uk-broker", 403),
        ("uk-broker.example", "other-broker", 403),
        ("other.example", "uk-broker", 403),
        ("sub.uk-broker.example", "uk-broker", 403),
        ("stranger.example", "uk-broker", 403),
        // Who is some broker may learn that another name is none; a stranger may not.
        ("uk-broker.example", "nobody", 404),
        ("stranger.example", "nobody", 403),
    ];
    for (san, broker, wanted) in expected {
        let client = bench.client(Some(&bench.issue(san)));
        let request = client.post(bench.url(broker)).header("content-type", "application/xml").body("<n/>");
        assert_eq!(status(request).await, wanted, "{san} at {broker}");
    }
    assert_eq!(bench.taken().len(), 3);
    assert!(bench.client(None).post(bench.url("uk-broker")).body("<n/>").send().await.is_err(), "no certificate, no connection");
    let stranger = Authority::generate("another CA", Timestamp::now()).expect("CA");
    let forged = stranger.issue("x", Purpose::Client, &["uk-broker.example".parse().expect("a name")], Timestamp::now()).expect("issued");
    assert!(bench.client(Some(&forged)).post(bench.url("uk-broker")).body("<n/>").send().await.is_err(), "another CA, no connection");
}

#[actix_web::test]
async fn a_notice_is_kept_as_it_came_and_bounded() {
    let bench = bench("kept").await;
    let client = bench.client(Some(&bench.issue("uk-broker.example")));
    let url = bench.url("uk-broker");
    let body: Vec<u8> = (0..=255).collect();
    let sent =
        client.post(&url).header("content-type", "application/xml; charset=x").header("x-conversation-id", "HMRC-42").body(body.clone());
    let answer = sent.send().await.expect("an answer");
    assert_eq!(answer.status(), 202);
    assert!(answer.bytes().await.expect("a body").is_empty());
    let kept = bench.taken().remove(0);
    assert_eq!((kept.broker.as_str(), kept.content_type.as_str()), ("uk-broker", "application/xml; charset=x"));
    assert_eq!((kept.conversation.as_deref(), kept.body.to_vec()), (Some("HMRC-42"), body));

    let types = [
        (None, 202),
        (Some("text/xml"), 202),
        (Some("application/json"), 202),
        (Some("application/soap+xml; charset=utf-8"), 202),
        (Some("application/problem+json"), 202),
        (Some("text/plain"), 202),
        (Some("image/png"), 415),
        (Some("multipart/form-data; boundary=x"), 415),
        (Some("text/html"), 415),
        (Some("xml"), 415),
    ];
    for (kind, wanted) in types {
        let request = client.post(&url).body("x");
        let request = if let Some(kind) = kind { request.header("content-type", kind) } else { request };
        assert_eq!(status(request).await, wanted, "{kind:?}");
    }
    assert_eq!(status(client.post(&url).header("content-encoding", "gzip").body("x")).await, 415);
    assert_eq!(status(client.post(&url).body(vec![b' '; 20_000])).await, 202);
    assert_eq!(status(client.post(&url).body(vec![b' '; 20_001])).await, 413);
    let streamed = futures_util::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(vec![b' '; 10_000])));
    assert_eq!(status(client.post(&url).body(reqwest::Body::wrap_stream(streamed))).await, 413, "without a length too");
    assert_eq!(status(client.get(&url)).await, 405);
    assert_eq!(status(client.get(format!("{}/v1/brokers", bench.base))).await, 404);
}

/// 503 is said only when the notice could not be stored; and trust is asked for anew on a connection that stays open.
#[actix_web::test]
async fn a_full_disk_and_a_revocation_are_told() {
    let bench = bench("told").await;
    let issued = bench.issue("uk-broker.example");
    let client = bench.client(Some(&issued));
    bench.desk.full.store(true, Ordering::SeqCst);
    let answer = client.post(bench.url("uk-broker")).body("x").send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().expect("text")), (503, "5"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(problem["code"], "store_unavailable");
    assert!(!problem.to_string().contains("secret"), "no internals");
    bench.desk.full.store(false, Ordering::SeqCst);
    assert_eq!(status(client.post(bench.url("uk-broker")).body("x")).await, 202);
    let serial = preclear::pki::read_certificates(issued.certificate_pem.as_bytes()).expect("readable")[0].serial.clone();
    bench.revoked.lock().expect("whole").push(serial);
    assert_eq!(status(client.post(bench.url("uk-broker")).body("x")).await, 403);
    assert_eq!(bench.taken().len(), 1);
}
