//! What the stations ask of the catalog and the store, in the stations' own narrow words.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::callback::poll::PollRules;
use crate::callback::{Readers, TakenAnswer};
use crate::catalog::{Catalog, SharedCatalog};
use crate::domain::delivery::MessageKind;
use crate::domain::fact::Fact;
use crate::forward::{Mappings, ReplyRules};
use crate::mapping::Mapping;
use crate::store::Reading;

/// The present catalog, and a signal for those who wait for a better one.
#[derive(Clone)]
pub(super) struct Catalogs {
    shared: SharedCatalog,
    reloads: Arc<watch::Sender<u64>>,
    /// Held from reading the files to putting them in place, so that no older ones come after newer ones.
    reloading: Arc<tokio::sync::Mutex<()>>,
}

impl Catalogs {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { shared: Arc::new(ArcSwap::from_pointee(catalog)), reloads: Arc::new(watch::Sender::new(0)), reloading: Arc::default() }
    }

    pub(super) fn shared(&self) -> SharedCatalog {
        Arc::clone(&self.shared)
    }

    /// Puts a new catalog in the place of the present one, when it can be made; one at a time.
    pub(super) async fn replace<E>(&self, make: impl Future<Output = Result<Catalog, E>>) -> Result<(), E> {
        let _alone = self.reloading.lock().await;
        self.shared.store(Arc::new(make.await?));
        self.reloads.send_modify(|count| *count += 1);
        Ok(())
    }
}

impl Readers for Catalogs {
    fn read(&self, broker: &str, _content_type: &str, body: &[u8]) -> Option<Reading> {
        let mapping = self.shared.load().mapping_of(broker)?;
        Some(match mapping.read(body) {
            Ok(facts) => Reading::Facts { mapping_version: mapping.version.clone(), facts },
            Err(unreadable) => Reading::Unreadable { reason: unreadable.reason.as_str(), mapping_version: Some(mapping.version.clone()) },
        })
    }

    fn has_key(&self, broker: &str) -> bool {
        self.shared.load().mapping_of(broker).is_some_and(|mapping| mapping.inbox().has_key())
    }

    fn key(&self, broker: &str, body: &[u8]) -> Option<String> {
        self.shared.load().mapping_of(broker)?.notice_key(body)
    }

    fn answer(&self, broker: &str) -> TakenAnswer {
        let usual = TakenAnswer::default();
        let Some(mapping) = self.shared.load().mapping_of(broker) else { return usual };
        let inbox = mapping.inbox();
        TakenAnswer {
            status: inbox.status.unwrap_or(usual.status),
            content_type: inbox.content_type.clone(),
            body: bytes::Bytes::copy_from_slice(inbox.answer.as_bytes()),
        }
    }

    fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }
}

impl PollRules for Catalogs {
    fn mapping(&self, broker: &str) -> Option<Arc<Mapping>> {
        self.shared.load().mapping_of(broker)
    }
}

/// A mapping as the forwarder reads replies by it.
struct Rules(Arc<Mapping>);

impl ReplyRules for Rules {
    fn version(&self) -> &str {
        &self.0.version
    }

    fn headers(&self) -> &[(String, String)] {
        &self.0.manifest.transport.headers
    }

    fn conversation_header(&self) -> Option<&str> {
        self.0.manifest.transport.conversation_header.as_deref()
    }

    fn empty_reply_is_delivered(&self) -> bool {
        self.0.manifest.transport.empty_reply_is_delivered
    }

    fn asks(&self) -> bool {
        self.0.makes(MessageKind::Query)
    }

    fn read(&self, body: &[u8]) -> Option<Vec<Fact>> {
        self.0.read(body).ok()
    }
}

impl Mappings for Catalogs {
    fn rules(&self, mapping: &str) -> Option<Arc<dyn ReplyRules>> {
        let mapping = self.shared.load().registry().get(mapping)?;
        Some(Arc::new(Rules(mapping)))
    }
}

mod store {
    //! The store as each station sees it.

    use std::collections::{BTreeMap, HashSet};

    use tokio::sync::watch;

    use crate::callback::Notices;
    use crate::domain::ids::{EventId, MessageId, NoticeId, SubscriptionId};
    use crate::domain::time::Timestamp;
    use crate::forward::Outbox;
    use crate::store::{
        AttemptRecord, BrokerHold, DeliveryRow, DeliverySettlement, EventPage, NewNotice, NoticeResult, NoticeRow, OutboxRow, Reading,
        Settlement, Store, StoreError, Subscription,
    };
    use crate::tracking::overdue::Owed;
    use crate::tracking::ports::{Deliveries, DeliveryKey, Events, Subscriptions};

    impl Notices for Store {
        async fn take_notice(&self, notice: NewNotice) -> Result<bool, StoreError> {
            Ok(Self::take_notice(self, notice).await?.duplicate)
        }

        async fn notices_to_read(&self, except: Vec<String>, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
            Self::notices_to_read(self, except, limit as usize).await
        }

        async fn settle_notice(&self, notice: NoticeId, reading: Reading) -> Result<NoticeResult, StoreError> {
            Self::settle_notice(self, notice, reading).await
        }

        async fn hold(&self, broker: &str, hold: BrokerHold) -> Result<(), StoreError> {
            Self::hold(self, broker, hold).await
        }

        fn notices_signal(&self) -> watch::Receiver<u64> {
            self.subscribe_notices()
        }
    }

    impl Events for Store {
        async fn events_after(&self, post: &str, after: i64, limit: u32) -> Result<EventPage, StoreError> {
            Self::events_after(self, post, Some(after), limit as usize).await
        }

        fn events_signal(&self) -> watch::Receiver<u64> {
            self.subscribe_events()
        }
    }

    impl Deliveries for Store {
        async fn due_deliveries(&self, now: Timestamp, busy: HashSet<DeliveryKey>, limit: usize) -> Result<Vec<DeliveryRow>, StoreError> {
            Self::due_deliveries(self, now, busy, limit).await
        }

        async fn next_delivery_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
            Self::next_delivery_due(self, after).await
        }

        async fn settle_delivery(&self, row: &DeliveryRow, settlement: DeliverySettlement, now: Timestamp) -> Result<(), StoreError> {
            Self::settle_delivery(self, row.subscription_id, row.position, settlement, now).await
        }

        fn deliveries_signal(&self) -> watch::Receiver<u64> {
            self.subscribe_deliveries()
        }
    }

    impl Owed for Store {
        async fn awaited_since(&self, broker: &str) -> Result<Option<Timestamp>, StoreError> {
            Self::awaited_since(self, broker).await
        }

        async fn tell_overdue(&self, broker: &str, since: Timestamp, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
            Self::tell_overdue(self, broker, since, limit, now).await
        }

        async fn overdue(&self) -> Result<BTreeMap<String, u64>, StoreError> {
            Self::overdue(self).await
        }

        fn events_signal(&self) -> watch::Receiver<u64> {
            self.subscribe_events()
        }
    }

    impl Subscriptions for Store {
        async fn add_subscription(&self, subscription: Subscription, max: u32) -> Result<bool, StoreError> {
            Self::add_subscription(self, subscription, max).await
        }

        async fn subscriptions(&self, post: &str) -> Result<Vec<Subscription>, StoreError> {
            Self::subscriptions(self, post).await
        }

        async fn delete_subscription(&self, post: &str, id: SubscriptionId) -> Result<bool, StoreError> {
            self.remove_subscription(post, id).await
        }

        async fn test_subscription(&self, post: &str, id: SubscriptionId, event_id: EventId, json: String) -> Result<bool, StoreError> {
            self.queue_test_event(post, id, event_id, json).await
        }
    }

    impl Outbox for Store {
        async fn due(&self, broker: &str, now: Timestamp, busy: HashSet<MessageId>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
            Self::due(self, broker, now, busy, limit).await
        }

        async fn next_due(&self, broker: &str) -> Result<Option<Timestamp>, StoreError> {
            Self::next_due(self, broker).await
        }

        async fn begin_attempt(&self, message: MessageId, now: Timestamp) -> Result<Option<u32>, StoreError> {
            Self::begin_attempt(self, message, now).await
        }

        async fn settle(&self, message: MessageId, attempt: AttemptRecord, settlement: Settlement) -> Result<(), StoreError> {
            Self::settle(self, message, attempt, settlement).await
        }

        async fn release(&self, message: MessageId) -> Result<(), StoreError> {
            Self::release(self, message).await
        }

        async fn hasten(&self, broker: &str, now: Timestamp) -> Result<(), StoreError> {
            Self::hasten(self, broker, now).await
        }

        async fn pause(&self, broker: &str, reason: Option<String>) -> Result<(), StoreError> {
            Self::pause(self, broker, reason).await
        }

        async fn resume(&self, broker: &str) -> Result<(), StoreError> {
            Self::resume(self, broker).await
        }

        async fn paused(&self, broker: &str) -> Result<Option<Option<String>>, StoreError> {
            Ok(Self::paused(self).await?.remove(broker).map(|pause| pause.reason))
        }

        async fn hold(&self, broker: &str, hold: BrokerHold) -> Result<(), StoreError> {
            Self::hold(self, broker, hold).await
        }

        async fn held(&self, broker: &str) -> Result<Option<BrokerHold>, StoreError> {
            Self::held(self, broker).await
        }

        async fn rein_in(&self, broker: &str, farthest: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
            Self::rein_in(self, broker, farthest, now).await
        }

        async fn ask(&self, message: MessageId, now: Timestamp, again_at: Timestamp) -> Result<(), StoreError> {
            Self::ask(self, message, now, again_at).await
        }

        fn changes(&self) -> watch::Receiver<u64> {
            self.subscribe_outbox()
        }
    }
}
