//! The gentle end: what is under way is finished, new traffic is sent away, exit 0 in time.

use crate::support::broker::{Broker, Reply};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::wire;
use crate::support::{goods, until};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// SIGTERM: readiness is 503 while a message is still under way, its answer is waited for, then exit 0; nothing is sent twice.
#[tokio::test]
async fn it_drains_and_exits_with_zero() {
    let permits = Arc::new(Semaphore::new(0));
    let held = permits.clone();
    let (mut gateway, broker) = Gateway::with_broker("drain", move |_, _| Reply::AcceptWhen(held.clone())).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    gateway.ops.get("/health/ready").await.expect(200);
    gateway.terminate();
    until("readiness to go", 10, async || (gateway.ops.get("/health/ready").await.status == 503).then_some(())).await;
    gateway.ops.get("/health/live").await.expect(200);
    permits.add_permits(10);
    assert_eq!(gateway.wait_exit(25).await.code(), Some(0), "{}", gateway.log());
    gateway.launch().await;
    gateway.korea.wait_delivered(&id).await;
    gateway.stop().await;
    assert_eq!(broker.ledger().len(), 1, "the message under way was finished, not repeated");
}

/// A broker that never answers cannot hold up the end; the message is sent again under its id by the next process.
#[tokio::test]
async fn a_silent_broker_does_not_hold_up_the_end() {
    let mut setup = Setup::new("drain-silent");
    let broker = Broker::start(&setup.pki, |_, turn| match turn.of_all {
        0 => Reply::Hang,
        _ => Reply::Accept,
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "timeout_s", "60");
    let mut gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    gateway.stop().await;
    gateway.launch().await;
    gateway.korea.wait_delivered(&id).await;
    assert_eq!(broker.by_message().len(), 1, "one message id with one set of bytes");
}

/// What clients on kept connections saw.
#[derive(Default)]
struct Seen {
    taken: AtomicUsize,
    sent_away: AtomicUsize,
    /// Requests on a connection that had been served before, and were not answered.
    cut: AtomicUsize,
    /// Answers of the draining process that did not end their connection.
    kept: AtomicUsize,
}

/// One client: asks without a pause on one connection until it is told to close it; then on another.
async fn hammer(address: String, key: &str, seen: Arc<Seen>, number: u32) {
    let mut serial = number * 10_000;
    while let Ok(stream) = TcpStream::connect(&address).await {
        let mut stream = BufReader::new(stream);
        for turn in 0.. {
            serial += 1;
            let body = goods::parcel(serial).to_string();
            let head = "POST /v1/declarations HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json";
            let text = format!("{head}\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let sent = stream.write_all(text.as_bytes()).await;
            let head = if sent.is_ok() { wire::head(&mut stream).await.ok().flatten() } else { None };
            let Some((status, headers)) = head else {
                // A listener that closes drops what nobody had accepted: that is not a request begun.
                seen.cut.fetch_add(usize::from(turn > 0), SeqCst);
                break;
            };
            let mut body = vec![0; wire::header(&headers, "content-length").expect("a length").parse().unwrap()];
            stream.read_exact(&mut body).await.expect("a begun answer is finished");
            let close = wire::header(&headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let draining = String::from_utf8_lossy(&body).contains("\"draining\"");
            assert!(status.contains("202") || (draining && status.contains("503")), "{status}");
            seen.taken.fetch_add(usize::from(status.contains("202")), SeqCst);
            seen.sent_away.fetch_add(usize::from(draining), SeqCst);
            seen.kept.fetch_add(usize::from(draining && !close), SeqCst);
            if close {
                break;
            }
        }
    }
}

/// B19: a broker that hangs, a webhook that hangs, a stream that is open and clients that never pause: readiness falls, every
/// request is answered, the stream says where to go on, a second signal changes nothing, exit 0 within 25 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_in_time_whoever_hangs() {
    let mut setup = Setup::new("drain-all");
    let broker = Broker::start(&setup.pki, |_, turn| if turn.of_all == 0 { Reply::Accept } else { Reply::Hang }).await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "timeout_s", "60");
    let mut gateway = Gateway::start(setup).await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", hanging.local_addr().unwrap());
    gateway.korea.post("/v1/subscriptions", &json!({ "url": hook, "types": ["clearance.submitted"] })).await.expect(201);
    let request = gateway.korea.request(reqwest::Method::GET, "/v1/events/stream");
    let stream = tokio::spawn(async move { request.send().await.unwrap().text().await });
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let (_open, _) = hanging.accept().await.unwrap();
    gateway.korea.accepted(&goods::parcel(2)).await;
    broker.wait_for(2).await;

    let seen = Arc::new(Seen::default());
    let address = gateway.korea.base().trim_start_matches("http://").to_owned();
    let key = gateway.korea.key.clone().unwrap();
    let clients: Vec<_> = (1..=16)
        .map(|number| {
            let (address, key, seen) = (address.clone(), key.clone(), seen.clone());
            tokio::spawn(async move { hammer(address, &key, seen, number).await })
        })
        .collect();
    until("load", 20, async || (seen.taken.load(SeqCst) > 200).then_some(())).await;
    gateway.terminate();
    until("readiness to go", 5, async || (gateway.ops.get("/health/ready").await.status == 503).then_some(())).await;
    gateway.terminate();
    assert_eq!(gateway.wait_exit(25).await.code(), Some(0), "{}", gateway.log());
    for client in clients {
        client.await.unwrap();
    }
    let count = |counter: &AtomicUsize| counter.load(SeqCst);
    println!("{} taken, {} sent away, {} cut", count(&seen.taken), count(&seen.sent_away), count(&seen.cut));
    assert_eq!((count(&seen.cut), count(&seen.kept)), (0, 0), "requests cut, answers that kept their connection");
    assert!(count(&seen.sent_away) > 0, "void: nobody met the drain");
    let text = stream.await.unwrap().expect("the stream ends whole");
    assert!(text.contains("event: clearance.submitted"), "{text}");
    let words = text.trim_end().rsplit("\n\n").next().unwrap();
    let id = words.strip_prefix("id: ").unwrap_or_else(|| panic!("the last words are where to go on: {words}"));
    gateway.launch().await;
    let request = gateway.korea.request(reqwest::Method::GET, &format!("/v1/events?after={id}"));
    gateway.korea.finish(request).await.expect(200);
}
