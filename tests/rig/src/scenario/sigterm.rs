//! The gentle end under keep-alive load: no begun request is reset, readiness goes first, exit 0, and nothing is sent twice.

use crate::client::Client;
use crate::config::Setup;
use crate::judge;
use crate::load::{Load, Sent};
use crate::options::Options;
use crate::stage::{Stage, willing};
use crate::verdict::Verdict;
use crate::wire::header;
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Kept connections.
const CONNECTIONS: usize = 64;
/// Between two requests of a connection: what is taken has to be sent in the time that the judge gives.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of the requests of one stop.
#[derive(Default)]
struct Seen {
    reset_kept: AtomicU32,
    reset_new: AtomicU32,
    refused: AtomicU32,
    answered: AtomicU32,
    closes: AtomicU32,
}

/// 50 stops under load.
pub async fn run(options: &Options) -> Result<Verdict> {
    let times = options.times.unwrap_or(options.pick(50, 3));
    let mut stage = Stage::open(options, "sigterm", &Setup::default(), willing(20..80)).await?;
    let load = stage.load(1, 1.0);
    let (mut verdict, seen) = (Verdict::default(), Arc::new(Seen::default()));
    let (mut slowest, mut unready, mut open_at_end) = (Duration::ZERO, 0, 0);
    let mut ledger: BTreeMap<u32, Sent> = BTreeMap::new();
    for turn in 0..times {
        let stop = Arc::new(AtomicBool::new(false));
        let mut senders = JoinSet::new();
        let next = Arc::new(AtomicU32::new(u32::try_from(turn)? * 100_000 + 1));
        for _ in 0..CONNECTIONS {
            senders.spawn(send(load.clone(), next.clone(), stop.clone(), seen.clone()));
        }
        tokio::time::sleep(Duration::from_millis(stage.random.u64(200..700))).await;
        open_at_end += usize::from(stage.broker.unanswered() > 0);
        let began = Instant::now();
        stage.gateway.terminate()?;
        unready += usize::from(goes_unready(&stage.ops).await);
        let end = stage.gateway.wait_end(Duration::from_secs(25)).await?;
        slowest = slowest.max(began.elapsed());
        stop.store(true, SeqCst);
        for sent in senders.join_all().await {
            ledger.extend(sent);
        }
        match end {
            Some(end) if end.code == Some(0) => {}
            Some(end) => verdict.breach(format!("B19: the {turn}. stop ended with {:?} {:?}", end.code, end.signal)),
            None => {
                verdict.breach(format!("B19: the {turn}. stop took more than 25 s"));
                stage.gateway.kill()?;
            }
        }
        stage.gateway.start().await?;
    }
    complete(&load, &mut ledger).await;
    let judged = judge::judge(&stage, &ledger, Duration::from_secs(120)).await?;
    let again = stage.broker.arrivals().iter().filter(|arrival| arrival.turn > 0).count();
    let count = |counter: &AtomicU32| counter.load(SeqCst);
    for (name, value) in [
        ("reset_on_kept", &seen.reset_kept),
        ("reset_on_new", &seen.reset_new),
        ("refused", &seen.refused),
        ("answered", &seen.answered),
        ("told_to_close", &seen.closes),
    ] {
        verdict.count(name, count(value));
    }
    verdict.count("stops", times);
    verdict.count("stops_with_messages_in_flight", open_at_end);
    verdict.count("stops_seen_unready", unready);
    verdict.count("slowest_stop_s", judge::round(slowest.as_secs_f64()));
    verdict.count("sent_again", again);
    let reset = count(&seen.reset_kept) + count(&seen.reset_new);
    verdict.hold(reset == 0, || format!("B19: {reset} begun requests were reset"));
    verdict.hold(unready == times, || format!("B19: readiness was seen to go in {unready} of {times} stops"));
    verdict.hold(again == 0, || format!("B19: {again} messages were sent again after a gentle end"));
    verdict.void_unless(open_at_end > 0 && count(&seen.closes) > 0, "no stop met work in flight");
    verdict.absorb("judge", judged);
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}

/// Readiness answers 503, and does so within 100 ms as the bar wants it; a gateway that ended sooner could not be asked.
async fn goes_unready(ops: &Client) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        match ops.get("/health/ready").await {
            Ok(answer) if answer.status == 503 => return true,
            Ok(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(_) => return false,
        }
    }
    false
}

/// One connection's worth of load: the next request leaves when the answer is there, until the gateway cannot be reached.
async fn send(load: Arc<Load>, next: Arc<AtomicU32>, stop: Arc<AtomicBool>, seen: Arc<Seen>) -> BTreeMap<u32, Sent> {
    let (load, mut ledger) = (load.alone(), BTreeMap::new());
    while !stop.load(SeqCst) {
        let serial = next.fetch_add(1, SeqCst);
        let body = load.declaration(serial).to_string().into_bytes();
        let mut sent = load.fresh(serial);
        match load.try_once(serial, &body).await {
            Ok(answer) => {
                seen.answered.fetch_add(1, SeqCst);
                seen.closes.fetch_add(u32::from(answer.closes()), SeqCst);
                if sent.take(&answer) {
                    tokio::time::sleep(PAUSE).await;
                } else {
                    // Who is told when to come again comes again then.
                    let seconds = header(&answer.headers, "retry-after").and_then(|value| value.parse().ok());
                    tokio::time::sleep(seconds.map_or(Duration::from_millis(5), Duration::from_secs)).await;
                }
            }
            Err(failure) if failure.begun => {
                sent.cut += 1;
                if failure.kept { &seen.reset_kept } else { &seen.reset_new }.fetch_add(1, SeqCst);
            }
            Err(_) => {
                seen.refused.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        ledger.insert(serial, sent);
    }
    ledger
}

/// What was not acknowledged is sent again, as a sender does: it has to succeed.
async fn complete(load: &Arc<Load>, ledger: &mut BTreeMap<u32, Sent>) {
    for (serial, sent) in ledger.iter_mut().filter(|(_, sent)| sent.acknowledged.is_none()) {
        let body = load.declaration(*serial).to_string().into_bytes();
        for _ in 0..20 {
            if load.try_once(*serial, &body).await.is_ok_and(|answer| sent.take(&answer)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
