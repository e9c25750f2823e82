//! The scenarios, by their names on the command line.

mod away;
mod callbacks;
mod amend;
mod points;
mod webhooks;
mod clock;
mod faketime;
mod flaps;
mod idempotency;
mod kill;
mod rate;
mod sigterm;

use crate::options::Options;
use crate::verdict::Verdict;
use anyhow::{Result, bail};

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
        _ => bail!("there is no scenario of this name\n{}", crate::options::USAGE),
    }
}
