//! Sinks that hang, refuse, redirect and never end beside a healthy one: the healthy one gets everything in order.

use crate::config::Setup;
use crate::judge;
use crate::options::Options;
use crate::sink::{Mood, Sink};
use crate::stage::{Stage, willing};
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::HashMap;
use std::time::Duration;

const MOODS: [(&str, Mood); 5] = [
    ("hang", Mood::Hang),
    ("500", Mood::Status(500)),
    ("410", Mood::Status(410)),
    ("redirect", Mood::Redirect),
    ("endless", Mood::Endless),
];
/// What the kernel's buffers on both ends may hold of an answer that nobody reads.
const BUFFERS: u64 = 16 << 20;

/// A load while six sinks are told of it.
pub async fn run(options: &Options) -> Result<Verdict> {
    let seconds = options.seconds.unwrap_or(options.pick(120, 15));
    let stage = Stage::open(options, "webhooks", &Setup::default(), willing(0..10)).await?;
    let mut sinks = Vec::new();
    for (name, mood) in MOODS {
        let sink = Sink::start(move |_| mood).await?;
        stage.subscribe(&sink).await?;
        sinks.push((name, sink));
    }
    let load = stage.load(1, options.rate.unwrap_or(20.0));
    let sender = tokio::spawn(load.clone().run(None));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    load.stop();
    sender.await?;
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(60)).await?;
    for (name, sink) in &sinks {
        let hooks = sink.hooks();
        verdict.count(&format!("{name}_attempts"), hooks.len());
        verdict.void_unless(!hooks.is_empty(), &format!("the sink {name} was never called"));
        verdict.hold(hooks.iter().all(|hook| hook.path == "/hooks"), || "B22: a redirect was followed".into());
        verdict.hold(hooks.iter().all(|hook| hook.signed), || format!("P8: unsigned at {name}"));
        let mut tries: HashMap<&str, usize> = HashMap::new();
        for hook in &hooks {
            *tries.entry(&hook.id).or_default() += 1;
        }
        let most = tries.values().max().copied().unwrap_or(0);
        verdict.count(&format!("{name}_most_tries_of_one"), most);
        // 0 s, 5 s, 5 min: at most three within the run, with room for jitter.
        verdict.hold(most <= 4, || format!("B22: one event went to {name} {most} times within the run"));
        if *name == "410" {
            let first = hooks.first().map(|hook| hook.at);
            let late = hooks.iter().filter(|hook| first.is_some_and(|first| hook.at > first + Duration::from_secs(2))).count();
            verdict.count("410_after_two_seconds", late);
            verdict.hold(late == 0, || format!("B22: {late} deliveries long after a 410"));
        }
        if *name == "endless" {
            verdict.count("endless_bytes", sink.most_read());
            verdict.hold(sink.most_read() <= BUFFERS, || "B22: an endless answer was read".into());
        }
    }
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
