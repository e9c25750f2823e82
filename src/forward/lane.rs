//! One broker's lane: decides, one step at a time, what may be sent now, and else what to wait for.
//!
//! Order of the questions: paused? certificate? held? room in hand? breaker open? anything due? may the
//! breaker let it go? a permit? Only then a message is taken in hand ([`super::attempt`]).

mod clock;
mod doubt;
mod operator;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::attempt::{Finished, Hand, policy};
use super::lanes::LaneError;
use super::ports::{Mappings, Outbox};
use super::status::{LaneStatus, Sign};
use crate::config::Broker;
use crate::domain::breaker::{self, Admission, Breaker, Call, Leave, State};
use crate::domain::delivery::{DeliveryState, MessageKind, Outcome};
use crate::domain::ids::MessageId;
use crate::domain::retry::{Holds, span};
use crate::domain::time::{SharedClock, Timestamp};
use crate::net::client::BrokerClient;
use crate::net::line::Line;
use crate::net::tls::{MaterialFault, Part, Why};
use crate::store::{AttemptRecord, OutboxRow, Settlement};

/// How often the files of a disabled broker are looked at again.
const FILES_EVERY: Duration = Duration::from_secs(30);
/// How long a lane is held when the store or a mapping is not available.
const STORE_HOLD: Duration = Duration::from_secs(1);
const MAPPING_HOLD: Duration = Duration::from_secs(5);
/// An idle lane looks again this often, should a signal or a clock have gone wrong.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Shortest wait for a due time: what is due may be in hand already and not marked yet.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
/// Most messages that are looked up at once.
const MAX_LOOK: usize = 256;

pub(super) type Answer = Result<LaneStatus, LaneError>;

/// What an operator asks of a lane.
#[derive(Debug)]
pub(super) enum Command {
    Pause { reason: Option<String>, answer: oneshot::Sender<Answer> },
    Resume { answer: oneshot::Sender<Answer> },
    Reload { answer: oneshot::Sender<Answer> },
}

/// What to do after a step.
enum Pace {
    /// Another step.
    Again,
    /// Until then, or until something in hand is finished or an operator speaks.
    Wait(Option<Instant>),
    /// The same, or until there is new work.
    Idle(Instant),
}

struct Hold {
    reason: &'static str,
    until: Instant,
}

/// A message in hand.
struct InHand {
    message_id: MessageId,
    leave: Leave,
}

/// A lane.
pub(super) struct Lane<O, M> {
    name: String,
    config: Arc<Broker>,
    outbox: Arc<O>,
    mappings: Arc<M>,
    clock: SharedClock,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
    changes: watch::Receiver<u64>,
    sign: Sign,
    /// Fixed point of the breaker's time.
    began: Instant,
    /// The wall clock and one that does not leap, at the last look.
    clocks: (Timestamp, Instant),
    /// `None` until the store said whether an operator paused the broker: nothing is sent before.
    paused: Option<Option<Option<String>>>,
    client: Result<BrokerClient, MaterialFault>,
    files_at: Instant,
    hold: Option<Hold>,
    holds: Arc<Mutex<Holds>>,
    breaker: Breaker,
    /// Shared with whoever asks this broker for notices.
    line: Arc<Line>,
    door: Arc<AtomicBool>,
    ready: VecDeque<OutboxRow>,
    tasks: JoinSet<Finished>,
    in_hand: HashMap<Id, InHand>,
}

impl<O: Outbox, M: Mappings> Lane<O, M> {
    pub(super) fn new(
        name: String,
        config: Arc<Broker>,
        outbox: Arc<O>,
        mappings: Arc<M>,
        clock: SharedClock,
        commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> Self {
        let breaker = Breaker::new(breaker::Policy {
            failure_share: config.breaker.failure_share.get(),
            min_calls: usize::try_from(config.breaker.min_calls).unwrap_or(usize::MAX),
            window: Duration::from_secs(config.breaker.window_s),
            open_for: Duration::from_millis(config.breaker.open_ms),
        });
        let holds = Arc::new(Mutex::new(Holds::default()));
        Self {
            changes: outbox.changes(),
            sign: Sign::new(&name, Arc::clone(&holds), clock.now()),
            began: Instant::now(),
            clocks: (clock.now(), Instant::now()),
            paused: None,
            client: Err(MaterialFault { part: Part::Certificate, why: Why::Unreadable }),
            files_at: Instant::now(),
            hold: None,
            holds,
            breaker,
            line: Arc::new(Line::new(&config.rate)),
            door: Arc::new(AtomicBool::new(false)),
            ready: VecDeque::new(),
            tasks: JoinSet::new(),
            in_hand: HashMap::new(),
            name,
            config,
            outbox,
            mappings,
            clock,
            commands,
            stop,
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<LaneStatus> {
        self.sign.subscribe()
    }

    pub(super) fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }

    /// Works until the process ends, then finishes what is in hand.
    pub(super) async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            while let Some(done) = self.tasks.try_join_next_with_id() {
                self.finish(done).await;
            }
            let (until, idle) = match self.step().await {
                Pace::Again => continue,
                Pace::Wait(until) => (until, false),
                Pace::Idle(until) => (Some(until), true),
            };
            self.show();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => self.stop.cancel(),
                },
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.finish(done).await,
                // Without senders there is no signal; the time alone wakes it then.
                Ok(()) = self.changes.changed(), if idle => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
        self.show();
        while let Some(done) = self.tasks.join_next_with_id().await {
            self.finish(done).await;
            self.show();
        }
    }

    async fn step(&mut self) -> Pace {
        match &self.paused {
            None => return self.take_up().await,
            Some(Some(_)) => return Pace::Wait(None),
            Some(None) => {}
        }
        let now = Instant::now();
        let client = match &self.client {
            Ok(client) if client.not_after().is_none_or(|ends| ends > self.clock.now()) => client.clone(),
            Ok(_) => {
                self.client = Err(MaterialFault { part: Part::Certificate, why: Why::Expired });
                return Pace::Again;
            }
            Err(_) if now < self.files_at => return Pace::Wait(Some(self.files_at)),
            Err(_) => {
                // The fault is shown by the lane's state.
                let _ = self.load().await;
                return Pace::Again;
            }
        };
        if let Some(until) = self.line.held_until() {
            self.held("retry_after", until - now);
        }
        if let Some(hold) = &self.hold {
            if now < hold.until {
                return Pace::Wait(Some(hold.until));
            }
            self.hold = None;
        }
        if self.tasks.len() as u64 >= self.config.max_in_flight {
            return Pace::Wait(None);
        }
        if let State::Open { until, .. } = self.breaker.state()
            && self.began.elapsed() < until
        {
            return Pace::Wait(Some(self.began + until));
        }
        if self.ready.is_empty()
            && let Err(pace) = self.look().await
        {
            return pace;
        }
        let Some(row) = self.ready.pop_front() else { return Pace::Again };
        self.take(row, client).await
    }

    /// Fills `ready` with what is due, or says what to wait for.
    async fn look(&mut self) -> Result<(), Pace> {
        self.changes.borrow_and_update();
        if self.watch_clock().await.is_err() {
            return Err(self.held("store", STORE_HOLD));
        }
        let (at, now) = (Instant::now(), self.clock.now());
        let room = usize::try_from(self.config.max_in_flight).unwrap_or(usize::MAX).saturating_sub(self.tasks.len());
        let busy: HashSet<MessageId> = self.in_hand.values().map(|hand| hand.message_id).collect();
        let due = self.outbox.due(&self.name, now, busy, room.clamp(1, MAX_LOOK)).await;
        match due {
            Ok(rows) if !rows.is_empty() => {
                self.ready.extend(rows);
                Ok(())
            }
            Ok(_) => match self.outbox.next_due(&self.name).await {
                Ok(next) => {
                    let wait = next.map_or(LOOK_EVERY, |next| span(now, next).clamp(SHORTEST_WAIT, LOOK_EVERY));
                    Err(Pace::Idle(at + wait))
                }
                Err(_) => Err(self.held("store", STORE_HOLD)),
            },
            Err(_) => Err(self.held("store", STORE_HOLD)),
        }
    }

    /// Takes a message in hand, if breaker and permit allow it.
    async fn take(&mut self, row: OutboxRow, client: BrokerClient) -> Pace {
        if row.state == DeliveryState::InDoubt && !self.config.idempotent && row.kind != MessageKind::Query {
            return self.resolve(&row).await;
        }
        let Some(rules) = self.mappings.rules(&row.mapping) else { return self.held("mapping", MAPPING_HOLD) };
        let now = self.began.elapsed();
        let leave = match self.breaker.admit(now) {
            Admission::Go(leave) => leave,
            admission => {
                self.ready.push_front(row);
                return Pace::Wait(match admission {
                    Admission::WaitUntil(until) => Some(self.began + until),
                    Admission::Go(_) | Admission::WaitForProbe => None,
                });
            }
        };
        if let Err(wait) = self.line.take() {
            self.breaker.record(leave, Call::Neutral, now);
            self.ready.push_front(row);
            return Pace::Wait(Some(Instant::now() + wait));
        }
        self.show();
        let hand = Hand {
            name: self.name.clone(),
            config: Arc::clone(&self.config),
            outbox: Arc::clone(&self.outbox),
            clock: Arc::clone(&self.clock),
            client,
            rules,
            line: Arc::clone(&self.line),
            door: Arc::clone(&self.door),
            holds: Arc::clone(&self.holds),
        };
        let message_id = row.message_id;
        let task = self.tasks.spawn(hand.carry(row));
        self.in_hand.insert(task.id(), InHand { message_id, leave });
        Pace::Again
    }

    async fn finish(&mut self, done: Result<(Id, Finished), JoinError>) {
        let (id, finished) = match done {
            Ok((id, finished)) => (id, Some(finished)),
            Err(error) => (error.id(), None),
        };
        let Some(hand) = self.in_hand.remove(&id) else { return };
        let was_closed = self.breaker.state() == State::Closed;
        let call = match finished {
            Some(Finished::NotSent) => Call::Neutral,
            Some(Finished::StoreFailed) => {
                self.held("store", STORE_HOLD);
                Call::Neutral
            }
            Some(Finished::Tried { outcome, took }) => {
                match outcome {
                    Outcome::Delivered => self.sign.delivered(self.clock.now()),
                    Outcome::NotTaken { hold: Some(hold), .. } => {
                        self.held("retry_after", hold);
                    }
                    _ => {}
                }
                breaker::judge(outcome, took, Duration::from_secs(self.config.timeout_s))
            }
            None => {
                self.lost(hand.message_id).await;
                Call::Failed
            }
        };
        self.breaker.record(hand.leave, call, self.began.elapsed());
        match self.breaker.state() {
            State::Open { .. } => self.ready.clear(),
            State::Closed if !was_closed => self.hasten().await,
            State::Closed | State::HalfOpen(_) => {}
        }
        self.show();
    }

    /// What waits for its next try waited for the breaker to close.
    async fn hasten(&self) {
        if self.outbox.hasten(&self.name, self.clock.now()).await.is_err() {
            tracing::warn!(broker = %self.name, "waiting messages could not be made due; they come at their own time");
        }
    }

    /// An attempt ended by a fault of ours: nobody knows how far it came.
    async fn lost(&mut self, message_id: MessageId) {
        tracing::error!(broker = %self.name, %message_id, "an attempt failed by a fault of ours; its message is in doubt");
        let now = self.clock.now();
        let record = AttemptRecord::ours(now, "lost");
        let due_at = now.checked_add(policy(&self.config).first).unwrap_or(Timestamp::MAX);
        if self.outbox.settle(message_id, record, Settlement::InDoubt { due_at }).await.is_err() {
            tracing::error!(broker = %self.name, %message_id, "that could not be made durable; it will be at the next start");
        }
    }

    /// Holds the lane; of two holds the later end counts.
    fn held(&mut self, reason: &'static str, time: Duration) -> Pace {
        let until = Instant::now() + time;
        self.ready.clear();
        if self.hold.as_ref().is_none_or(|hold| hold.until < until) {
            self.hold = Some(Hold { reason, until });
        }
        Pace::Again
    }
}
