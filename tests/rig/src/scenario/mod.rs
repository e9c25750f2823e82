//! The scenarios, by their names on the command line.

mod amend;
mod away;
mod callbacks;
mod clock;
mod disk;
mod disk_full;
mod faketime;
mod flaps;
mod fsync;
mod idempotency;
mod kill;
mod planted;
mod points;
mod power;
mod rate;
mod sigterm;
mod start;
mod webhooks;

use crate::options::Options;
use crate::verdict::Verdict;
use anyhow::{Result, bail};
use std::time::Instant;

/// Runs one scenario.
pub async fn run(name: &str, options: &Options) -> Result<Verdict> {
    match name {
        "kill" => kill::run(options).await,
        "callbacks" => callbacks::run(options).await,
        "rate" => rate::run(options).await,
        "sigterm" => sigterm::run(options).await,
        "idempotency" => idempotency::run(options).await,
        "flaps" => flaps::run(options).await,
        "away" => away::run(options).await,
        "amend" => amend::run(options).await,
        "points" => points::run(options).await,
        "webhooks" => webhooks::run(options).await,
        "clock" => clock::run(options).await,
        "disk-full" => disk_full::run(options).await,
        "fsync" => fsync::run(options).await,
        "power" => power::run(options).await,
        "start" => start::run(options).await,
        "planted" => planted::run(options).await,
        "short" => together(&SHORT, &Options { short: true, ..options.clone() }).await,
        "all" => together(&ALL, options).await,
        _ => bail!("there is no scenario of this name\n{}", crate::options::USAGE),
    }
}

/// What fits into five minutes.
const SHORT: [&str; 8] = ["kill", "points", "callbacks", "rate", "idempotency", "sigterm", "flaps", "amend"];
/// Everything that runs against one binary, in the order of reliability.
const ALL: [&str; 15] = [
    "kill",
    "points",
    "power",
    "away",
    "flaps",
    "callbacks",
    "rate",
    "idempotency",
    "disk-full",
    "fsync",
    "sigterm",
    "clock",
    "amend",
    "webhooks",
    "start",
];

/// One scenario after another, each with a line of its own; the whole passes when all do.
async fn together(names: &[&str], options: &Options) -> Result<Verdict> {
    let mut whole = Verdict::default();
    for name in names {
        let began = Instant::now();
        let mut part = Box::pin(run(name, options)).await.unwrap_or_else(|error| {
            let mut broken = Verdict::default();
            broken.breach(format!("could not be run: {error:#}"));
            broken
        });
        if part.word() == "SKIPPED" && options.require {
            part.breach("it is required and was skipped");
        }
        println!("{}", part.line(name, options.seed, began.elapsed().as_secs_f64()));
        whole.follow(name, &part);
    }
    Ok(whole)
}
