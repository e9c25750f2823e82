//! Tracking: the post is told. One append-only event log, shown in three ways with one cursor.
//!
//! - [`feed`]: pages of the log, with a long poll.
//! - [`stream`]: the same as server-sent events.
//! - [`dispatcher`]: the same pushed to the targets of [`subscriptions`], signed by the Standard
//!   Webhooks scheme ([`signature`]), tried again over three days ([`retry`]).
//! - [`overdue`]: what customs has not answered in time becomes an event of the log.
//!
//! Invariants: every event reaches the post at least once, in order per item, without a gap per
//! cursor (promise P8); a target that is slow or gone harms no other (P9); a wake-up between looking
//! and waiting is never lost, because each loop marks the signal as seen *before* it reads.
//! Nothing here judges a status: the log is written where facts are merged.

pub mod dispatcher;
pub mod feed;
pub mod overdue;
pub mod ports;
pub mod retry;
pub mod signature;
pub mod stream;
pub mod subscriptions;
#[cfg(test)]
mod tests;
