//! The start with a full house: a million finished items must not delay the first send.
//!
//! Declaring a million items takes hours, so one finished item is made by the front door and its rows are copied in the
//! store by a script, with ids, references and positions of their own; the tables are those of `migrations/sqlite`.

use crate::broker::{Conduct, Reply};
use crate::config::Setup;
use crate::judge;
use crate::notice::{Notice, mrn_of};
use crate::options::Options;
use crate::scenario::disk::is_installed;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};

const MULTIPLY: &str = include_str!("../../multiply.py");
/// From the start of the process to the first send of a new declaration.
const WITHIN: Duration = Duration::from_secs(2);

/// As short a road as a finished item can have: accepted and cleared.
fn conduct() -> Conduct {
    let say = |code, arrival: &crate::broker::Arrival| {
        (Duration::from_millis(50), Notice::new(code, &arrival.lrn, &mrn_of(&arrival.lrn), crate::clock::seconds()))
    };
    Conduct {
        script: Box::new(|_| Reply::Accept(Duration::ZERO)),
        plan: Box::new(move |arrival| vec![say("ACC", arrival), say("CLR", arrival)]),
    }
}

/// Fills the store, then measures starts.
pub async fn run(options: &Options) -> Result<Verdict> {
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| is_installed(python) || std::path::Path::new(python).is_file());
    let Some(python) = python else { return Ok(Verdict::skipped("python3 with sqlite3 is needed to fill the store")) };
    let items = options.items.unwrap_or(options.pick(1_000_000, 20_000));
    let mut stage = Stage::open(options, "start", &Setup::default(), conduct()).await?;
    let load = stage.load(1, 1.0);
    load.clone().run(Some(1)).await;
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(60)).await?;
    stage.gateway.stop().await?;
    let script = stage.dir.join("multiply.py");
    std::fs::write(&script, MULTIPLY)?;
    let filling = Instant::now();
    let output = Command::new(python).arg(&script).arg(stage.dir.join("preclear.db")).arg(items.to_string()).output()?;
    if !output.status.success() {
        bail!("the store could not be filled: {}", String::from_utf8_lossy(&output.stderr));
    }
    verdict.count("filled_in_s", judge::round(filling.elapsed().as_secs_f64()));
    verdict.count("store_mib", std::fs::metadata(stage.dir.join("preclear.db"))?.len() >> 20);
    let (mut slowest_ready, mut slowest_send) = (Duration::ZERO, Duration::ZERO);
    let starts = options.times.unwrap_or(3);
    for turn in 0..starts {
        let (began, before) = (Instant::now(), stage.broker.count());
        stage.gateway.start().await?;
        slowest_ready = slowest_ready.max(stage.gateway.start_took);
        let load = stage.load(u32::try_from(90_000_000 + turn)?, 1.0);
        let sender = tokio::spawn(load.clone().run(Some(1)));
        let came = Stage::until(Duration::from_secs(60), async || stage.broker.count() > before).await;
        let arrived =
            stage.broker.arrivals().last().filter(|_| came).map(|arrival| arrival.at).context("nothing was sent after the start")?;
        slowest_send = slowest_send.max(arrived.duration_since(began));
        sender.await?;
        stage.settle(Duration::from_secs(20)).await;
        stage.gateway.stop().await?;
    }
    // That the copies are seen by the gateway, not only by the script.
    stage.gateway.start().await?;
    let last = crate::goods::item_id(u32::try_from(items)?);
    let view = Stage::json(&stage.post, &format!("/v1/items/{last}")).await?;
    verdict.void_unless(view["clearance"]["status"] == "cleared", "the copied items are not there");
    verdict.count("items", items);
    verdict.count("starts", starts);
    verdict.count("slowest_readiness_s", judge::round(slowest_ready.as_secs_f64()));
    verdict.count("slowest_first_send_s", judge::round(slowest_send.as_secs_f64()));
    verdict.hold(slowest_send < WITHIN, || format!("the first send came after {:.2} s", slowest_send.as_secs_f64()));
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
