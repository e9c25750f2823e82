//! An outbox in memory, with the store's manners.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::watch;

use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::forward::Outbox;
use crate::store::{AttemptRecord, BrokerHold, OutboxRow, Settlement, StoreError};

pub(super) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Clone)]
pub(super) struct Row {
    pub(super) row: OutboxRow,
    pub(super) due_at: Timestamp,
    pub(super) was: Option<DeliveryState>,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) settled: Option<Settlement>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) rows: BTreeMap<MessageId, Row>,
    pub(super) paused: Option<Option<String>>,
    pub(super) hastened: usize,
    pub(super) held: Option<BrokerHold>,
    pub(super) asked: Vec<MessageId>,
    /// Calls of `settle` that fail first.
    pub(super) failures: usize,
}

pub(super) struct TestOutbox {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

impl TestOutbox {
    pub(super) fn new() -> Self {
        Self { inner: Mutex::default(), changes: watch::Sender::new(0) }
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let result = work(&mut self.inner.lock().expect("the outbox"));
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Puts a message in the outbox, due now.
    pub(super) fn put(&self, state: DeliveryState) -> MessageId {
        let message_id = MessageId::new();
        let row = OutboxRow {
            message_id,
            kind: MessageKind::Declaration,
            state,
            body: Bytes::from(format!("<Declaration>{message_id}</Declaration>")),
            content_type: "application/xml; charset=UTF-8".to_owned(),
            mapping: "test".to_owned(),
            conversation_id: ConversationId::new(),
            traceparent: Some(TRACE.to_owned()),
            attempts: 0,
            first_attempt_at: None,
        };
        let row = Row { row, due_at: SystemClock.now(), was: None, attempts: Vec::new(), settled: None };
        self.with(|inner| inner.rows.insert(message_id, row));
        message_id
    }

    pub(super) fn queue(&self) -> MessageId {
        self.put(DeliveryState::Queued)
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, holds: impl Fn(&Inner) -> bool) {
        let mut changes = self.changes.subscribe();
        while !holds(&self.inner.lock().expect("the outbox")) {
            changes.changed().await.expect("the outbox lives");
        }
    }

    /// Waits until a message was tried and settled so many times.
    pub(super) async fn tried(&self, message: MessageId, times: usize) -> Row {
        self.until(|inner| inner.rows[&message].attempts.len() >= times).await;
        self.with(|inner| inner.rows[&message].clone())
    }

    pub(super) async fn all_delivered(&self) {
        let delivered = |row: &Row| row.row.state == DeliveryState::Delivered;
        self.until(|inner| inner.rows.values().all(delivered)).await;
    }
}

fn may_send(row: &Row) -> bool {
    matches!(row.row.state, DeliveryState::Queued | DeliveryState::InDoubt)
}

impl Outbox for TestOutbox {
    async fn due(&self, _: &str, now: Timestamp, busy: HashSet<MessageId>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let inner = self.inner.lock().expect("the outbox");
        let mut rows: Vec<&Row> =
            inner.rows.values().filter(|row| may_send(row) && row.due_at <= now && !busy.contains(&row.row.message_id)).collect();
        rows.sort_by_key(|row| (row.due_at, row.row.message_id));
        Ok(rows.into_iter().take(limit).map(|row| row.row.clone()).collect())
    }

    async fn next_due(&self, _: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.inner.lock().expect("the outbox").rows.values().filter(|row| may_send(row)).map(|row| row.due_at).min())
    }

    async fn begin_attempt(&self, message: MessageId, _: Timestamp) -> Result<Option<u32>, StoreError> {
        Ok(self.with(|inner| {
            let row = inner.rows.get_mut(&message).filter(|row| may_send(row))?;
            row.was = Some(row.row.state);
            row.row.state = DeliveryState::Sending;
            Some(row.row.attempts + 1)
        }))
    }

    async fn settle(&self, message: MessageId, attempt: AttemptRecord, settlement: Settlement) -> Result<(), StoreError> {
        self.with(|inner| {
            if inner.failures > 0 {
                inner.failures -= 1;
                return Err(StoreError::Unavailable("a test"));
            }
            let row = inner.rows.get_mut(&message).expect("known");
            let back = row.was.take().unwrap_or(DeliveryState::Queued);
            let (state, due_at, spent) = match &settlement {
                Settlement::Delivered { .. } => (DeliveryState::Delivered, row.due_at, true),
                Settlement::Dead { .. } => (DeliveryState::Dead, row.due_at, true),
                Settlement::InDoubt { due_at } => (DeliveryState::InDoubt, *due_at, true),
                Settlement::Retry { due_at, spent } => (back, *due_at, *spent),
            };
            (row.row.state, row.due_at) = (state, due_at);
            if spent {
                row.row.attempts += 1;
                row.row.first_attempt_at.get_or_insert(attempt.started_at);
            }
            row.attempts.push(attempt);
            row.settled = Some(settlement);
            Ok(())
        })
    }

    async fn release(&self, message: MessageId) -> Result<(), StoreError> {
        self.with(|inner| {
            let row = inner.rows.get_mut(&message).expect("known");
            row.row.state = row.was.take().expect("being sent");
        });
        Ok(())
    }

    async fn hasten(&self, _: &str, now: Timestamp) -> Result<(), StoreError> {
        self.with(|inner| {
            inner.hastened += 1;
            inner.rows.values_mut().for_each(|row| row.due_at = row.due_at.min(now));
        });
        Ok(())
    }

    async fn pause(&self, _: &str, reason: Option<String>) -> Result<(), StoreError> {
        self.with(|inner| inner.paused = Some(reason));
        Ok(())
    }

    async fn resume(&self, _: &str) -> Result<(), StoreError> {
        self.with(|inner| inner.paused = None);
        Ok(())
    }

    async fn paused(&self, _: &str) -> Result<Option<Option<String>>, StoreError> {
        Ok(self.with(|inner| inner.paused.clone()))
    }

    async fn hold(&self, _: &str, hold: BrokerHold) -> Result<(), StoreError> {
        self.with(|inner| inner.held = Some(hold));
        Ok(())
    }

    async fn held(&self, _: &str) -> Result<Option<BrokerHold>, StoreError> {
        Ok(self.with(|inner| inner.held))
    }

    async fn rein_in(&self, _: &str, farthest: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        Ok(self.with(|inner| {
            let far = inner.rows.values_mut().filter(|row| may_send(row) && row.due_at > farthest);
            far.map(|row| row.due_at = now).count()
        }))
    }

    async fn ask(&self, message: MessageId, _: Timestamp, again_at: Timestamp) -> Result<(), StoreError> {
        self.with(|inner| {
            inner.asked.push(message);
            inner.rows.get_mut(&message).expect("known").due_at = again_at;
        });
        Ok(())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
