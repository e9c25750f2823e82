//! The listeners' desks: the stations, the store and the lanes as the HTTP layer sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Shared, mappings, ports};
use crate::callback::Station;
use crate::catalog::Listed;
use crate::config::Config;
use crate::domain::audit::Link;
use crate::domain::operate::ActKind;
use crate::forward::{LaneError, LaneState, LaneStatus, Lanes};
use crate::http::callbacks::{IncomingNotice, NoticeAnswer, NoticeDesk};
use crate::http::ops::source::{
    self, BreakerState, DeadDeed, DeadFilter, DeadOrder, Lane, LoadedMapping, OpsFault, OpsSource, ParkedState, RereadOrder,
};
use crate::store::{
    Act, ActRow, BacklogRow, DeadLetter, DeadLetterFilter, Handled, KeptMapping, NoticeResult, ParkedNotice, ParkedSelection, Replay,
    Store, StoreError, Verified,
};

/// Where brokers hand in notices.
pub(super) struct CallbackDesk(pub(super) Station<Store, ports::Catalogs>);

impl NoticeDesk for CallbackDesk {
    fn take(&self, notice: IncomingNotice) -> BoxFuture<'_, Result<NoticeAnswer, StoreError>> {
        async move {
            let taken = self.0.take(&notice.broker, &notice.content_type, notice.conversation.as_deref(), notice.body).await?;
            Ok(NoticeAnswer { status: taken.status, content_type: taken.content_type, body: taken.body })
        }
        .boxed()
    }
}

/// Where operators look and act.
pub(super) struct OpsDesk {
    config: Arc<Config>,
    store: Store,
    lanes: Arc<Lanes>,
    catalogs: ports::Catalogs,
}

impl OpsDesk {
    pub(super) fn new(shared: &Shared, lanes: Arc<Lanes>) -> Self {
        Self { config: Arc::clone(&shared.config), store: shared.store.clone(), lanes, catalogs: shared.catalogs.clone() }
    }
}

impl OpsDesk {
    /// Keeps an act that was carried out. When it cannot be kept the operator is told so and may repeat it: all of them
    /// are safe to repeat.
    async fn keep(&self, kind: ActKind, broker: Option<String>, reason: Option<String>) -> Result<(), OpsFault> {
        Ok(self.store.record_act(Act { kind, broker, reason }).await?)
    }

    /// Half of each broker's permits is for what is new, however much is replayed.
    fn spacing(&self) -> BTreeMap<String, Duration> {
        let spacing = |per_second: u64| Duration::from_secs(2).div_f64(u32::try_from(per_second.max(1)).unwrap_or(u32::MAX).into());
        self.config.brokers.iter().map(|(name, broker)| (name.clone(), spacing(broker.rate.per_second))).collect()
    }
}

impl OpsSource for OpsDesk {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.check().boxed()
    }

    fn backlog(&self) -> BoxFuture<'_, Result<Vec<BacklogRow>, StoreError>> {
        self.store.backlog().boxed()
    }

    fn dead_letters(&self, filter: DeadFilter) -> BoxFuture<'_, Result<Vec<DeadLetter>, StoreError>> {
        let filter = DeadLetterFilter { broker: filter.broker, reason: filter.reason, post: filter.post, limit: filter.limit };
        async move { self.store.dead_letters(filter).await }.boxed()
    }

    fn settle_dead(&self, order: DeadOrder) -> BoxFuture<'_, Result<Handled, StoreError>> {
        async move {
            if order.dry_run {
                return Ok(Handled { matched: self.store.count_dead(order.selection).await?, done: 0 });
            }
            match order.deed {
                DeadDeed::Purge => self.store.purge_dead(order.selection, order.reason.unwrap_or_default()).await,
                DeadDeed::Replay(mode) => {
                    let replay = Replay { mode, spacing: self.spacing() };
                    self.store.replay_dead(order.selection, replay, order.reason).await
                }
            }
        }
        .boxed()
    }

    fn verify_audit(&self) -> BoxFuture<'_, Result<Verified, StoreError>> {
        self.store.verify_audit().boxed()
    }

    fn audit_links(&self, after: Option<(Uuid, u64)>, limit: usize) -> BoxFuture<'_, Result<Vec<Link>, StoreError>> {
        self.store.audit_links(after, limit).boxed()
    }

    fn acts(&self, limit: u32) -> BoxFuture<'_, Result<Vec<ActRow>, StoreError>> {
        self.store.acts(limit).boxed()
    }

    fn parked_notices(&self, state: ParkedState, limit: u32) -> BoxFuture<'_, Result<Vec<ParkedNotice>, StoreError>> {
        async move { self.store.parked_notices(Some(parked(state)), limit).await }.boxed()
    }

    fn reread(&self, order: RereadOrder) -> BoxFuture<'_, Result<Handled, StoreError>> {
        let selection = ParkedSelection { state: parked(order.state), broker: order.broker };
        async move {
            if order.dry_run {
                return Ok(Handled { matched: self.store.count_parked(selection).await?, done: 0 });
            }
            self.store.reread(selection, order.reason).await
        }
        .boxed()
    }

    fn lanes(&self) -> Vec<Lane> {
        let catalog = self.catalogs.shared().load_full();
        let channelled = |mut lane: Lane| {
            lane.faults = catalog.faults_of(&lane.broker).iter().map(|fault| (fault.key.clone(), fault.detail.clone())).collect();
            if lane.state == source::LaneState::Running && catalog.channel(&lane.broker).is_none() {
                lane.state = source::LaneState::Disabled;
                lane.reason = Some("mapping_unavailable".to_owned());
            }
            lane
        };
        self.lanes.status().into_iter().map(lane).map(channelled).collect()
    }

    fn pause(&self, broker: String, reason: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>> {
        async move {
            self.lanes.pause(&broker, reason.as_deref()).await.map_err(fault)?;
            self.keep(ActKind::Pause, Some(broker), reason).await
        }
        .boxed()
    }

    fn resume(&self, broker: String, reason: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>> {
        async move {
            self.lanes.resume(&broker).await.map_err(fault)?;
            self.keep(ActKind::Resume, Some(broker), reason).await
        }
        .boxed()
    }

    fn reload_certificates(&self, broker: String) -> BoxFuture<'_, Result<(), OpsFault>> {
        async move {
            self.lanes.reload_certificates(&broker).await.map_err(fault)?;
            self.keep(ActKind::ReloadCertificates, Some(broker), None).await
        }
        .boxed()
    }

    fn mappings(&self) -> Vec<LoadedMapping> {
        let catalog = self.catalogs.shared().load_full();
        let loaded = |listed: Listed<'_>| LoadedMapping {
            name: listed.name.to_owned(),
            title: listed.mapping.map(|mapping| mapping.manifest.title.clone()),
            version: listed.mapping.map(|mapping| mapping.version.clone()),
            state: listed.state,
            faults: listed.faults.iter().map(|fault| (fault.place(), fault.told())).collect(),
        };
        catalog.listed().into_iter().map(loaded).collect()
    }

    fn kept_mappings(&self) -> BoxFuture<'_, Result<Vec<KeptMapping>, StoreError>> {
        self.store.kept_mappings().boxed()
    }

    fn reload_mappings(&self) -> BoxFuture<'_, Result<(), OpsFault>> {
        async move {
            self.catalogs.replace(mappings::reload(&self.config, &self.store)).await?;
            tracing::info!("mappings loaded anew");
            self.keep(ActKind::ReloadMappings, None, None).await
        }
        .boxed()
    }
}

fn parked(state: ParkedState) -> NoticeResult {
    match state {
        ParkedState::Unreadable => NoticeResult::Unreadable,
        ParkedState::Orphan => NoticeResult::Orphan,
        ParkedState::UnknownCode => NoticeResult::UnknownCode,
    }
}

fn fault(error: LaneError) -> OpsFault {
    match error {
        LaneError::Store(error) => OpsFault::Store(error),
        other => OpsFault::Refused(vec![(String::new(), other.to_string())]),
    }
}

fn lane(status: LaneStatus) -> Lane {
    let (state, breaker) = match status.state {
        LaneState::Ready => (source::LaneState::Running, BreakerState::Closed),
        LaneState::Stopping => (source::LaneState::Stopping, BreakerState::Closed),
        LaneState::Paused => (source::LaneState::Paused, BreakerState::Closed),
        LaneState::Disabled => (source::LaneState::Disabled, BreakerState::Closed),
        LaneState::Open => (source::LaneState::BreakerOpen, BreakerState::Open),
        LaneState::HalfOpen => (source::LaneState::BreakerOpen, BreakerState::HalfOpen),
        LaneState::Held => (source::LaneState::Held, BreakerState::Closed),
    };
    Lane {
        broker: status.broker,
        state,
        reason: status.reason,
        since: status.since.parse().ok(),
        breaker,
        in_flight: status.in_flight as u64,
        faults: Vec::new(),
    }
}
