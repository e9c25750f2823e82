//! The judge judged: its own broker, sink and notices do what the other tests believe of them.

use crate::support::broker::{Broker, Reply, Turn, busy};
use crate::support::caller::client_builder;
use crate::support::notice::{Notice, lrn_of, mrn};
use crate::support::pki::{Party, Pki};
use crate::support::schema;
use crate::support::sink::Sink;

fn client(pki: &Pki, party: Option<&Party>) -> reqwest::Client {
    let builder = client_builder().tls_certs_only([reqwest::Certificate::from_pem(pki.ca.as_bytes()).unwrap()]);
    let builder = match party {
        Some(party) => {
            let pem = format!("{}{}", party.key, party.certificate);
            builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        }
        None => builder,
    };
    builder.build().unwrap()
}

/// The ledger holds what came whole, by whom and how often; nobody comes in without a certificate of the authority.
#[tokio::test]
async fn the_broker_writes_down_what_came() {
    let pki = Pki::new();
    let broker = Broker::start(&pki, |_, turn: &Turn| match turn.of_message {
        0 => busy(429, 2),
        1 => Reply::Cut,
        _ => Reply::Accept,
    })
    .await;
    let sender = client(&pki, Some(&pki.gateway_client));
    let body = Notice::new("01", "EE000000017KR261122A1").xml();
    let post = || sender.post(broker.url()).header("idempotency-key", "m-1").body(body.clone()).send();
    let first = post().await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["retry-after"].to_str().unwrap()), (429, "2"));
    assert!(post().await.is_err(), "cut without an answer");
    assert_eq!(post().await.unwrap().status(), 202);
    let ledger = broker.ledger();
    assert_eq!(ledger.len(), 3);
    assert!(ledger.iter().all(|post| post.certificate == pki.gateway_client.sha256 && *post.body == body.as_bytes()));
    assert_eq!(broker.by_message().len(), 1);
    for party in [None, Some(&pki.stranger)] {
        let connections = broker.connections();
        assert!(client(&pki, party).post(broker.url()).body("x").send().await.is_err());
        assert!(broker.connections() > connections, "void: it must have come to a handshake");
    }
    assert_eq!((broker.ledger().len(), broker.unanswered()), (3, 0));
}

/// The sink keeps headers and bytes as they came and answers as told.
#[tokio::test]
async fn the_sink_keeps_what_came() {
    let sink = Sink::start(|_, number| if number == 0 { 500 } else { 204 }).await;
    let client = client_builder().build().unwrap();
    for status in [500, 204] {
        let sent = client.post(sink.url()).header("webhook-id", "e-1").body(r#"{"subject":"x"}"#).send().await.unwrap();
        assert_eq!(sent.status(), status);
    }
    assert_eq!(sink.hooks()[0].header("webhook-id"), "e-1");
    assert_eq!(sink.taken("x").len(), 1);
}

/// The notices that we write are those of the official schema, where a copy of it is at hand.
#[test]
fn notices_are_valid() {
    let lrn = "EE000000017KR261122A1";
    for code in ["01", "02", "05", "08", "09", "77"] {
        schema::notice(Notice::new(code, lrn).mrn(&mrn(1)).after(3).xml().as_bytes());
    }
    schema::notice(Notice::new("03", lrn).mrn(&mrn(1)).error("CDS12005").xml().as_bytes());
    schema::notice(Notice::new("01", lrn).text("free text").xml().as_bytes());
    schema::notice(Notice::new("09", lrn).mrn(&mrn(1)).without_lrn().xml().as_bytes());
    assert_eq!(lrn_of(br#"<a:FunctionalReferenceID>R-1</a:FunctionalReferenceID>"#.as_slice()), "R-1");
}
