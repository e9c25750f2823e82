//! The network: clients, TLS material, the dial guard, limits. The only user of `reqwest` and `rustls`.

pub mod guard;
pub mod random;
pub mod webhook_client;
