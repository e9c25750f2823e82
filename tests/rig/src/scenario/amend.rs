//! Changes of mind under random kills: within a filing strictly declaration, amendments, cancellation; poison stops nobody else.

use crate::broker::{Arrival, Conduct, Reply};
use crate::changes::{Change, Wish, change};
use crate::clock;
use crate::config::Setup;
use crate::goods;
use crate::judge;
use crate::load::Load;
use crate::notice::{Notice, mrn_of};
use crate::options::Options;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::Result;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What becomes of the declarations, by serial number.
fn wishes(serial: u32) -> &'static [Wish] {
    match serial % 8 {
        1 => &[Wish::Amend(5001)],
        2 => &[Wish::Amend(5002), Wish::Amend(5003)],
        3 => &[Wish::Cancel],
        4 => &[Wish::Amend(5004), Wish::Cancel],
        5 => &[Wish::Arrive],
        6 => &[Wish::Amend(5006), Wish::Arrive],
        _ => &[],
    }
}

/// Items whose declaration the broker refuses, or never takes; none of them is changed later.
fn poison(serial: u32) -> Option<Reply> {
    match serial % 40 {
        0 => Some(Reply::Status(422)),
        7 => Some(Reply::Status(408)),
        _ => None,
    }
}

fn conduct(most: u32) -> Conduct {
    let poisoned: HashMap<String, Reply> = (1..most).filter_map(|serial| Some((goods::item_id(serial), poison(serial)?))).collect();
    let script = move |arrival: &Arrival| {
        let healthy = Reply::Accept(Duration::from_millis(fastrand::u64(0..60)));
        poisoned.get(&arrival.item).copied().unwrap_or(healthy)
    };
    // Only what is pre-lodged waits for the presentation of the goods.
    let presented = (1..most).filter(|serial| wishes(*serial).contains(&Wish::Arrive)).map(goods::item_id).collect::<HashSet<_>>();
    let plan = move |arrival: &Arrival| plan(arrival, presented.contains(&arrival.item));
    Conduct { script: Box::new(script), plan: Box::new(plan) }
}

/// Customs register or accept declarations, take four amendments in five, all cancellations and presentations.
fn plan(arrival: &Arrival, pre_lodged: bool) -> Vec<(Duration, Notice)> {
    let code = match arrival.kind.as_str() {
        "Declaration" if pre_lodged => "REG",
        "Declaration" => "ACC",
        "Amendment" if arrival.of_all.is_multiple_of(5) => "AMR",
        "Amendment" => "AMA",
        "Cancellation" => "CAA",
        _ => "PRA",
    };
    let mrn = if arrival.mrn.is_empty() { mrn_of(&arrival.lrn) } else { arrival.mrn.clone() };
    vec![(Duration::from_millis(fastrand::u64(5..100)), Notice::new(code, &arrival.lrn, &mrn, clock::seconds()))]
}

/// Load, changes and kills together; then customs clear what is left, and the ledgers are judged.
pub async fn run(options: &Options) -> Result<Verdict> {
    let seconds = options.seconds.unwrap_or(options.pick(120, 20));
    let rate = options.rate.unwrap_or(options.pick(40.0, 15.0));
    let most = u32::try_from(seconds * 2)? * rate as u32 + 100;
    let setup = Setup { presentation: true, ..Setup::default() }.broker("retry", "{ first_ms = 100, max_ms = 500, give_up_after_s = 5 }");
    // The give-up clock stands still while a breaker holds, and here only poison is left in the end.
    let setup = setup.broker("breaker", "{ failure_share = 1.0, min_calls = 10000, window_s = 30, open_ms = 500 }");
    let mut stage = Stage::open(options, "amend", &setup, conduct(most)).await?;
    let load = stage.load(1, rate);
    let sender = tokio::spawn(load.clone().run(None));
    let done = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn(changes(stage.post.clone(), load.clone(), done.clone()));
    let (began, mut kills) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(stage.random.u64(300..options.pick(5000, 3000)))).await;
        stage.kill_and_start().await?;
        kills += 1;
    }
    load.stop();
    sender.await?;
    done.store(true, SeqCst);
    let changes = follower.await?;
    stage.settle(Duration::from_secs(60)).await;
    clear(&stage, &changes).await;
    let mut ledger = load.ledger();
    for change in changes.iter().filter(|change| change.is_taken() && !change.content.is_empty()) {
        if let Some(sent) = ledger.get_mut(&change.serial) {
            sent.later.push(change.content.clone());
        }
    }
    let mut verdict = judge::judge(&stage, &ledger, Duration::from_secs(120)).await?;
    let arrivals = stage.broker.arrivals();
    order(&arrivals, &mut verdict);
    fulfilled(&stage, &ledger, &changes, &arrivals, &mut verdict).await?;
    verdict.count("kills", kills);
    let dead = ledger.keys().filter(|serial| poison(**serial).is_some()).count();
    verdict.count("poisoned", dead);
    verdict.void_unless(kills > 0 && dead > 0, "nothing was killed, or nothing poisoned");
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}

/// Follows the load: each acknowledged declaration is changed as [`wishes`] say, some at once and some a while later.
async fn changes(client: crate::client::Client, load: Arc<Load>, done: Arc<AtomicBool>) -> Vec<Change> {
    let (mut seen, mut tasks) = (HashSet::new(), JoinSet::new());
    loop {
        let last = done.load(SeqCst);
        for (serial, sent) in load.ledger().into_iter().filter(|(_, sent)| sent.acknowledged.is_some()) {
            if !seen.insert(serial) {
                continue;
            }
            let (client, load) = (client.clone(), load.clone());
            tasks.spawn(async move {
                let mut made = Vec::new();
                for wish in wishes(serial) {
                    tokio::time::sleep(Duration::from_millis(if serial % 16 < 8 { 0 } else { fastrand::u64(200..1500) })).await;
                    made.push(change(&client, &load, serial, &sent, *wish).await);
                }
                made
            });
        }
        if last {
            return tasks.join_all().await.into_iter().flatten().collect();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Customs clear everything that was accepted and not taken back.
async fn clear(stage: &Stage, changes: &[Change]) {
    let cancelled: HashSet<String> = changes
        .iter()
        .filter(|change| change.wish == Wish::Cancel && change.is_taken())
        .map(|change| goods::item_id(change.serial))
        .collect();
    let mut done = HashSet::new();
    for arrival in stage.broker.arrivals() {
        let accepted = arrival.kind == "Declaration" && arrival.reply.takes() && !cancelled.contains(&arrival.item);
        if accepted && done.insert(arrival.message_id.clone()) {
            stage.broker.tell(&arrival.item, Notice::new("CLR", &arrival.lrn, &mrn_of(&arrival.lrn), clock::seconds())).await;
        }
    }
}

/// P3 by the broker's ledger, repeats included: nothing of a filing comes after something later of it.
fn order(arrivals: &[Arrival], verdict: &mut Verdict) {
    let place = |kind: &str| match kind {
        "Declaration" => 0,
        "Cancellation" => 2,
        _ => 1,
    };
    let (mut newest, mut overtaken, mut kinds) = (HashMap::new(), 0, BTreeMap::<&str, usize>::new());
    for arrival in arrivals {
        *kinds.entry(&arrival.kind).or_default() += usize::from(arrival.turn == 0);
        let now = place(&arrival.kind);
        if newest.insert(&arrival.item, now).is_some_and(|before| before > now) {
            overtaken += 1;
            verdict.breach(format!("P3: a {} of {} came after something later of it", arrival.kind, arrival.item));
        }
    }
    let weight = |arrival: &Arrival| arrival.content.split('|').nth(2).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let mut last = HashMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.kind == "Amendment") {
        if last.insert(&arrival.item, weight(arrival)).is_some_and(|before| before > weight(arrival)) {
            overtaken += 1;
            verdict.breach(format!("P3: an earlier amendment of {} came after a later one", arrival.item));
        }
    }
    verdict.void_unless(
        ["Declaration", "Amendment", "Cancellation", "Presentation"].iter().all(|kind| kinds.contains_key(kind)),
        "not every kind of message was sent",
    );
    verdict.count("kinds", serde_json::json!(kinds));
    verdict.count("overtaken", overtaken);
}

/// I1 for wishes: what was acknowledged reached the broker in one form or another, or the post was told why not.
async fn fulfilled(
    stage: &Stage,
    ledger: &BTreeMap<u32, crate::load::Sent>,
    changes: &[Change],
    arrivals: &[Arrival],
    verdict: &mut Verdict,
) -> Result<()> {
    let contents: HashSet<&str> = arrivals.iter().map(|arrival| arrival.content.as_str()).collect();
    let cancelled: HashSet<&str> =
        arrivals.iter().filter(|arrival| arrival.kind == "Cancellation").map(|arrival| arrival.item.as_str()).collect();
    let presented: HashSet<&str> =
        arrivals.iter().filter(|arrival| arrival.kind == "Presentation").map(|arrival| arrival.item.as_str()).collect();
    let feed = stage.feed().await?;
    let told: HashSet<(&str, &str)> = feed.iter().filter_map(|event| Some((event["subject"].as_str()?, event["type"].as_str()?))).collect();
    let (mut statuses, mut unfulfilled) = (BTreeMap::<String, usize>::new(), 0);
    for change in changes {
        let name = match change.wish {
            Wish::Amend(_) => "amend",
            Wish::Cancel => "cancel",
            Wish::Arrive => "arrive",
        };
        *statuses.entry(format!("{name}_{}", change.status)).or_default() += 1;
        let Some(sent) = ledger.get(&change.serial).filter(|_| change.is_taken()) else { continue };
        let item = sent.item.as_str();
        // A later change before anything was sent takes the place of an earlier one.
        let overtaken = changes
            .iter()
            .any(|other| other.serial == change.serial && other.is_taken() && other.wish != change.wish && !std::ptr::eq(other, change));
        let fulfilled = match change.wish {
            Wish::Amend(_) => contents.contains(change.content.as_str()) || told.contains(&(item, "amendment.rejected")) || overtaken,
            Wish::Cancel => {
                cancelled.contains(item) || told.contains(&(item, "clearance.cancelled")) || told.contains(&(item, "cancellation.rejected"))
            }
            Wish::Arrive => presented.contains(item) || told.contains(&(item, "presentation.rejected")),
        };
        if !fulfilled {
            unfulfilled += 1;
            verdict.breach(format!("I1: {} was acknowledged a change ({name}) that came to nothing", change.serial));
        }
    }
    verdict.count("changes", serde_json::json!(statuses));
    verdict.count("unfulfilled", unfulfilled);
    let missing = changes.iter().filter(|change| matches!(change.status, 0 | 404 | 405)).count();
    verdict.hold(missing == 0, || format!("{missing} changes were answered 404, 405 or not at all"));
    Ok(())
}
