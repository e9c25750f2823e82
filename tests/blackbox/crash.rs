//! `kill -9` at any moment: what was acknowledged reaches the broker, once. The ledger is the broker's, not ours.

use crate::support::broker::{Broker, Post, Reply};
use crate::support::caller::Caller;
use crate::support::gateway::Gateway;
use crate::support::lists;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, until};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DECLARATIONS: u32 = 1000;
const KILLS: usize = 10;
const SENDERS: usize = 16;

/// What the sender knows of one declaration: the answer that acknowledged it, and how often it was cut off before.
struct Acknowledged {
    status: u16,
    cut: usize,
    declaration_id: String,
    body: Vec<u8>,
}

#[derive(Default)]
struct Load {
    next: AtomicUsize,
    in_flight: AtomicUsize,
    acknowledged: Mutex<BTreeMap<u32, Acknowledged>>,
}

impl Load {
    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// One sender: takes the next serial, sends it under a key of its own until an answer comes, and writes that down.
    async fn send(&self, caller: Caller) {
        loop {
            let serial = self.next.fetch_add(1, SeqCst) as u32 + 1;
            if serial > DECLARATIONS {
                return;
            }
            let body = goods::parcel(serial).to_string();
            let deadline = Instant::now() + Duration::from_secs(60);
            let mut cut = 0;
            loop {
                assert!(Instant::now() < deadline, "declaration {serial} was not answered within a minute");
                let request = caller
                    .request(reqwest::Method::POST, "/v1/declarations")
                    .header("content-type", "application/json")
                    .header("idempotency-key", format!("crash-{serial}"))
                    .body(body.clone());
                self.in_flight.fetch_add(1, SeqCst);
                let answer = caller.try_finish(request).await;
                self.in_flight.fetch_sub(1, SeqCst);
                match answer {
                    Ok(answer) if matches!(answer.status, 409 | 503) => tokio::time::sleep(Duration::from_millis(200)).await,
                    Ok(answer) => {
                        assert!(answer.status == 202 || (answer.status == 200 && cut > 0), "{serial}: {}", answer.text());
                        let declaration_id = answer.json()["declaration_id"].as_str().unwrap().to_owned();
                        let entry = Acknowledged { status: answer.status, cut, declaration_id, body: answer.body };
                        self.acknowledged.lock().unwrap().insert(serial, entry);
                        break;
                    }
                    Err(_) => {
                        cut += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }
}

/// Issue, P1, P2: ten kills in the middle of 1,000 declarations; each acknowledged one reaches the broker under one message id
/// with one set of bytes, the cut-off ones are taken when they are sent again. A run without requests in flight at a kill is void.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_lose_nothing_and_double_nothing() {
    let seed = std::env::var("PRECLEAR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut gateway, broker) = Gateway::with_broker("kills", |_, _| Reply::AcceptAfter(Duration::from_millis(10))).await;
    let load = Arc::new(Load::default());
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (load, caller) = (load.clone(), gateway.korea.clone());
            tokio::spawn(async move { load.send(caller).await })
        })
        .collect();

    let (mut with_requests, mut with_messages) = (0, 0);
    for kill in 0..KILLS {
        let threshold = kill * 95 + random.usize(5..90);
        until("progress of the load", 60, async || (load.count() >= threshold).then_some(())).await;
        tokio::time::sleep(Duration::from_micros(random.u64(0..20_000))).await;
        with_requests += usize::from(load.in_flight.load(SeqCst) > 0);
        with_messages += usize::from(broker.unanswered() > 0);
        gateway.kill();
        gateway.launch().await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let acknowledged = std::mem::take(&mut *load.acknowledged.lock().unwrap());
    assert_eq!(acknowledged.len(), DECLARATIONS as usize);
    until("every acknowledged declaration at the broker", 60, async || (broker.by_message().len() >= acknowledged.len()).then_some(()))
        .await;
    let caller = &gateway.korea;
    stream::iter(acknowledged.values())
        .for_each_concurrent(8, |entry| async { drop(caller.wait_delivered(&entry.declaration_id).await) })
        .await;

    // Each kept promise can still be called in: the same body again is the same answer.
    for (serial, entry) in acknowledged.iter().filter(|(serial, _)| *serial % 50 == 0) {
        let again = caller.declare_with_key(&goods::parcel(*serial), &format!("crash-{serial}")).await.expect(200);
        assert_eq!(again.body, entry.body, "the replay of {serial} is the first answer, byte for byte");
    }
    gateway.stop().await;
    judge(&broker.by_message(), &acknowledged);
    let cut: usize = acknowledged.values().map(|entry| entry.cut).sum();
    let survived = acknowledged.values().filter(|entry| entry.status == 200).count();
    println!(
        "{} acknowledged, {KILLS} kills ({with_requests} with requests in flight, {with_messages} with messages unanswered), {cut} requests cut off, \
         {survived} of them had been stored, {} POSTs at the broker, {} repeats",
        acknowledged.len(),
        broker.ledger().len(),
        broker.ledger().len() - acknowledged.len(),
    );
    assert!(with_requests > 0 && cut > 0, "void: no kill met a request in flight");
}

/// Every item has exactly one message id, and every message id one item.
fn judge(messages: &BTreeMap<String, Vec<Post>>, acknowledged: &BTreeMap<u32, Acknowledged>) {
    let mut items: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (id, posts) in messages {
        items.entry(posts[0].lrn()[..13].to_owned()).or_default().insert(id);
    }
    for serial in acknowledged.keys() {
        let ids = items.get(&goods::item_id(*serial));
        assert_eq!(ids.map(BTreeSet::len), Some(1), "item {serial} reached the broker under {ids:?}");
    }
    assert_eq!(items.len(), acknowledged.len(), "nothing at the broker that nobody sent");
    assert_eq!(messages.len(), acknowledged.len(), "distinct message ids");
}

/// P2 for a broker that does not drop repeats: a message that was under way at the kill is not sent again on a guess; a person is told.
#[tokio::test]
async fn a_message_in_doubt_is_not_repeated_to_a_broker_that_counts_repeats() {
    let mut setup = Setup::new("in-doubt");
    let broker = Broker::start(&setup.pki, |_, turn| match turn.of_all {
        0 => Reply::Hang,
        _ => Reply::Accept,
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "idempotent", "false");
    let mut gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    gateway.kill();
    gateway.launch().await;
    let declaration = gateway.korea.wait_state(&id, "/delivery/state", "dead").await;
    assert_eq!(declaration["delivery"]["reason"], "unresolved", "{declaration}");
    let next = gateway.korea.accepted(&goods::parcel(2)).await;
    gateway.korea.wait_delivered(&next).await;
    assert_eq!(broker.about(&goods::item_id(1)).len(), 1, "not sent a second time");
    let dead = gateway.ops.json("/v1/dead-letters").await;
    assert!(lists::row(&dead, &id).is_some(), "{dead}");
}

/// P6: a notice that was answered 202 is not lost by a kill right after it, whether or not it had been read by then.
#[tokio::test]
async fn notices_that_were_taken_survive_a_kill() {
    let (mut gateway, broker) = Gateway::plain("notices-kill").await;
    let mut ids = Vec::new();
    for serial in 1..=20 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    let voice = gateway.uk_broker();
    let posts = broker.ledger();
    stream::iter(posts.iter().enumerate())
        .for_each_concurrent(8, |(n, post)| {
            let (voice, notice) = (&voice, Notice::new("01", &post.lrn()).mrn(&mrn(n as u32)));
            async move { voice.notify(&notice).await }
        })
        .await;
    gateway.kill();
    gateway.launch().await;
    for id in &ids {
        gateway.korea.wait_clearance(id, "accepted").await;
    }
}
