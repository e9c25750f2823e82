//! I5, P7, P8: the post's log against what the sink got.

use crate::load::Sent;
use crate::notice::rank;
use crate::sink::Hook;
use crate::stage::Stage;
use crate::verdict::Verdict;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// How long webhooks may be on their way after all else has ended.
const ON_THE_WAY: Duration = Duration::from_secs(120);

fn id(event: &Value) -> &str {
    event["id"].as_str().unwrap_or_default()
}

fn declaration(event: &Value) -> &str {
    event["data"]["declaration_id"].as_str().unwrap_or_default()
}

/// Judges log and sink.
pub async fn judge(stage: &Stage, ledger: &BTreeMap<u32, Sent>, verdict: &mut Verdict) -> Result<()> {
    let feed = stage.feed().await?;
    let wanted: HashSet<&str> = feed.iter().map(id).collect();
    let there = Stage::until(ON_THE_WAY, async || {
        let hooks = stage.sink.hooks();
        let got: HashSet<&str> = hooks.iter().filter(|hook| hook.taken).map(|hook| hook.id.as_str()).collect();
        wanted.iter().all(|id| got.contains(id))
    })
    .await;
    let hooks = stage.sink.hooks();
    verdict.count("events", feed.len());
    verdict.count("webhooks", hooks.len());
    verdict.hold(there, || "P8: an event of the log has not reached the sink".into());
    verdict.hold(wanted.len() == feed.len(), || "P8: an event stands in the log twice".into());
    told_of_all(ledger, &feed, verdict);
    steps(&feed, verdict);
    sink(&feed, &hooks, verdict);
    Ok(())
}

/// Everything that was acknowledged is spoken of.
fn told_of_all(ledger: &BTreeMap<u32, Sent>, feed: &[Value], verdict: &mut Verdict) {
    let spoken: HashSet<&str> = feed.iter().map(declaration).collect();
    for (serial, sent) in ledger.iter().filter(|(_, sent)| sent.acknowledged.is_some()) {
        verdict.hold(spoken.contains(sent.declaration_id.as_str()), || format!("I5: the post was told nothing of {serial}"));
    }
}

/// P7: the statuses of one filing only rise, each is told once, and each event begins where the one before ended.
fn steps(feed: &[Value], verdict: &mut Verdict) {
    let mut last: HashMap<&str, (usize, &str)> = HashMap::new();
    let (mut back, mut second) = (0, 0);
    for event in feed.iter().filter(|event| event["type"].as_str().is_some_and(|kind| kind.starts_with("clearance."))) {
        let data = &event["data"];
        let (filing, status) = (data["filing_id"].as_str().unwrap_or_default(), data["status"].as_str().unwrap_or_default());
        let Some(new) = rank(status) else { continue };
        if let Some((old, _)) = last.insert(filing, (new, status)) {
            // An open requirement may begin or end while the status stays; that is an event too.
            second += usize::from(new == old && data["previous"] != status);
            back += usize::from(new < old);
        }
    }
    verdict.count("steps_back", back);
    verdict.count("second_events", second);
    verdict.hold(back == 0, || format!("P7: {back} steps back in the log"));
    verdict.hold(second == 0, || format!("P8: {second} changes were told twice under two ids"));
}

/// Signed, alike under one id, and in the log's order per item.
fn sink(feed: &[Value], hooks: &[Hook], verdict: &mut Verdict) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut bytes: HashMap<&str, &Value> = HashMap::new();
    let (mut unsigned, mut other) = (0, 0);
    for (place, hook) in hooks.iter().enumerate() {
        unsigned += usize::from(!hook.signed);
        other += usize::from(*bytes.entry(&hook.id).or_insert(&hook.event) != &hook.event || id(&hook.event) != hook.id);
        if hook.taken {
            first.entry(&hook.id).or_insert(place);
        }
    }
    let mut newest: HashMap<&str, usize> = HashMap::new();
    let (mut disorder, mut unlike) = (0, 0);
    for event in feed {
        let Some(place) = first.get(id(event)) else { continue };
        unlike += usize::from(bytes.get(id(event)).is_some_and(|hook| *hook != event));
        let subject = event["subject"].as_str().unwrap_or_default();
        if newest.insert(subject, *place).is_some_and(|before| before > *place) {
            disorder += 1;
        }
    }
    verdict.count("webhook_repeats", hooks.len() - bytes.len());
    for (name, count) in [("unsigned", unsigned), ("unlike", other + unlike), ("out_of_order", disorder)] {
        verdict.count(name, count);
        verdict.hold(count == 0, || format!("P8: {count} webhooks {name}"));
    }
}
