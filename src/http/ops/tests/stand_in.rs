//! The rest of the gateway, as a test wants it.

use super::*;

/// The rest of the gateway, as the test wants it.
#[derive(Default)]
pub(super) struct StandIn {
    pub(super) store_fails: bool,
    pub(super) mappings_are_faulty: bool,
    pub(super) paused: Mutex<Option<Option<String>>>,
    pub(super) asked: Mutex<Vec<DeadFilter>>,
    pub(super) ordered: Mutex<Vec<DeadOrder>>,
    pub(super) reread: Mutex<Vec<RereadOrder>>,
    pub(super) links: Vec<Link>,
    pub(super) verified: Verified,
}

impl StandIn {
    fn stored<T: Send + 'static>(&self, value: T) -> BoxFuture<'_, Result<T, StoreError>> {
        let failed = self.store_fails.then_some(StoreError::Unavailable("disk full at /secret/place"));
        std::future::ready(failed.map_or(Ok(value), Err)).boxed()
    }
}

impl OpsSource for StandIn {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.stored(())
    }

    fn backlog(&self) -> BoxFuture<'_, Result<Vec<BacklogRow>, StoreError>> {
        let row = |state, count, oldest: &str| BacklogRow { broker: "uk-broker".into(), state, count, oldest_at: Some(at(oldest)) };
        self.stored(vec![
            row(DeliveryState::Waiting, 2, "2026-11-21T12:00:00Z"),
            row(DeliveryState::Queued, 1234, "2026-11-22T11:30:00Z"),
            row(DeliveryState::Dead, 1, "2026-11-01T00:00:00Z"),
            row(DeliveryState::Delivered, 99, "2026-11-01T00:00:00Z"),
        ])
    }

    fn dead_letters(&self, filter: DeadFilter) -> BoxFuture<'_, Result<Vec<DeadLetter>, StoreError>> {
        self.asked.lock().expect("whole").push(filter);
        self.stored(vec![DeadLetter {
            message_id: MessageId::new(),
            broker: "uk-broker".into(),
            post: "KRA".into(),
            declaration_id: DeclarationId::new(),
            item_id: "EE000000016KR".into(),
            kind: MessageKind::Declaration,
            mapping: "hmrc-cds".into(),
            mapping_version: "1+old".into(),
            reason: DeadReason::Refused,
            since: at("2026-11-22T09:00:00Z"),
            attempts: 1,
            last_status: Some(422),
            last_outcome: Some("refused".into()),
        }])
    }

    fn settle_dead(&self, order: DeadOrder) -> BoxFuture<'_, Result<Handled, StoreError>> {
        let handled = Handled { matched: 3, done: if order.dry_run { 0 } else { 2 } };
        self.ordered.lock().expect("whole").push(order);
        self.stored(handled)
    }

    fn verify_audit(&self) -> BoxFuture<'_, Result<Verified, StoreError>> {
        self.stored(self.verified.clone())
    }

    fn audit_links(&self, after: Option<(uuid::Uuid, u64)>, _: usize) -> BoxFuture<'_, Result<Vec<Link>, StoreError>> {
        let after = after.map_or(0, |(_, number)| number);
        self.stored(self.links.iter().filter(|link| link.number > after).cloned().collect())
    }

    fn acts(&self, _: u32) -> BoxFuture<'_, Result<Vec<ActRow>, StoreError>> {
        let (act_id, filter) = (uuid::Uuid::now_v7(), Some(r#"{"mode":"remap"}"#.to_owned()));
        let (kind, broker, reason) = (ActKind::Replay, Some("uk-broker".to_owned()), Some("mended".to_owned()));
        self.stored(vec![ActRow { act_id, at: at(NOW), kind, broker, filter, reason, done: Some(3) }])
    }

    fn parked_notices(&self, state: ParkedState, _: u32) -> BoxFuture<'_, Result<Vec<ParkedNotice>, StoreError>> {
        self.stored(vec![ParkedNotice {
            notice_id: NoticeId::new(),
            broker: "uk-broker".into(),
            state: state.to_string(),
            reason: Some("cut_off".into()),
            mapping_version: Some("1+abc".into()),
            received_at: rfc3339(at("2026-11-22T11:59:00Z")),
            size: 4711,
            sha256: "ab".repeat(32),
        }])
    }

    fn reread(&self, order: RereadOrder) -> BoxFuture<'_, Result<Handled, StoreError>> {
        self.reread.lock().expect("whole").push(order);
        self.stored(Handled { matched: 4, done: 4 })
    }

    fn lanes(&self) -> Vec<Lane> {
        let paused = self.paused.lock().expect("whole").clone();
        let uk = Lane {
            broker: "uk-broker".into(),
            state: if paused.is_some() { LaneState::Paused } else { LaneState::Running },
            reason: paused.flatten(),
            since: Some(at("2026-11-22T11:00:00Z")),
            breaker: BreakerState::HalfOpen,
            in_flight: 3,
            faults: Vec::new(),
        };
        let faults = vec![("brokers.nl-broker.settings.office".to_owned(), "is missing".to_owned())];
        let nl = Lane { broker: "nl-broker".into(), breaker: BreakerState::Open, state: LaneState::BreakerOpen, faults, ..uk.clone() };
        vec![nl, uk]
    }

    fn pause(&self, _: String, reason: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>> {
        *self.paused.lock().expect("whole") = Some(reason);
        self.stored(()).map(|done| done.map_err(OpsFault::from)).boxed()
    }

    fn resume(&self, _: String, _: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>> {
        *self.paused.lock().expect("whole") = None;
        self.stored(()).map(|done| done.map_err(OpsFault::from)).boxed()
    }

    fn reload_certificates(&self, _: String) -> BoxFuture<'_, Result<(), OpsFault>> {
        self.stored(()).map(|done| done.map_err(OpsFault::from)).boxed()
    }

    fn mappings(&self) -> Vec<LoadedMapping> {
        let faults = vec![("hmrc-cds/declaration.xml:3:7".to_owned(), "no such field <canary>".to_owned())];
        let (state, faults) = if self.mappings_are_faulty { (MappingState::Stored, faults) } else { (MappingState::Loaded, Vec::new()) };
        vec![LoadedMapping { name: "hmrc-cds".into(), title: Some("CDS".into()), version: Some("1+abc".into()), state, faults }]
    }

    fn kept_mappings(&self) -> BoxFuture<'_, Result<Vec<KeptMapping>, StoreError>> {
        let kept = |name: &str, version: &str| KeptMapping { name: name.into(), version: version.into(), kept_at: at(NOW) };
        self.stored(vec![kept("hmrc-cds", "1+abc"), kept("hmrc-cds", "1+old"), kept("other", "2+x")])
    }

    fn reload_mappings(&self) -> BoxFuture<'_, Result<(), OpsFault>> {
        let faults = vec![("hmrc-cds/declaration.xml:3:7".to_owned(), "no such field".to_owned())];
        std::future::ready(if self.mappings_are_faulty { Err(OpsFault::Refused(faults)) } else { Ok(()) }).boxed()
    }
}
