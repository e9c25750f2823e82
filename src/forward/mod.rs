//! The forwarder: carries stored messages to their brokers, one lane per broker.
//!
//! Why it exists: a broker has to get each message once, in order within a filing, within its permit,
//! whatever fails on either side. The store holds the truth; a lane only carries it out: look what is
//! due → breaker → permit → make the attempt durable → send the stored bytes → have the mapping read
//! the reply → settle.
//!
//! Invariants:
//! - nothing is sent whose attempt is not durable; what a crash leaves between the two is in doubt;
//! - one slow or broken broker touches no other: a lane shares nothing but the store, and its own broker's
//!   [`Line`](crate::net::line::Line) with whoever asks that broker for notices;
//! - waiting (for a permit, the breaker, an operator, a certificate) spends no attempt;
//! - every state in which a lane sends nothing has a word and a time ([`LaneStatus`]).
//!
//! Must not: render a message, think about customs, or call the callback station. Judgements are the
//! domain's ([`crate::domain::delivery`], [`crate::domain::retry`], [`crate::domain::breaker`],
//! [`crate::domain::permit`]).

mod attempt;
mod headers;
mod lane;
mod lanes;
mod ports;
mod reply;
mod status;
#[cfg(test)]
mod tests;

pub use lanes::{LaneError, Lanes};
pub use ports::{Mappings, Outbox, ReplyRules};
pub use status::{LaneState, LaneStatus};
