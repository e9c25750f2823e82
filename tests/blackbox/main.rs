//! The judge: starts the real binary as an operator would and knows nothing of it but the published interfaces.
//!
//! Everything that stands on the other side of the gateway is written here a second time, on purpose: the certificates, the
//! broker, the webhook sink, the notices, the check digit, the reading of metrics. A fault that the gateway's own code makes twice
//! (when it writes and when it reads) would pass unseen otherwise. So nothing of the library may be imported here.
//!
//! Each test owns its process, its folder and its broker, waits with a deadline on what can be seen from outside, and never
//! sleeps for luck. Folders of failed tests are kept and named in the output; `PRECLEAR_SEED` repeats a random run.
#![forbid(unsafe_code)]
// A test says by panicking what it missed, and it needs the wall clock for posting and issue times.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod batch;
mod callbacks;
mod callbacks_unreadable;
mod changes;
mod crash;
mod dead_letters;
mod delivery;
mod disk;
mod drain;
mod evidence;
#[cfg(feature = "fault-points")]
mod fault_points;
mod faults;
mod feed;
mod idempotency;
mod intake;
mod judge;
mod mappings;
mod operations;
mod overdue;
mod polling;
mod privacy;
mod proof;
mod rates;
mod retry;
mod start;
mod tenants;
mod tracking;
mod webhooks;
