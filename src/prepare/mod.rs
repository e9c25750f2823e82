//! The station that turns intents into messages: amendments, cancellations, presentations, status queries, and
//! declarations that wait for their consignment (ADR 0006).
//!
//! Why it exists: what these become is known only when the filing's earlier messages are settled. Each is rendered exactly
//! once, here, and committed only while the decision behind it holds.
//!
//! Invariants: one intent of a filing at a time, in order; what cannot be made is refused and told, never lost and never
//! tried for ever; a mapping that is not there makes an intent wait, visibly.
//!
//! Must not: send, read notices, or decide what [`crate::domain::intent::decide`] decides.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Channel, SharedCatalog, Work};
use crate::config::Config;
use crate::domain::consignment;
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fact::Reason;
use crate::domain::fault::Fault;
use crate::domain::ids::IntentId;
use crate::domain::intent::{Becomes, Refusal, Waits, decide};
use crate::domain::json;
use crate::domain::retry::span;
use crate::domain::time::{SharedClock, Timestamp};
use crate::fault_points;
use crate::mapping::PostContext;
use crate::store::{IntentRow, Means, Prepared, Store, StoreError};

/// Intents that are looked at in one go.
const AT_ONCE: usize = 64;
/// An idle station looks again this often, should a signal or a clock have gone wrong.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long the station rests when the store is not available.
const STORE_REST: Duration = Duration::from_secs(1);
/// How long an intent waits for a mapping or a schema before it is looked at again.
const MAPPING_REST: Duration = Duration::from_secs(10);
/// How long one rests that cannot be made as things are.
const FAULT_REST: Duration = Duration::from_secs(60);
/// Intents that are made at the same time: their commits are one.
const TOGETHER: usize = 16;

/// The station.
pub struct Prepare {
    store: Store,
    catalog: SharedCatalog,
    clock: SharedClock,
    /// Names of the posts by code.
    posts: BTreeMap<String, String>,
    /// How long each broker's answer to an amendment, cancellation or presentation is waited for.
    patience: BTreeMap<String, Duration>,
}

impl Prepare {
    /// Builds the station.
    pub fn new(config: &Config, store: Store, catalog: SharedCatalog, clock: SharedClock) -> Self {
        Self {
            store,
            catalog,
            clock,
            posts: config.posts.iter().map(|(code, post)| (code.clone(), post.name.as_str().to_owned())).collect(),
            patience: config.brokers.iter().map(|(name, broker)| (name.clone(), Duration::from_secs(broker.answer_within_s))).collect(),
        }
    }

    /// Works until the process ends.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.store.subscribe_intents();
        while !stop.is_cancelled() {
            changes.borrow_and_update();
            let rest = match self.round().await {
                Some(0) => self.until_next().await,
                Some(_) => continue,
                None => STORE_REST,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changes.changed() => {}
                () = sleep_until(Instant::now() + rest) => {}
            }
        }
    }

    async fn until_next(&self) -> Duration {
        match self.store.next_intent().await {
            Ok(Some(next)) => span(self.clock.now(), next).clamp(Duration::from_millis(20), LOOK_EVERY),
            Ok(None) => LOOK_EVERY,
            Err(_) => STORE_REST,
        }
    }

    /// Looks at what is due, many at once; how many, or none when the store is not available.
    async fn round(&self) -> Option<usize> {
        let due = self.store.intents_due(self.clock.now(), AT_ONCE).await.ok()?;
        let looked = due.len();
        let results = stream::iter(due).map(|(id, row)| self.carry_out(id, row)).buffer_unordered(TOGETHER);
        let available = results.fold(true, |available, done| async move { available && done.is_some() }).await;
        available.then_some(looked)
    }

    /// Carries out one intent; none when the store is not available. What is a fault of ours rests, so that it stops nobody.
    async fn carry_out(&self, id: IntentId, row: Option<IntentRow>) -> Option<()> {
        if let Some(row) = row {
            let (means, prepared) = self.prepare(&row).await;
            fault_points::pass("prepare.before_commit");
            // When its filing changed meanwhile, it is still due and comes with the next look.
            match self.store.settle_intent(id, row.looks, means, prepared).await {
                Ok(_) => {
                    fault_points::pass("prepare.after_commit");
                    return Some(());
                }
                Err(StoreError::Fault(fault)) => tracing::error!(intent_id = %id, %fault, "an intent cannot be carried out; it rests"),
                Err(_) => return None,
            }
        }
        let until = self.clock.now().checked_add(FAULT_REST).unwrap_or(Timestamp::MAX);
        self.store.rest_intent(id, until).await.ok()
    }

    /// What becomes of an intent, with what the decision was made by.
    async fn prepare(&self, row: &IntentRow) -> (Means, Prepared) {
        let catalog = self.catalog.load_full();
        let patience = self.patience.get(&row.broker).copied().unwrap_or_default();
        let Some(channel) = catalog.channel(&row.broker) else {
            return (Means { makes: true, patience }, self.rest(MAPPING_REST));
        };
        let means = Means { makes: channel.mapping.makes(row.kind), patience };
        if row.is_behind {
            return (means, waits(Waits::EarlierMessages, None));
        }
        let becomes = decide(row.kind, &row.standing, means.makes, patience, self.clock.now());
        let prepared = match becomes {
            Becomes::Wait(why, until) => waits(why, until),
            Becomes::Cancelled => Prepared::Cancelled,
            Becomes::Dropped => Prepared::Dropped,
            Becomes::Refused(why) => Prepared::Refused { why, reasons: vec![reason(why.as_str(), None)] },
            Becomes::Original => self.make(row, channel, becomes, MessageKind::Declaration).await,
            Becomes::Message => self.make(row, channel, becomes, row.kind).await,
        };
        (means, prepared)
    }

    async fn make(&self, row: &IntentRow, channel: &Channel, becomes: Becomes, kind: MessageKind) -> Prepared {
        let Some((declaration, previous)) = declarations(row) else {
            tracing::error!(intent_id = %row.intent_id, "a stored declaration cannot be read");
            return self.rest(MAPPING_REST);
        };
        let original = kind == MessageKind::Declaration;
        // Another consignment, or more of a closed one, may bring what is still missing.
        if original && !channel.lacking(&declaration).is_empty() {
            return waits(Waits::Transport, None);
        }
        let reason = row.reason.as_ref().map(|(code, text)| (code.as_str(), text.as_deref()));
        let work = Work {
            kind,
            declaration: &declaration,
            previous: if kind == MessageKind::Amendment { previous.as_ref() } else { None },
            mrn: if original { None } else { row.mrn.as_deref() },
            about: row.about.as_deref(),
            reason: if original { None } else { reason },
            post: PostContext { code: &row.post, name: self.posts.get(&row.post).map_or("", String::as_str) },
            broker: &row.broker,
            conversation_id: row.conversation_id,
            now: self.clock.now(),
        };
        let mut counter = row.next_lrn;
        match channel.make(&work, &mut counter).await {
            Err(_) => self.rest(MAPPING_REST),
            // A declaration is never given up: it waits for an amendment or a better mapping, where everyone sees it.
            Ok((_, faults)) if !faults.is_empty() && row.kind == MessageKind::Declaration => self.rest(FAULT_REST),
            Ok((_, faults)) if !faults.is_empty() => refused(faults),
            Ok((made, _)) => {
                let messages = made.into_iter().map(|made| made.message).collect();
                Prepared::Made { becomes, messages, presents: channel.mapping.makes(MessageKind::Presentation) }
            }
        }
    }

    /// Until a mapping or a schema is there, or serves better.
    fn rest(&self, time: Duration) -> Prepared {
        waits(Waits::Mapping, self.clock.now().checked_add(time).ok())
    }
}

/// A wish that cannot be carried out: the post is told why.
fn refused(faults: Vec<Fault>) -> Prepared {
    let told = |fault: Fault| Reason { pointer: Some(fault.pointer), ..reason(&fault.code, Some(fault.detail.into_owned())) };
    Prepared::Refused { why: Refusal::Faults, reasons: faults.into_iter().map(told).collect() }
}

fn waits(why: Waits, look_at: Option<Timestamp>) -> Prepared {
    Prepared::Waits { why, look_at }
}

fn reason(code: &str, text: Option<String>) -> Reason {
    Reason { code: Some(code.to_owned()), text, pointer: None }
}

/// The version that the intent speaks for and the one that the broker has, both with the transport of their consignment.
fn declarations(row: &IntentRow) -> Option<(Declaration, Option<Declaration>)> {
    let transport = row.transport.as_ref().map(|transport| json::parse(transport.as_bytes())).transpose().ok()?;
    let read = |body: &[u8]| Some(Declaration::read_shape(&consignment::complete(json::parse(body).ok()?, transport.as_ref())).0);
    let previous = match &row.previous {
        Some(body) => Some(read(body)?),
        None => None,
    };
    Some((read(&row.body)?, previous))
}
