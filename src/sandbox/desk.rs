//! The desk of the simulated broker: what is answered to an arrival, and what follows from it.
//!
//! Why it exists: the promise that a gateway leans on most is the broker's ("a repeat of one message id is dropped"), so it
//! is kept in one place, under one lock, and without any network: [`Desk::receive`] takes values and returns a decision.
//!
//! Invariants:
//! - one message id is taken once (unless `idempotent` is off), whatever arrives at the same time;
//! - one message id means one set of bytes: other bytes are a conflict and change nothing;
//! - a fault that takes nothing leaves no trace but its count, so the repeat is treated as the first;
//! - everything remembered is bounded; the oldest is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::folder::{Folder, Told};
use super::ledger::Outcome;
use super::message::Message;
use super::notice::{Notice, new_mrn};
use super::scenario::Scenario;
use super::steps::{Kind, steps};

/// Most message ids and most declarations that are remembered.
const REMEMBERED: usize = 100_000;

/// What is answered on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 202 with the conversation id and no body.
    Accepted,
    /// 202, after the configured slowness.
    AcceptedSlowly,
    /// 200 and a body that means nothing.
    Junk,
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// 500 or 503.
    ServerError(u16),
    /// 409: the message id was used with other bytes.
    Conflict,
    /// The connection is cut.
    Cut,
}

/// A notice that is due, with its way of being sent.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// Conversation under which it is sent.
    pub conversation: Uuid,
    /// What it says.
    pub notice: Notice,
    /// How often it is sent.
    pub copies: u8,
    /// Whether it is cut off after three quarters.
    pub cut: bool,
    /// What is sent instead of the notice: a case of a mapping's folder.
    pub told: Option<Told>,
}

/// What follows from an arrival.
#[derive(Debug)]
pub(super) struct Decision {
    pub answer: Answer,
    pub outcome: Outcome,
    pub conversation: Option<Uuid>,
    pub arrival: u32,
    /// Notices to send, in order.
    pub due: Vec<Due>,
    /// Whether they are sent before the answer.
    pub early: bool,
    /// The body of the answer, when the message is taken.
    pub reply: Option<Told>,
}

impl Decision {
    /// Lets a mapping's folder speak: where the desk has something to say, the folder's cases are said.
    pub(super) fn speak(&mut self, folder: &Folder, lrn: &str) {
        let Some(conversation) = self.conversation else { return };
        self.reply = folder.reply(lrn, conversation);
        let Some(first) = self.due.drain(..).next() else { return };
        let due = |told| Due { told: Some(told), conversation, copies: 1, cut: false, ..first.clone() };
        self.due = folder.notices(lrn, conversation).into_iter().map(due).collect();
    }
}

/// How the desk behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeskOptions {
    /// Whether repeats of one message id are dropped.
    pub idempotent: bool,
    /// How many arrivals of one message meet a fault; none = the scenario's own number.
    pub fault_times: Option<u32>,
}

#[derive(Debug)]
struct Known {
    sha256: [u8; 32],
    arrivals: u32,
    faults: u32,
    taken: Option<Uuid>,
}

#[derive(Debug, Clone)]
struct Declared {
    lrn: String,
    conversation: Uuid,
}

#[derive(Default)]
struct Memory {
    messages: Bounded<Known>,
    declarations: Bounded<Declared>,
}

/// The memory of the broker and its rules.
pub(super) struct Desk {
    options: DeskOptions,
    memory: Mutex<Memory>,
}

impl Desk {
    pub(super) fn new(options: DeskOptions) -> Self {
        Self { options, memory: Mutex::default() }
    }

    /// Decides on a valid message that arrived under `key`.
    pub(super) fn receive(&self, key: &str, sha256: [u8; 32], message: &Message, scenario: Scenario, now: Timestamp) -> Decision {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { messages, declarations } = &mut *memory;
        let known = messages.entry(key, || Known { sha256, arrivals: 0, faults: 0, taken: None });
        known.arrivals = known.arrivals.saturating_add(1);
        let arrival = known.arrivals;
        let plain =
            |answer, outcome, conversation| Decision { answer, outcome, conversation, arrival, due: Vec::new(), early: false, reply: None };
        if known.sha256 != sha256 {
            return plain(Answer::Conflict, Outcome::Conflict, None);
        }
        if let Some(conversation) = known.taken.filter(|_| self.options.idempotent) {
            return plain(Answer::Accepted, Outcome::Repeat, Some(conversation));
        }
        if let Some(answer) = self.fault(scenario, known) {
            let outcome = if answer == Answer::Cut { Outcome::Cut } else { Outcome::Faulted };
            return plain(answer, outcome, None);
        }
        let conversation = Uuid::new_v4();
        known.taken = Some(conversation);
        let due = take(message, scenario, conversation, declarations, now);
        let (answer, outcome) = match scenario {
            Scenario::LostAnswer if arrival == 1 => (Answer::Cut, Outcome::TakenUnanswered),
            Scenario::Slow => (Answer::AcceptedSlowly, Outcome::Taken),
            _ => (Answer::Accepted, Outcome::Taken),
        };
        let early = scenario == Scenario::Early;
        Decision { answer, outcome, conversation: Some(conversation), arrival, due, early, reply: None }
    }

    /// The fault that this arrival meets instead of being taken, if its scenario still has one for it.
    fn fault(&self, scenario: Scenario, known: &mut Known) -> Option<Answer> {
        let times = match scenario.default_faults() {
            0 => return None,
            default => self.options.fault_times.unwrap_or(default),
        };
        if known.faults >= times {
            return None;
        }
        known.faults += 1;
        Some(match scenario {
            Scenario::TooManyRequests => Answer::TooManyRequests,
            Scenario::ServerErrors => Answer::ServerError(if known.faults % 2 == 1 { 503 } else { 500 }),
            Scenario::Junk => Answer::Junk,
            _ => Answer::Cut,
        })
    }
}

/// Takes a message: gives a declaration its MRN, or finds the one that an additional message is about, and plans the notices.
fn take(message: &Message, scenario: Scenario, conversation: Uuid, declarations: &mut Bounded<Declared>, now: Timestamp) -> Vec<Due> {
    let own = Declared { lrn: message.lrn.clone(), conversation };
    let (mrn, about) = match &message.mrn {
        Some(mrn) if message.is_additional => {
            let about = declarations.get(mrn).cloned();
            (about.as_ref().map(|_| mrn.clone()), about)
        }
        _ => {
            let mrn = new_mrn(now);
            declarations.entry(&mrn, || own.clone());
            (Some(mrn), None)
        }
    };
    let due = |step: super::steps::Step| {
        let under = about.as_ref().filter(|_| step.about_declaration).unwrap_or(&own);
        let issued = Timestamp::from_second(now.as_second() - step.age_s).unwrap_or(now);
        Due {
            conversation: under.conversation,
            notice: Notice {
                kind: step.kind,
                id: Uuid::new_v4(),
                lrn: under.lrn.clone(),
                mrn: mrn.clone(),
                version: if message.is_additional && step.kind == Kind::Granted { 2 } else { 1 },
                issued,
            },
            copies: step.copies,
            cut: step.cut,
            told: None,
        }
    };
    steps(scenario, message, about.is_some()).into_iter().map(due).collect()
}

/// A map that forgets its oldest entry when it is full.
struct Bounded<V> {
    map: HashMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Default for Bounded<V> {
    fn default() -> Self {
        Self { map: HashMap::new(), order: VecDeque::new() }
    }
}

impl<V> Bounded<V> {
    fn get(&self, key: &str) -> Option<&V> {
        self.map.get(key)
    }

    fn entry(&mut self, key: &str, new: impl FnOnce() -> V) -> &mut V {
        if !self.map.contains_key(key) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.map.remove(&oldest);
            }
            self.order.push_back(key.to_owned());
        }
        self.map.entry(key.to_owned()).or_insert_with(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lrn: &str, type_code: &str, mrn: Option<&str>) -> Message {
        let mrn = mrn.map(str::to_owned);
        Message { lrn: lrn.to_owned(), type_code: type_code.to_owned(), is_additional: mrn.is_some(), mrn }
    }

    fn desk(idempotent: bool) -> Desk {
        Desk::new(DeskOptions { idempotent, fault_times: None })
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_763_800_000).expect("in range")
    }

    #[test]
    fn a_message_id_is_taken_once_and_means_one_set_of_bytes() {
        let (desk, m) = (desk(true), message("L", "IMA", None));
        let first = desk.receive("k", [1; 32], &m, Scenario::Clear, now());
        let repeat = desk.receive("k", [1; 32], &m, Scenario::Clear, now());
        let other = desk.receive("k", [2; 32], &m, Scenario::Clear, now());
        assert_eq!((first.outcome, repeat.outcome, other.outcome), (Outcome::Taken, Outcome::Repeat, Outcome::Conflict));
        assert_eq!(first.conversation, repeat.conversation);
        assert_eq!((first.due.len(), repeat.due.len(), repeat.arrival), (4, 0, 2));
    }

    #[test]
    fn a_broker_that_is_not_idempotent_takes_each_arrival() {
        let (desk, m) = (desk(false), message("L", "IMA", None));
        let first = desk.receive("k", [1; 32], &m, Scenario::Clear, now());
        let second = desk.receive("k", [1; 32], &m, Scenario::Clear, now());
        assert_eq!(second.outcome, Outcome::Taken);
        assert_ne!(first.conversation, second.conversation);
    }

    #[test]
    fn faults_pass_and_then_the_message_is_taken() {
        use Answer::{Accepted, Cut, Junk, ServerError, TooManyRequests};
        let table = [
            (Scenario::TooManyRequests, vec![TooManyRequests, TooManyRequests, Accepted]),
            (Scenario::ServerErrors, vec![ServerError(503), ServerError(500), ServerError(503), Accepted]),
            (Scenario::Reset, vec![Cut, Accepted]),
            (Scenario::LostAnswer, vec![Cut, Accepted]),
            (Scenario::Junk, vec![Junk, Accepted]),
        ];
        for (scenario, expected) in table {
            let (desk, m) = (desk(true), message("L", "IMA", None));
            let decisions: Vec<_> = expected.iter().map(|_| desk.receive("k", [1; 32], &m, scenario, now())).collect();
            let answers: Vec<_> = decisions.iter().map(|decision| decision.answer).collect();
            assert_eq!(answers, expected, "{scenario}");
            let taken = decisions.iter().filter(|decision| !decision.due.is_empty()).count();
            assert_eq!(taken, 1, "{scenario}: notices follow once");
        }
    }

    #[test]
    fn an_additional_message_finds_its_declaration_by_the_mrn() {
        let desk = desk(true);
        let first = desk.receive("a", [1; 32], &message("L1", "IMD", None), Scenario::Register, now());
        let mrn = first.due[0].notice.mrn.clone().expect("has an MRN");
        let second = desk.receive("b", [2; 32], &message("L2", "GPR", Some(&mrn)), Scenario::Register, now());
        let told: Vec<_> = second.due.iter().map(|due| (due.notice.kind.code(), due.notice.lrn.as_str())).collect();
        assert_eq!(told, [("02", "L2"), ("01", "L1"), ("13", "L1"), ("13", "L1"), ("09", "L1")]);
        assert_eq!(second.due[1].conversation, first.conversation.expect("taken"));
        let lost = desk.receive("c", [3; 32], &message("L3", "GPR", Some("26GBX")), Scenario::Register, now());
        assert_eq!(lost.due.len(), 1);
        assert_eq!(lost.due[0].notice.kind, Kind::Rejected);
    }
}
