//! The permit: never exceeded in any second, and used.

use crate::broker::{Conduct, Reply};
use crate::config::Setup;
use crate::judge;
use crate::options::Options;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use serde_json::json;
use std::time::Duration;

const PER_SECOND: usize = 50;
const BURST: usize = 10;

/// 5,000 messages are queued while the broker is paused, then they go.
pub async fn run(options: &Options) -> Result<Verdict> {
    let queued = options.items.unwrap_or(options.pick(5000, 600));
    // More hands than the permit feeds, so that the permit alone holds them back.
    let setup = Setup::default().broker("rate", "{ per_second = 50, burst = 10 }").broker("max_in_flight", "64");
    let script = Box::new(|_: &_| Reply::Accept(Duration::from_millis(fastrand::u64(0..30))));
    let conduct = Conduct { script, plan: Box::new(crate::stage::clears) };
    let stage = Stage::open(options, "rate", &setup, conduct).await?;
    let broker = crate::config::BROKER;
    stage.ops.send("POST", &format!("/v1/brokers/{broker}/pause"), &json!({})).await.ok().context("pause")?;
    let load = stage.load(1, 400.0);
    load.clone().run(Some(u32::try_from(queued)?)).await;
    let before = stage.broker.count();
    stage.ops.send("POST", &format!("/v1/brokers/{broker}/resume"), &json!({})).await.ok().context("resume")?;
    let limit = Duration::from_secs(queued as u64 / 20 + 60);
    Stage::until(limit, async || stage.broker.taken() >= queued).await;
    let mut verdict = judge::judge(&stage, &load.ledger(), limit).await?;
    let arrivals = stage.broker.arrivals();
    let most = judge::most_in_a_second(&arrivals);
    let span = arrivals.last().zip(arrivals.first()).map_or(0.0, |(last, first)| last.at.duration_since(first.at).as_secs_f64());
    let used = (arrivals.len() - 1) as f64 / span / PER_SECOND as f64;
    verdict.count("sent_while_paused", before);
    verdict.count("most_in_a_second", most);
    verdict.count("used", judge::round(used));
    verdict.hold(before == 0, || "a paused broker was sent something".into());
    verdict.hold(most <= PER_SECOND + BURST, || format!("P4: {most} arrived within one second"));
    verdict.hold(used >= 0.9, || "P4: less than nine tenths of the permit was used".into());
    verdict.void_unless(arrivals.len() >= queued, "fewer messages than were queued");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
