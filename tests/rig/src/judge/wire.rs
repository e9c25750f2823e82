//! What the broker's ledger proves: once, with the declared content, within the permit, never before `Retry-After`.

use crate::broker::Arrival;
use crate::load::Sent;
use crate::verdict::Verdict;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long a message that was on its way before the broker asked for a pause may still arrive.
pub const UNDER_WAY: Duration = Duration::from_millis(250);

/// I2 and I3 over all messages.
pub fn ledger(sent: &BTreeMap<u32, Sent>, arrivals: &[Arrival], deaths: &[Instant], verdict: &mut Verdict) {
    let mut by_message: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        by_message.entry(&arrival.message_id).or_default().push(arrival);
    }
    let (mut two_bytes, mut needless) = (0, 0);
    let mut lrns: HashMap<&str, &str> = HashMap::new();
    for (id, same) in &by_message {
        if same.iter().any(|arrival| arrival.digest != same[0].digest) {
            two_bytes += 1;
            verdict.breach(format!("P2: message {id} came with two sets of bytes"));
        }
        if lrns.insert(&same[0].lrn, id).is_some() {
            verdict.breach(format!("P2: the local reference of message {id} came under another id too"));
        }
        for (turn, arrival) in same.iter().enumerate().skip(1) {
            if !has_cause(&same[..turn], arrival, deaths) {
                needless += 1;
                verdict.breach(format!("I2: message {id} came again though its answer was given"));
            }
        }
    }
    verdict.count("arrivals", arrivals.len());
    verdict.count("messages", by_message.len());
    verdict.count("repeats", arrivals.len() - by_message.len());
    verdict.count("needless_repeats", needless);
    verdict.count("two_sets_of_bytes", two_bytes);
    items(sent, &by_message, verdict);
}

/// A repeat has a cause when no earlier answer told plainly that the message was taken, or when the process that sent it
/// died afterwards: it may not have read that answer, or not written it down.
fn has_cause(earlier: &[&Arrival], again: &Arrival, deaths: &[Instant]) -> bool {
    let plain = |arrival: &&&Arrival| arrival.reply.is_plain() && arrival.answered.is_some_and(|answered| answered < again.at);
    let Some(first) = earlier.iter().find(plain) else { return true };
    // What was on the wire when its sender died arrives after the death.
    deaths.iter().any(|death| *death + UNDER_WAY >= first.at && *death <= again.at)
}

/// One original per item, with what the post declared, and nothing that nobody sent.
fn items(sent: &BTreeMap<u32, Sent>, by_message: &BTreeMap<&str, Vec<&Arrival>>, verdict: &mut Verdict) {
    let declared: HashMap<&str, &Sent> = sent.values().map(|sent| (sent.item.as_str(), sent)).collect();
    let mut originals: HashMap<&str, HashSet<&str>> = HashMap::new();
    let (mut other, mut strangers, mut twice) = (0, 0, 0);
    for (id, same) in by_message {
        let arrival = same[0];
        let Some(sent) = declared.get(arrival.item.as_str()) else {
            strangers += 1;
            verdict.breach(format!("I2: message {id} is about an item that nobody sent"));
            continue;
        };
        if arrival.kind == "Declaration" {
            originals.entry(&arrival.item).or_default().insert(id);
            if arrival.content != sent.content && !sent.later.contains(&arrival.content) {
                other += 1;
                verdict.breach(format!("I3: message {id} does not say what was declared"));
            }
        }
    }
    for (item, ids) in originals.iter().filter(|(_, ids)| ids.len() > 1) {
        twice += 1;
        verdict.breach(format!("I2: {item} reached the broker under {} message ids", ids.len()));
    }
    for (name, count) in [("other_content", other), ("strangers", strangers), ("twice", twice)] {
        verdict.count(name, count);
    }
}

/// P4: the most arrivals in any window of one second.
pub fn most_in_a_second(arrivals: &[Arrival]) -> usize {
    let (mut start, mut most) = (0, 0);
    for (end, arrival) in arrivals.iter().enumerate() {
        while arrival.at.duration_since(arrivals[start].at) >= Duration::from_secs(1) {
            start += 1;
        }
        most = most.max(end - start + 1);
    }
    most
}

/// Arrivals before a time that the broker had named, of the whole broker; and how many times were named.
pub fn early(arrivals: &[Arrival]) -> (usize, usize) {
    let mut named = 0;
    let mut early = HashSet::new();
    for (index, asking) in arrivals.iter().enumerate() {
        let (Some(hold), Some(answered)) = (asking.reply.hold(), asking.answered) else { continue };
        named += 1;
        let later = arrivals.iter().enumerate().skip(index + 1).filter(|(_, later)| later.at < answered + hold);
        early.extend(later.filter(|(_, later)| later.at > answered + UNDER_WAY).map(|(place, _)| place));
    }
    (early.len(), named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Reply;

    fn arrival(at: Instant, reply: Reply) -> Arrival {
        Arrival {
            at,
            message_id: "m".into(),
            kind: "Declaration".into(),
            lrn: "l".into(),
            item: "i".into(),
            mrn: String::new(),
            digest: "d".into(),
            content: String::new(),
            turn: 0,
            of_all: 0,
            reply,
            answered: Some(at),
        }
    }

    #[test]
    fn the_judge_sees_what_it_should() {
        let zero = Instant::now() + Duration::from_secs(10);
        let at = |ms| zero + Duration::from_millis(ms);
        let plain = Reply::Accept(Duration::ZERO);
        let burst: Vec<Arrival> = [0, 500, 999, 1000, 1400].map(|ms| arrival(at(ms), plain)).into();
        assert_eq!(most_in_a_second(&burst), 4);
        let held = [arrival(at(0), Reply::After(503, 2)), arrival(at(100), plain), arrival(at(1900), plain), arrival(at(2000), plain)];
        assert_eq!(early(&held), (1, 1));
        let (first, again) = (arrival(at(0), plain), arrival(at(100), plain));
        assert!(!has_cause(&[&first], &again, &[]), "answered plainly and sent again");
        assert!(!has_cause(&[&first], &again, &[at(200)]), "the death came later");
        assert!(has_cause(&[&first], &again, &[at(50)]));
        assert!(has_cause(&[&arrival(at(0), Reply::CutAfter)], &again, &[]));
    }
}
