//! What wakes whom after a commit: lanes, the notice reader, feeds and streams, the webhook sender, `prepare`.
//!
//! A signal says "look again", no more; it may come without need, never before the commit it is about.

use tokio::sync::watch;

/// A set of signals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wake(u8);

impl Wake {
    pub(super) const OUTBOX: Self = Self(1);
    pub(super) const NOTICES: Self = Self(2);
    pub(super) const EVENTS: Self = Self(4);
    pub(super) const DELIVERIES: Self = Self(8);
    pub(super) const INTENTS: Self = Self(16);
}

impl std::ops::BitOr for Wake {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The senders, one per kind.
#[derive(Debug, Default)]
pub(in crate::store) struct Signals {
    pub(in crate::store) outbox: watch::Sender<u64>,
    pub(in crate::store) notices: watch::Sender<u64>,
    pub(in crate::store) events: watch::Sender<u64>,
    pub(in crate::store) deliveries: watch::Sender<u64>,
    pub(in crate::store) intents: watch::Sender<u64>,
}

impl Signals {
    pub(super) fn send(&self, wake: Wake) {
        let all = [
            (Wake::OUTBOX, &self.outbox),
            (Wake::NOTICES, &self.notices),
            (Wake::EVENTS, &self.events),
            (Wake::DELIVERIES, &self.deliveries),
            (Wake::INTENTS, &self.intents),
        ];
        for (one, sender) in all {
            if wake.0 & one.0 != 0 {
                sender.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }
}
