//! `kill -9` at random under load: nothing lost, nothing twice, all ended.

use crate::config::Setup;
use crate::judge;
use crate::options::Options;
use crate::stage::{Stage, willing};
use crate::verdict::Verdict;
use anyhow::Result;
use std::time::{Duration, Instant};

/// The deadline after the last kill (reliability bar B1).
const ENDED_WITHIN: Duration = Duration::from_secs(120);

/// 200 declarations a second while the gateway is killed 100 times.
pub async fn run(options: &Options) -> Result<Verdict> {
    let (kills, rate) = (options.times.unwrap_or(options.pick(100, 10)), options.rate.unwrap_or(options.pick(200.0, 60.0)));
    let mut stage = Stage::open(options, "kill", &Setup::default(), willing(0..40)).await?;
    let load = stage.load(1, rate);
    let sender = tokio::spawn(load.clone().run(None));
    let (mut in_flight, mut with_messages, mut starts) = (0, 0, Vec::new());
    let longest = options.pick(5000, 1500);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(stage.random.u64(200..longest))).await;
        in_flight += usize::from(load.outstanding() > 0 || stage.broker.unanswered() > 0);
        with_messages += usize::from(stage.broker.unanswered() > 0);
        stage.kill_and_start().await?;
        starts.push(stage.gateway.start_took);
    }
    let last = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.stop();
    sender.await?;
    let ledger = load.ledger();
    let sent_among_kills = stage.broker.count();
    let mut verdict = judge::judge(&stage, &ledger, ENDED_WITHIN).await?;
    verdict.count("kills", kills);
    verdict.count("kills_with_work_in_flight", in_flight);
    verdict.count("kills_with_messages_in_flight", with_messages);
    verdict.count("arrivals_among_the_kills", sent_among_kills);
    verdict.count("slowest_start_s", judge::round(starts.iter().max().map_or(0.0, Duration::as_secs_f64)));
    verdict.count("judged_after_s", judge::round(last.elapsed().as_secs_f64()));
    verdict.void_unless(in_flight * 10 >= kills * 6, "fewer than six kills in ten met work in flight");
    verdict.void_unless(with_messages > 0, "no kill met a message that the broker had not answered");
    verdict.void_unless(ledger.values().any(|sent| sent.cut > 0), "no request was cut");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
