//! The client against a broker that speaks HTTP/2, and against none.

use std::sync::Arc;

use h2::server::SendResponse;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::net::testing::{Leaf, Pki, TestServer};
use crate::net::tls::{ServerTlsFiles, server_config};

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().expect("an instant")
}

/// A broker's configuration; the rest of its fields does not matter here.
fn broker(pki: &Pki, timeout_s: u64) -> Broker {
    let files = pki.issue(Leaf::client("gateway"));
    configured(&format!(
        "ca = '{}'\ncertificate = '{}'\nkey = '{}'\ntimeout_s = {timeout_s}",
        pki.ca_file().display(),
        files.certificate.display(),
        files.key.display(),
    ))
}

fn configured(lines: &str) -> Broker {
    let text = format!(
        "[callbacks]\ncertificate = 'a'\nkey = 'a'\nclient_ca = 'a'\n[posts.K]\nname = 'K'\nclient_identities = ['k']\nitem_countries = ['KR']\n\
         [brokers.b]\nmapping = 'm'\nurl = 'https://localhost/'\ncallback_identities = ['b']\n\
         rate = {{ per_second = 1 }}\n{lines}\n[[routes]]\nbroker = 'b'",
    );
    crate::config::load_text(&text, std::iter::empty()).expect("a configuration").brokers.remove("b").expect("a broker")
}

fn post(port: u16) -> Post {
    Post {
        url: format!("https://localhost:{port}/").parse().expect("a URL"),
        content_type: "application/xml".to_owned(),
        body: Bytes::from_static(b"<Declaration/>"),
        headers: vec![("X-Test".to_owned(), "1".to_owned())],
    }
}

/// Serves one HTTP/2 request by a function.
async fn serve(pki: &Pki, answer: fn(SendResponse<Bytes>)) -> u16 {
    let (files, ca) = (pki.issue(Leaf::server("broker")), pki.ca_file());
    let files = ServerTlsFiles { certificate: &files.certificate, key: &files.key, client_ca: Some(&ca), crl: None, required: true };
    let mut config = server_config(&files, now()).expect("a listener").config;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.expect("a handshake");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((mut request, respond))) = connection.accept().await {
            tokio::spawn(async move {
                // As a broker that works: it reads before it answers. Whether there was a body is another matter.
                let _ = request.body_mut().data().await;
                answer(respond);
            });
        }
    });
    port
}

/// Sends one message to a broker that does this, and looks.
async fn exchange(answer: fn(SendResponse<Bytes>)) -> Exchange {
    let pki = Pki::new();
    let client = BrokerClient::new(&broker(&pki, 20), now()).expect("a client");
    let port = serve(&pki, answer).await;
    client.post(post(port), &Grant::default()).await
}

#[tokio::test]
async fn http_2_is_spoken_when_the_broker_can() {
    // `http::Response` by inference: 200 without headers.
    let seen = exchange(|mut respond| {
        let mut body = respond.send_response(Default::default(), false).expect("sent");
        body.send_data(Bytes::from_static(b"<ok/>"), true).expect("sent");
    });
    let Exchange::Answered(reply) = seen.await else { panic!("no answer") };
    assert_eq!((reply.code, reply.body.as_ref(), reply.complete), (200, b"<ok/>".as_slice(), true));
}

#[tokio::test]
async fn a_stream_that_the_broker_gave_back_was_not_taken() {
    assert!(matches!(exchange(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await, Exchange::NotBegun));
    assert!(matches!(exchange(|mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await, Exchange::Cut));
}

#[tokio::test]
async fn no_more_of_a_reply_is_read_than_the_bound() {
    let seen = exchange(|mut respond| {
        let mut body = respond.send_response(Default::default(), false).expect("sent");
        body.send_data(Bytes::from(vec![b'x'; MAX_REPLY_BYTES + 1]), true).expect("sent");
    });
    let Exchange::Answered(reply) = seen.await else { panic!("no answer") };
    assert_eq!((reply.body.len(), reply.complete), (MAX_REPLY_BYTES, false));
}

#[tokio::test]
async fn a_handshake_that_never_ends_sent_nothing() {
    let pki = Pki::new();
    let client = BrokerClient::new(&broker(&pki, 1), now()).expect("a client");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    assert!(matches!(client.post(post(port), &Grant::default()).await, Exchange::NotSent(ConnectFault::Timeout)));
}

#[tokio::test]
async fn what_cannot_be_a_request_is_not_sent() {
    let pki = Pki::new();
    let client = BrokerClient::new(&broker(&pki, 1), now()).expect("a client");
    let plain = Post { url: "http://localhost:1/".parse().expect("a URL"), ..post(1) };
    assert!(matches!(client.post(plain, &Grant::default()).await, Exchange::NotSent(ConnectFault::Request)), "https only");
    let header = Post { headers: vec![("X-Test".to_owned(), "a\r\nb".to_owned())], ..post(1) };
    assert!(matches!(client.post(header, &Grant::default()).await, Exchange::NotSent(ConnectFault::Request)));
}

#[tokio::test]
async fn the_gate_opens_or_is_locked_never_both() {
    let gate = Gate::default();
    assert!(!gate.lock(), "nobody asked for the body");
    assert!(gate.clone().open(Bytes::from_static(b"x")).await.is_err(), "too late");
    let gate = Gate::default();
    assert!(gate.clone().open(Bytes::from_static(b"x")).await.is_ok());
    assert!(gate.lock(), "a byte may have left us");
}

/// What a broker that asks for no certificate sees of us, for an authentication.
async fn seen_with(auth: &str, files: &[(&str, &str)]) -> (Result<String, MaterialFault>, String) {
    let pki = Pki::new();
    for (name, text) in files {
        pki.write(name, text);
    }
    let auth = auth.replace("DIR", &pki.dir().display().to_string());
    let broker = configured(&format!("ca = '{}'\nauth = {{ {auth} }}", pki.ca_file().display()));
    let client = match BrokerClient::new(&broker, now()) {
        Ok(client) => client,
        Err(fault) => return (Err(fault), format!("{broker:?} {fault:?} {fault}")),
    };
    let server = TestServer::start(&pki, |_, _| (202, "", String::new())).await;
    let grant = client.grant().await.expect("no token is needed");
    let sent = Post { headers: vec![("Authorization".to_owned(), "of the mapping".to_owned())], ..post(server.port) };
    let shown = format!("{broker:?} {client:?} {grant:?}");
    assert!(matches!(client.post(sent, &grant).await, Exchange::Answered(Reply { code: 202, .. })));
    let asked = Ask { method: Method::GET, url: post(server.port).url, headers: Vec::new(), max_bytes: 100 };
    assert!(matches!(client.ask(asked, &grant).await, Exchange::Answered(Reply { code: 202, .. })));
    let seen = server.seen();
    let of = |request: &str| request.lines().find(|line| line.contains("assw0rd") || line.contains(": Basic ")).map(str::to_owned);
    assert_eq!(of(&seen[0]), of(&seen[1]), "questions prove us as messages do");
    (Ok(of(&seen[0]).expect("a proof")), shown)
}

#[tokio::test]
async fn a_proof_beside_the_certificate_goes_with_every_request_and_is_never_shown() {
    let value = "name = 'X-Api-Key', value_file = 'DIR/v'";
    let password = "user = 'geheim', password_file = 'DIR/v'";
    let (unreadable, unusable) = ("secret_unreadable", "secret_unusable");
    for (auth, text, expected) in [
        (format!("kind = 'header', {value}"), "Passw0rd\r\n", Ok("x-api-key: Passw0rd")),
        (
            format!("kind = 'header', prefix = 'Token', {}", value.replace("X-Api-Key", "authorization")),
            "Passw0rd",
            Ok("authorization: Token Passw0rd"),
        ),
        (format!("kind = 'basic', {password}"), "Passw0rd\u{e9}\n", Ok("authorization: Basic Z2VoZWltOlBhc3N3MHJkw6k=")),
        (format!("kind = 'header', {}", value.replace("/v", "/none")), "Passw0rd", Err(unreadable)),
        (format!("kind = 'basic', {}", password.replace("_file = 'DIR/v'", "_env = 'PRECLEAR_TEST_NOT_SET'")), "Passw0rd", Err(unreadable)),
        (format!("kind = 'header', {value}"), "Passw0rd\nmore", Err(unusable)),
        (format!("kind = 'header', {value}"), "\n", Err(unusable)),
        (format!("kind = 'header', {value}"), "Passw0rd\u{e9}", Err(unusable)),
    ] {
        let (seen, shown) = seen_with(&auth, &[("v", text)]).await;
        assert_eq!(seen.as_deref().map_err(|fault| fault.as_str()), expected, "{auth}");
        for secret in ["assw0rd", "Z2Vo", "geheim"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn nothing_to_show_is_no_client() {
    let pki = Pki::new();
    let bare = Broker { certificate: None, key: None, ..broker(&pki, 1) };
    assert_eq!(BrokerClient::new(&bare, now()).map_err(MaterialFault::as_str).err(), Some("certificate_unreadable"));
    let half = Broker { key: None, ..broker(&pki, 1) };
    assert_eq!(BrokerClient::new(&half, now()).map_err(MaterialFault::as_str).err(), Some("certificate_unreadable"));
}
