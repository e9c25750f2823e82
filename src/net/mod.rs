//! The network's edge: TLS material, listeners' TLS, and the client that speaks to brokers.
//!
//! Why it exists: what may be trusted, and what left us on the wire, must be decided in one place. This
//! is the only user of reqwest and rustls.
//!
//! Invariants: nothing is sent without the configured client certificate and the configured proof beside it; every read is bounded in
//! bytes and time; no text of a peer, of a key or of a library leaves this module.
//!
//! Must not: know what a message means, retry, or log.

pub mod auth;
pub mod client;
pub mod guard;
pub mod line;
pub mod permits;
pub mod random;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
mod token;
pub mod webhook_client;
