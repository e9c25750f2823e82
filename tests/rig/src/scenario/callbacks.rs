//! Callbacks that come before the answer to their own submission, and callbacks that come again and in any order.

use crate::broker::{Arrival, Conduct, Reply, Then};
use crate::clock;
use crate::config::Setup;
use crate::judge;
use crate::load::Sent;
use crate::notice::{Notice, mrn_of};
use crate::options::Options;
use crate::stage::{Stage, clears};
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// Different notices about each item.
const KINDS: usize = 4;

/// Both halves, one after the other.
pub async fn run(options: &Options) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    verdict.absorb("early", early(options).await?);
    verdict.absorb("repeated", repeated(options).await?);
    Ok(verdict)
}

/// 1,000 submissions whose verdict arrives first: then the answer comes late, as a 500, or never. None may be sent again.
async fn early(options: &Options) -> Result<Verdict> {
    let count = options.items.unwrap_or(options.pick(1000, 120));
    let pause = options.pick(3000, 300);
    let script = move |arrival: &Arrival| {
        let then = match arrival.of_all % 8 {
            0 => Then::Cut,
            1 => Then::Status(500),
            _ => Then::Accept(Duration::from_millis(pause)),
        };
        Reply::CallFirst(then)
    };
    let setup = Setup::default()
        .broker("max_in_flight", "64")
        .broker("breaker", "{ failure_share = 1.0, min_calls = 1000, window_s = 30, open_ms = 500 }");
    let stage = Stage::open(options, "callbacks-early", &setup, Conduct { script: Box::new(script), plan: Box::new(clears) }).await?;
    let load = stage.load(1, options.pick(20.0, 60.0));
    load.clone().run(Some(u32::try_from(count)?)).await;
    Stage::until(Duration::from_secs(60), async || stage.broker.count() >= count && stage.broker.unanswered() == 0).await;
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(120)).await?;
    let arrivals = stage.broker.arrivals();
    let again = arrivals.iter().filter(|arrival| arrival.turn > 0).count();
    let before = arrivals.iter().filter(|arrival| arrival.answered.is_some()).count();
    verdict.count("sent_again_after_a_verdict", again);
    verdict.hold(again == 0, || format!("P2: {again} messages came again after their verdict had been taken"));
    verdict.void_unless(before >= count, "not every submission was answered after its callbacks");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}

/// 2,000 notices, each 1 to 5 times, shuffled, with the earliest one last.
async fn repeated(options: &Options) -> Result<Verdict> {
    let notices = options.items.unwrap_or(options.pick(2000, 240));
    let items = u32::try_from(notices / KINDS)?;
    let conduct = Conduct { script: Box::new(|_| Reply::Accept(Duration::ZERO)), plan: Box::new(|_| Vec::new()) };
    let mut stage = Stage::open(options, "callbacks-repeated", &Setup::default(), conduct).await?;
    let load = stage.load(1, options.pick(100.0, 60.0));
    load.clone().run(Some(items)).await;
    Stage::until(Duration::from_secs(60), async || stage.broker.taken() >= items as usize && stage.backlog().await == Some(0)).await;
    let at = clock::seconds() - 60;
    let mut deck = Vec::new();
    for arrival in stage.broker.arrivals() {
        let notice = |code, turn| (arrival.item.clone(), Notice::new(code, &arrival.lrn, &mrn_of(&arrival.lrn), at + turn));
        // Released and cleared share a second, as real authorities have it.
        for told in [notice("ACC", 0), notice("HLD", 1), notice("REL", 2), notice("CLR", 2)] {
            deck.extend(std::iter::repeat_n(told, stage.random.usize(1..=5)));
        }
    }
    stage.random.shuffle(&mut deck);
    let first: Vec<_> = deck.iter().filter(|(_, notice)| notice.code == "ACC").cloned().collect();
    deck.extend(first);
    let said = deck.len();
    let lines: Vec<Vec<_>> = (0..8).map(|line| deck.iter().skip(line).step_by(8).cloned().collect()).collect();
    let mut speakers = tokio::task::JoinSet::new();
    for line in lines {
        let broker = stage.broker.clone();
        speakers.spawn(async move {
            for (item, notice) in line {
                broker.tell(&item, notice).await;
            }
        });
    }
    speakers.join_all().await;
    let mut verdict = judge::judge(&stage, &load.ledger(), Duration::from_secs(60)).await?;
    verdict.count("said", said);
    kept_once(&stage, &load.ledger(), &mut verdict).await?;
    verdict.void_unless(said > notices, "nothing was repeated");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}

/// A repeated notice is one notice: the post's list shows each once.
async fn kept_once(stage: &Stage, ledger: &BTreeMap<u32, Sent>, verdict: &mut Verdict) -> Result<()> {
    let mut again = 0;
    for (serial, sent) in ledger {
        let view = Stage::json(&stage.post, &format!("/v1/declarations/{}/messages", sent.declaration_id)).await?;
        let kept = view["notices"].as_array().map_or(0, |notices| notices.iter().filter(|notice| notice["via"] != "reply").count());
        again += kept.saturating_sub(KINDS);
        verdict.hold(kept == KINDS, || format!("P6: {kept} notices are kept of {serial}, {KINDS} were said"));
    }
    verdict.count("kept_again", again);
    Ok(())
}
