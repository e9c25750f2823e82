//! A broker that flaps in eleven ways for ten minutes: nothing lost, nothing before its time, every doubt resolved.

use crate::broker::{Arrival, Conduct, FAULTS, Reply};
use crate::config::Setup;
use crate::judge;
use crate::options::Options;
use crate::stage::{Stage, clears, willing};
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Kinds beside the eleven, which a broker can do too.
const MORE: [(&str, Reply); 4] =
    [("502", Reply::Status(502)), ("503_date", Reply::AfterDate(503, 1)), ("408", Reply::Status(408)), ("too_large", Reply::TooLarge)];

/// Draws health for every second message, one of the faults for the others.
pub async fn run(options: &Options) -> Result<Verdict> {
    let seconds = options.seconds.unwrap_or(options.pick(600, 45));
    let setup = Setup::default()
        .broker("timeout_s", "3")
        .broker("retry", "{ first_ms = 200, max_ms = 2000, give_up_after_s = 3600 }")
        .broker("breaker", "{ failure_share = 0.9, min_calls = 20, window_s = 10, open_ms = 1000 }");
    let random = Mutex::new(fastrand::Rng::with_seed(options.seed));
    let script = move |_: &Arrival| {
        let mut random = random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match random.bool() {
            true => FAULTS[0].1,
            false => FAULTS
                .iter()
                .skip(1)
                .chain(&MORE)
                .nth(random.usize(..FAULTS.len() - 1 + MORE.len()))
                .map_or(FAULTS[0].1, |(_, reply)| *reply),
        }
    };
    let conduct = Conduct { script: Box::new(script), plan: Box::new(clears) };
    let stage = Stage::open(options, "flaps", &setup, conduct).await?;
    let rate = options.rate.unwrap_or(5.0);
    let load = stage.load(1, rate);
    let sender = tokio::spawn(load.clone().run(None));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    load.stop();
    sender.await?;
    let flapping = stage.broker.arrivals();
    stage.broker.behave(willing(0..10));
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(300)).await?;
    let arrivals = stage.broker.arrivals();
    let (early, named) = judge::early(&arrivals);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, reply) in FAULTS.iter().chain(&MORE) {
        kinds.insert(name, flapping.iter().filter(|arrival| arrival.reply == *reply).count());
    }
    for (name, _) in FAULTS {
        verdict.void_unless(kinds[name] > 0, &format!("{name} was never done"));
    }
    let most = arrivals.iter().map(|arrival| arrival.turn + 1).max().unwrap_or(0);
    verdict.count("kinds", serde_json::to_value(kinds)?);
    verdict.count("times_named", named);
    verdict.count("early", early);
    verdict.count("most_sends_of_one", most);
    verdict.hold(early == 0, || format!("P4: {early} messages came before a named time"));
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}
