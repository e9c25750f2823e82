//! The judge: three ledgers (sender, broker, sink) and the public API against the invariants I1 to I8.
//!
//! I1 every acknowledged declaration comes to an end; I2 the broker has it once; I3 with what the post declared; I4 the
//! API never goes back and ends with the broker's last word; I5 every event reaches the sink, once per id, in order per
//! item; I6 what was cut off is wholly there or wholly absent, and its repeat succeeds; I7 no 5xx but as a problem
//! document; I8 the audit chain verifies.

mod events;
mod wire;

pub use wire::{early, most_in_a_second};

use crate::broker::{Arrival, Told};
use crate::client::Ask;
use crate::load::Sent;
use crate::notice::{rank, status_of};
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What the API says of the acknowledged declarations.
type Views = HashMap<String, Value>;

/// Judges a run whose load has ended: waits until all has ended, or as long as `limit`, and then counts.
pub async fn judge(stage: &Stage, ledger: &BTreeMap<u32, Sent>, limit: Duration) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let began = Instant::now();
    let settled = stage.settle(limit).await;
    verdict.count("settled_s", round(began.elapsed().as_secs_f64()));
    verdict.hold(settled, || format!("I1, P11: work is left {limit:?} after the fault"));
    let views = views(stage, ledger, limit.saturating_sub(began.elapsed()).max(Duration::from_secs(10))).await?;
    let (arrivals, told) = (stage.broker.arrivals(), stage.broker.told());
    sender(ledger, stage.store_fails, &mut verdict);
    wire::ledger(ledger, &arrivals, &stage.gateway.deaths, &mut verdict);
    ends(stage, ledger, &arrivals, &views, &mut verdict).await?;
    callbacks(&told, stage.store_fails, &mut verdict);
    last_words(&told, &views, ledger, &mut verdict);
    events::judge(stage, ledger, &mut verdict).await?;
    audit(stage, &mut verdict).await;
    Ok(verdict)
}

/// A figure that people read.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// I6 and I7: everything was answered in the end, and decently.
fn sender(ledger: &BTreeMap<u32, Sent>, store_fails: bool, verdict: &mut Verdict) {
    let total = |count: fn(&Sent) -> u32| ledger.values().map(count).sum::<u32>();
    let acknowledged = ledger.values().filter(|sent| sent.acknowledged.is_some()).count();
    let replayed = ledger.values().filter(|sent| sent.status == 200).count();
    verdict.count("sent", ledger.len());
    verdict.count("acknowledged", acknowledged);
    verdict.count("cut_requests", total(|sent| sent.cut));
    verdict.count("cut_but_stored", replayed);
    verdict.count("asked_to_come_again", total(|sent| sent.busy));
    for (serial, sent) in ledger {
        verdict.hold(sent.acknowledged.is_some(), || format!("I6: {serial} was answered {} in the end", sent.status));
        // A commit whose sync failed is answered 503 and may be there all the same after a restart.
        let asked_before = sent.cut > 0 || (store_fails && sent.busy > 0);
        verdict.hold(sent.status != 200 || asked_before, || format!("I6: {serial} was called known without having been sent"));
        verdict.hold(sent.ill_formed == 0, || format!("I7: {serial} got a 5xx that is no problem document"));
        verdict.hold(sent.without_time == 0, || format!("I7: {serial} was told to come again without Retry-After"));
    }
}

/// Reads every acknowledged declaration, until it has ended or the time is over.
async fn views(stage: &Stage, ledger: &BTreeMap<u32, Sent>, limit: Duration) -> Result<Views> {
    let mut ids: Vec<String> = ledger.values().filter(|sent| sent.acknowledged.is_some()).map(|sent| sent.declaration_id.clone()).collect();
    let (began, mut views, mut absent) = (Instant::now(), Views::new(), HashSet::new());
    loop {
        let mut readers = JoinSet::new();
        for part in ids.chunks(ids.len().div_ceil(8).max(1)) {
            let (part, client) = (part.to_vec(), stage.post.clone());
            readers.spawn(async move {
                let mut read = Vec::new();
                for id in part {
                    read.push((id.clone(), Stage::look(&client, &format!("/v1/declarations/{id}")).await?));
                }
                anyhow::Ok(read)
            });
        }
        for read in readers.join_all().await {
            for (id, view) in read? {
                // What is unknown now has not just to be waited for.
                match view {
                    Some(view) => drop(views.insert(id, view)),
                    None => drop(absent.insert(id)),
                }
            }
        }
        ids.retain(|id| !absent.contains(id) && !views.get(id).is_some_and(has_ended));
        if ids.is_empty() || began.elapsed() > limit {
            return Ok(views);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn delivery(view: &Value) -> &str {
    view["delivery"]["state"].as_str().unwrap_or_default()
}

fn status(view: &Value) -> &str {
    view["clearance"]["status"].as_str().unwrap_or_default()
}

/// The ends of product description and judge: customs' last word, or a letter that a person has to look at.
fn has_ended(view: &Value) -> bool {
    matches!(delivery(view), "dead" | "withdrawn") || matches!(status(view), "cleared" | "rejected" | "cancelled")
}

/// I1: customs' last word or a dead letter with its reason, which the operator's list shows (P12).
async fn ends(stage: &Stage, ledger: &BTreeMap<u32, Sent>, arrivals: &[Arrival], views: &Views, verdict: &mut Verdict) -> Result<()> {
    let at_broker: HashSet<&str> = arrivals.iter().map(|arrival| arrival.item.as_str()).collect();
    let letters = Stage::json(&stage.ops, "/v1/dead-letters?limit=1000").await?;
    let listed: HashSet<&str> =
        letters["dead_letters"].as_array().into_iter().flatten().filter_map(|letter| letter["declaration_id"].as_str()).collect();
    let (mut lost, mut open, mut dead) = (0, 0, 0);
    for (serial, sent) in ledger.iter().filter(|(_, sent)| sent.acknowledged.is_some()) {
        let view = views.get(&sent.declaration_id);
        match view.map(delivery) {
            Some("dead") => {
                dead += 1;
                verdict.hold(listed.contains(sent.declaration_id.as_str()) || listed.len() >= 1000, || {
                    format!("P12: {serial} is dead and not listed")
                });
            }
            Some("delivered") if !at_broker.contains(sent.item.as_str()) => {
                lost += 1;
                verdict.breach(format!("I1: {serial} is called delivered, the broker never got it"));
            }
            Some(state) if !view.is_some_and(has_ended) => {
                open += 1;
                verdict.breach(format!("I1: {serial} has not ended: {state}, {}", view.map(status).unwrap_or_default()));
            }
            Some(_) => {}
            None => {
                lost += 1;
                verdict.breach(format!("I1: {serial} was acknowledged and is unknown"));
            }
        }
    }
    for (name, count) in [("lost", lost), ("not_ended", open), ("dead", dead)] {
        verdict.count(name, count);
    }
    Ok(())
}

/// The status that the broker's notices lead to: the latest by the authority's time, then by rank.
fn last_word(told: &[&Told]) -> Option<&'static str> {
    let known = told.iter().filter(|told| told.is_taken()).filter_map(|told| Some((told.notice.at, status_of(told.notice.code)?)));
    known.max_by_key(|(at, status)| (*at, rank(status))).map(|(_, status)| status)
}

/// P6: every callback taken, at the first answer that it got.
fn callbacks(told: &[Told], store_fails: bool, verdict: &mut Verdict) {
    let (mut answers, mut refused) = (0, 0);
    for told in told {
        answers += told.statuses.len();
        for status in told.statuses.iter().filter(|status| **status / 100 != 2) {
            refused += 1;
            // A yes to what could not be stored would be worse.
            verdict.hold(store_fails && *status == 503, || format!("P6: a callback about {} was answered {status}", told.item));
        }
        verdict.hold(told.is_taken(), || format!("P6: a callback about {} was never taken", told.item));
    }
    verdict.count("callbacks", told.len());
    verdict.count("callback_answers", answers);
    verdict.count("callbacks_not_2xx", refused);
}

/// I4: the API ends with the broker's last word.
fn last_words(told: &[Told], views: &Views, ledger: &BTreeMap<u32, Sent>, verdict: &mut Verdict) {
    let mut by_item: HashMap<&str, Vec<&Told>> = HashMap::new();
    for told in told {
        by_item.entry(&told.item).or_default().push(told);
    }
    let mut apart = 0;
    for (serial, sent) in ledger {
        let Some(view) = views.get(&sent.declaration_id) else { continue };
        let word = by_item.get(sent.item.as_str()).and_then(|told| last_word(told));
        if let Some(word) = word.filter(|word| *word != status(view)) {
            apart += 1;
            verdict.breach(format!("I4: {serial} is {}, the broker's last word is {word}", status(view)));
        }
    }
    verdict.count("not_the_last_word", apart);
}

/// I8. Reading all evidence takes as long as it takes.
async fn audit(stage: &Stage, verdict: &mut Verdict) {
    let ask = Ask { path: "/v1/audit/verify", ..Ask::default() };
    match stage.ops.ask(ask, Duration::from_mins(10)).await {
        Ok(answer) if answer.status == 200 => {
            let json = answer.json();
            verdict.count("audit_rows", json["rows"].clone());
            verdict.hold(json["ok"] == Value::Bool(true), || format!("I8: the evidence does not hold: {}", json["bad"]));
            verdict.void_unless(json["rows"].as_u64() > Some(0), "no evidence was kept");
        }
        Ok(answer) => verdict.breach(format!("I8: the audit is answered {}", answer.status)),
        Err(failure) => verdict.breach(format!("I8: the audit is not answered: {}", failure.why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Notice;

    #[test]
    fn the_last_word_is_the_latest_then_the_highest() {
        let told = |code, at, status| Told {
            item: String::new(),
            notice: Notice::new(code, "L", "M", at),
            statuses: vec![status],
            cut: 0,
            first: Instant::now(),
        };
        let (cleared, accepted, released) = (told("CLR", 5, 202), told("ACC", 6, 500), told("REL", 5, 202));
        assert_eq!(last_word(&[&cleared, &accepted, &released]), Some("cleared"));
        assert_eq!(last_word(&[&accepted]), None);
    }
}
