//! A broker that is away for five minutes: the post notices nothing, the backlog drains at the permitted rate.

use crate::broker::Conduct;
use crate::config::Setup;
use crate::judge;
use crate::load::Sent;
use crate::options::Options;
use crate::stage::{Stage, clears};
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PER_SECOND: f64 = 100.0;
const BURST: usize = 20;

/// The 99th of 100 acknowledgement times of declarations first sent in a span, and the share that was acknowledged.
fn acknowledged(ledger: &BTreeMap<u32, Sent>, from: Instant, to: Instant) -> (f64, f64) {
    let within = |sent: &&Sent| sent.first.is_some_and(|first| first >= from && first < to);
    let all = ledger.values().filter(within).count();
    let times = ledger.values().filter(within).filter_map(|sent| Some(sent.acknowledged?.duration_since(sent.first?).as_secs_f64()));
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    let p99 = times.get((times.len() * 99 / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0);
    (p99, times.len() as f64 / all.max(1) as f64)
}

/// Calm, away, back; at 50 declarations a second throughout.
pub async fn run(options: &Options) -> Result<Verdict> {
    let (calm, away) = (options.pick(60, 8), options.seconds.unwrap_or(options.pick(300, 20)));
    let setup = Setup::default()
        .broker("rate", "{ per_second = 100, burst = 20 }")
        .broker("breaker", "{ failure_share = 0.5, min_calls = 10, window_s = 30, open_ms = 1000 }");
    let script = Box::new(|_: &_| crate::broker::Reply::Accept(Duration::from_millis(fastrand::u64(0..30))));
    let stage = Stage::open(options, "away", &setup, Conduct { script, plan: Box::new(clears) }).await?;
    let load = stage.load(1, options.rate.unwrap_or(50.0));
    let sender = tokio::spawn(load.clone().run(None));
    let warm = Instant::now() + Duration::from_secs(2);
    tokio::time::sleep(Duration::from_secs(2 + calm)).await;
    let gone = Instant::now();
    stage.broker.off();
    tokio::time::sleep(Duration::from_secs(away)).await;
    let back = Instant::now();
    load.stop();
    sender.await?;
    let queued = stage.backlog().await.unwrap_or(0);
    stage.broker.on().await?;
    let limit = Duration::from_secs(2 * queued / 100 + 60);
    let mut verdict = judge::judge(&stage, &load.ledger(), limit).await?;
    let ledger = load.ledger();
    let ((calm_p99, _), (away_p99, share)) = (acknowledged(&ledger, warm, gone), acknowledged(&ledger, gone, back));
    let arrivals = stage.broker.arrivals();
    let drained: Vec<_> = arrivals.iter().filter(|arrival| arrival.at >= back).cloned().collect();
    let span = drained.last().zip(drained.first()).map_or(0.0, |(last, first)| last.at.duration_since(first.at).as_secs_f64());
    let used = drained.len() as f64 / span.max(0.001) / PER_SECOND;
    let most = judge::most_in_a_second(&arrivals);
    for (name, value) in [("calm_p99_s", calm_p99), ("away_p99_s", away_p99), ("away_share", share), ("drain_used", used)] {
        verdict.count(name, judge::round(value));
    }
    verdict.count("queued_at_return", queued);
    verdict
        .count("first_send_after_return_s", drained.first().map_or(0.0, |first| judge::round(first.at.duration_since(back).as_secs_f64())));
    verdict.count("most_in_a_second", most);
    verdict.hold(share >= 1.0, || format!("B4: {share:.4} of the declarations were acknowledged while the broker was away"));
    verdict.hold(away_p99 <= calm_p99 * 1.5 + 0.005, || format!("B4: p99 {away_p99:.4} s away, {calm_p99:.4} s calm"));
    verdict.hold(used >= 0.9, || format!("P11: drained at {used:.2} of the permitted rate"));
    verdict.hold(most <= PER_SECOND as usize + BURST, || format!("P4: {most} arrived within one second"));
    verdict.void_unless(queued > 100, "no backlog grew");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
