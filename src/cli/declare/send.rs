//! One chunk of declarations to the batch route, until each has its answer.
//!
//! Why it exists: a batch can break in the middle, and single lines of it can be put off. Sending a line again is safe by the
//! gateway's natural key (post, item, posting date), so whatever has no final answer is simply sent again, at a bounded pace
//! and a bounded number of times.
//!
//! Invariants: every declaration gets exactly one outcome, in the order of the input; a 429 or 503 is never an outcome
//! before the repeats are used up; between repeats there is a pause, the gateway's own `Retry-After` where it gave one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::client::{Answer, Batch, Client, NoAnswer};
use super::source::{Entry, problem};

/// Rounds in a row that may pass without a single new outcome.
const MAX_FRUITLESS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause that a `Retry-After` can ask for.
const LONGEST_WISH: Duration = Duration::from_secs(60);

/// What became of a declaration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// The gateway's status; none when it was never answered or never sent.
    pub status: Option<u16>,
    /// The declaration's id, where it was taken.
    pub declaration_id: Option<String>,
    /// The problem, where it was not.
    pub problem: Option<Value>,
}

impl Outcome {
    fn problem(status: Option<u16>, problem: Value) -> Self {
        Self { status, declaration_id: None, problem: Some(problem) }
    }
}

/// Why a round left something undone.
enum PutOff {
    /// No answer, or not all of it.
    Silent(NoAnswer),
    /// Too much at the moment; come back later.
    Busy(u16, Option<Duration>, Value),
}

/// How long to wait before each repeat; tests make it short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// First pause; it doubles.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: FIRST_PAUSE, longest: LONGEST_PAUSE }
    }
}

impl Pace {
    /// The pause before repeat number `repeat` (from 0), with a fifth of jitter, or what the gateway wished for.
    fn pause(self, repeat: u32, wish: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1 << repeat.min(16)).min(self.longest);
        wish.map_or_else(|| doubled.mul_f64(0.8 + 0.4 * fastrand::f64()), |wish| wish.min(LONGEST_WISH))
    }
}

/// Sends the declarations of a chunk, repeats what has to be repeated, and tells what became of each, in their order.
/// `settled` is called for each outcome as it comes, `put_off` with the reason of each repeat.
pub(super) async fn send(
    client: &Client,
    pace: Pace,
    entries: &[Entry],
    mut settled: impl FnMut(&Entry, &Outcome),
    put_off: impl Fn(&str),
) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; entries.len()];
    for (entry, outcome) in entries.iter().zip(&mut outcomes) {
        if let Err(problem) = &entry.body {
            let found = Outcome::problem(None, problem.clone());
            settled(entry, &found);
            *outcome = Some(found);
        }
    }
    let mut fruitless = 0;
    loop {
        let pending: Vec<usize> = (0..entries.len()).filter(|at| outcomes[*at].is_none()).collect();
        if pending.is_empty() {
            break;
        }
        let reason = round(client, entries, &pending, &mut outcomes, &mut settled).await;
        let left = pending.iter().filter(|at| outcomes[**at].is_none()).count();
        if left == 0 {
            break;
        }
        fruitless = if left < pending.len() { 0 } else { fruitless + 1 };
        if fruitless >= MAX_FRUITLESS {
            for at in pending {
                if outcomes[at].is_none() {
                    let found = given_up(&reason);
                    settled(&entries[at], &found);
                    outcomes[at] = Some(found);
                }
            }
            break;
        }
        let wish = match &reason {
            PutOff::Busy(status, wish, _) => {
                put_off(&format!("the gateway answers {status}"));
                *wish
            }
            PutOff::Silent(fault) => {
                put_off(&fault.to_string());
                None
            }
        };
        tokio::time::sleep(pace.pause(fruitless, wish)).await;
    }
    let lost = || Outcome::problem(None, silence(NoAnswer::Broken));
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect()
}

/// Sends what is pending once, and writes down the final answers.
async fn round(
    client: &Client,
    entries: &[Entry],
    pending: &[usize],
    outcomes: &mut [Option<Outcome>],
    settled: &mut impl FnMut(&Entry, &Outcome),
) -> PutOff {
    let mut settle = |at: usize, outcome: Outcome| {
        settled(&entries[at], &outcome);
        outcomes[at] = Some(outcome);
    };
    let mut lines = match client.batch(body(entries, pending)).await {
        Err(fault) => return PutOff::Silent(fault),
        Ok(Batch::Refused(answer)) => {
            if passing(answer.status) {
                return PutOff::Busy(answer.status, answer.retry_after, told(&answer));
            }
            for at in pending {
                settle(*at, Outcome::problem(Some(answer.status), told(&answer)));
            }
            return PutOff::Silent(NoAnswer::Broken);
        }
        Ok(Batch::Lines(lines)) => lines,
    };
    // An answer that is whole but has too few lines is a broken one.
    let mut put_off = PutOff::Silent(NoAnswer::Broken);
    loop {
        match lines.next().await {
            Ok(None) => return put_off,
            Err(fault) => return PutOff::Silent(fault),
            Ok(Some(mut result)) => {
                let place = result["line"].as_u64().and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
                let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                let (Some(at), Some(status)) = (place.and_then(|place| pending.get(place)), status) else { continue };
                let problem = result["problem"].take();
                if passing(status) {
                    put_off = PutOff::Busy(status, None, problem);
                } else if matches!(status, 200 | 202) {
                    let declaration_id = result["declaration"]["declaration_id"].as_str().map(str::to_owned);
                    settle(*at, Outcome { status: Some(status), declaration_id, problem: None });
                } else {
                    settle(*at, Outcome::problem(Some(status), problem));
                }
            }
        }
    }
}

fn body(entries: &[Entry], pending: &[usize]) -> Bytes {
    let mut body = BytesMut::new();
    for line in pending.iter().filter_map(|at| entries[*at].body.as_ref().ok()) {
        body.extend_from_slice(line);
        body.extend_from_slice(b"\n");
    }
    body.freeze()
}

/// Whether a status says that nothing was taken and a repeat is worth it.
fn passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 502 | 503 | 504)
}

/// The problem of an answer; its own words where it has some.
fn told(answer: &Answer) -> Value {
    let body = answer.json();
    if body.is_object() {
        return body;
    }
    json!({ "status": answer.status, "code": "no_problem_json", "title": "The answer is not one of a gateway; is the URL right?", "errors": [] })
}

fn given_up(put_off: &PutOff) -> Outcome {
    match put_off {
        PutOff::Busy(status, _, problem) => Outcome::problem(Some(*status), problem.clone()),
        PutOff::Silent(fault) => Outcome::problem(None, silence(*fault)),
    }
}

fn silence(fault: NoAnswer) -> Value {
    let perhaps = if fault == NoAnswer::Connect { "Nothing was sent" } else { "It may have been taken all the same" };
    let detail = format!("{fault}. {perhaps}: run the command again, that is safe.");
    problem("no_answer", "No answer", &detail, json!([]))
}
