//! The simulated broker's own clock.
//!
//! Why it exists: the broker stands for another company's machine, so it must not share the gateway's clock (which tests
//! set as they like). This is the only place of the sandbox that reads the time.

use jiff::Timestamp;

/// Now, by the system's clock.
#[allow(clippy::disallowed_methods)] // another machine's clock, see above
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
