//! Jumps of the wall clock under load: nothing lost, nothing twice, no storm of retries.

use crate::config::Setup;
use crate::judge;
use crate::load::Load;
use crate::options::Options;
use crate::scenario::faketime::Clock;
use crate::stage::{Stage, willing};
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Offsets from true time, and in days.
const JUMPS: [(&str, i64); 6] = [("+1h", 0), ("-1h", 0), ("+2d", 2), ("+0", 0), ("+400d", 400), ("+0", 0)];

/// One jump after another while declarations come.
pub async fn run(options: &Options) -> Result<Verdict> {
    let each = Duration::from_secs(options.seconds.unwrap_or(options.pick(30, 5)));
    let rate = options.rate.unwrap_or(20.0);
    let mut setup = Setup::default();
    // A leap of 400 days must not look like the end of a retention that was set shorter.
    for line in ["personal_days = 2000", "evidence_days = 3000", "events_days = 2000"] {
        setup.lines.push(("retention", line.into()));
    }
    let mut stage = Stage::prepare(options, "clock", &setup, willing(0..10)).await?;
    let Some(clock) = Clock::find(&stage.dir)? else {
        return Ok(Verdict::skipped("libfaketime is not installed (package faketime)"));
    };
    stage.gateway.env = clock.env();
    stage.sink.at_any_time();
    stage.gateway.start().await?;
    stage.subscribe(&stage.sink.clone()).await?;
    let (mut busiest, mut ledger, mut first) = (0.0_f64, BTreeMap::new(), 1);
    let mut day = 0;
    for (jump, there) in JUMPS {
        // The post's calendar follows a leap of months; a smaller jump comes in the middle of the load.
        let leap = (there - day).abs() > 30;
        if leap {
            clock.set(jump)?;
            day = there;
        }
        let load = Load::on(stage.post.clone(), &stage.nonce, first, rate, day);
        let sender = tokio::spawn(load.clone().run(None));
        tokio::time::sleep(each / 2).await;
        let (before, began) = (stage.broker.count(), Instant::now());
        if !leap {
            clock.set(jump)?;
            day = there;
        }
        tokio::time::sleep(each / 2).await;
        busiest = busiest.max((stage.broker.count() - before) as f64 / began.elapsed().as_secs_f64());
        load.stop();
        sender.await?;
        first += 100_000;
        ledger.extend(load.ledger());
    }
    let mut verdict = judge::judge(&stage, &ledger, Duration::from_secs(120)).await?;
    verdict.count("jumps", JUMPS.len());
    verdict.count("most_sends_a_second", judge::round(busiest));
    verdict.hold(busiest <= 2.0 * rate, || format!("B16: {busiest:.1} sends a second at {rate} declarations a second"));
    // The jump was seen when the gateway's own time of an event is far from ours.
    let year = crate::clock::date(crate::clock::seconds() + 399 * 86_400)[..7].to_owned();
    let feed = stage.feed().await?;
    let seen = feed.iter().any(|event| event["data"]["received_at"].as_str().is_some_and(|at| at[..7] >= *year));
    verdict.void_unless(seen, "no event bears the time of the longest jump");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
