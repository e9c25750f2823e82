//! Death at each named step: SIGKILL at the n-th pass of a point, twenty times each.

use crate::broker::{Arrival, Conduct, Reply};
use crate::changes::{Wish, change};
use crate::clock;
use crate::config::Setup;
use crate::judge;
use crate::load::Load;
use crate::notice::{Notice, mrn_of};
use crate::options::Options;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a point may take to be passed often enough, before the process is ended the gentle way, which passes more of them.
const PASSED_WITHIN: Duration = Duration::from_secs(10);
const SIGKILL: i32 = 9;

/// The names that the binary prints; none when it was built without them.
fn names(options: &Options) -> Result<Vec<String>> {
    let output = Command::new(&options.bin).arg("fault-points").output()?;
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    Ok(first.filter(|name| options.only.as_ref().is_none_or(|only| only == name)).collect())
}

/// All points, one after another, each on a store of its own.
pub async fn run(options: &Options) -> Result<Verdict> {
    let names = names(options)?;
    if names.is_empty() {
        return Ok(Verdict::skipped("the binary has no fault points (build it with their feature)"));
    }
    let mut verdict = Verdict::default();
    verdict.count("points", names.len());
    for name in names {
        let part = point(options, &name).await?;
        eprintln!("{}", part.line(&name, options.seed, 0.0));
        verdict.absorb_some(&name, part, &["fired", "of"]);
    }
    Ok(verdict)
}

/// Customs that leave time for a change of mind: accepted or pre-lodged at once, cleared a while later.
fn conduct() -> Conduct {
    let plan = |arrival: &Arrival| {
        let say = |pause, code| (Duration::from_millis(pause), Notice::new(code, &arrival.lrn, &mrn_of(&arrival.lrn), clock::seconds()));
        match arrival.kind.as_str() {
            "Declaration" => vec![say(10, if arrival.of_all.is_multiple_of(2) { "REG" } else { "ACC" }), say(1500, "CLR")],
            "Amendment" => vec![(Duration::from_millis(10), Notice::new("AMA", &arrival.lrn, &arrival.mrn, clock::seconds()))],
            _ => vec![(Duration::from_millis(10), Notice::new("PRA", &arrival.lrn, &arrival.mrn, clock::seconds()))],
        }
    };
    Conduct { script: Box::new(|_| Reply::Accept(Duration::from_millis(fastrand::u64(0..20)))), plan: Box::new(plan) }
}

async fn point(options: &Options, name: &str) -> Result<Verdict> {
    let times = options.times.unwrap_or(options.pick(20, 1));
    let setup = Setup { presentation: true, ..Setup::default() };
    let mut stage = Stage::open(options, &format!("point-{}", name.replace(['/', ':'], "-")), &setup, conduct()).await?;
    let load = stage.load(1, options.rate.unwrap_or(40.0));
    let sender = tokio::spawn(load.clone().run(None));
    let changer = tokio::spawn(restless(stage.post.clone(), load.clone()));
    let mut fired = 0;
    for _ in 0..times {
        let pass = stage.random.u32(1..=options.pick(30, 5));
        if stage.gateway.is_started() {
            stage.gateway.stop().await?;
        }
        stage.gateway.env = vec![("PRECLEAR_FAULT_POINT".into(), format!("{name}:{pass}"))];
        // A point that is passed at the start ends the process before it is ready.
        let started = stage.gateway.start().await;
        let mut end = None;
        if started.is_ok() {
            end = stage.gateway.wait_end(PASSED_WITHIN).await?;
            if end.is_none() {
                stage.gateway.terminate()?;
                end = stage.gateway.wait_end(Duration::from_secs(25)).await?;
            }
        }
        fired += usize::from(started.is_err() || end.is_some_and(|end| end.signal == Some(SIGKILL)));
    }
    stage.gateway.env.clear();
    if !stage.gateway.is_started() {
        stage.gateway.start().await?;
    }
    load.stop();
    sender.await?;
    changer.abort();
    let mut ledger = load.ledger();
    for (serial, sent) in &mut ledger {
        let mut amended = load.declaration(*serial);
        amended["gross_weight_g"] = AMENDED.into();
        sent.later.push(crate::goods::content_of_declaration(&amended));
    }
    let mut verdict = judge::judge(&stage, &ledger, Duration::from_secs(120)).await?;
    verdict.count("fired", fired);
    verdict.count("of", times);
    verdict.void_unless(fired > 0, "the point was never seen to fire");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}

const AMENDED: u32 = 5555;

/// Changes three declarations in five, so that the steps of changes are passed too; what is answered is not judged here.
async fn restless(client: crate::client::Client, load: Arc<Load>) {
    let (mut seen, mut tasks) = (HashSet::new(), JoinSet::new());
    loop {
        for (serial, sent) in load.ledger().into_iter().filter(|(serial, sent)| serial % 5 < 3 && sent.acknowledged.is_some()) {
            if seen.insert(serial) {
                let (client, load) = (client.clone(), load.clone());
                let wish = if serial % 5 == 0 { Wish::Amend(AMENDED) } else { Wish::Arrive };
                tasks.spawn(async move { change(&client, &load, serial, &sent, wish).await });
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
