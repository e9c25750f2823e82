//! Preclear: a customs pre-clearance gateway for posts. The road of one item, module by module:
//!
//! 1. [`http`] takes the request of a post and bounds it; [`intake`] reads, checks, routes and maps it.
//! 2. [`domain`] says what is sound; [`mapping`] makes the broker's bytes; [`catalog`] knows which mapping and settings a broker has.
//! 3. [`store`] makes declaration, bytes, outbox row and answer durable in one commit.
//! 4. [`forward`] sends the stored bytes over [`net`], within breaker and permit, and settles each attempt.
//!    What cannot be mapped at once ([`domain::intent`]) is rendered by [`prepare`] when it is known what it becomes.
//! 5. [`callback`] stores what brokers say, then reads it by the mapping.
//! 6. The store merges facts by the domain's rules and appends events; [`tracking`] tells them to the post.
//! 7. [`app`] builds all of it from the [`config`], binds the listeners and drains on SIGTERM.
#![forbid(unsafe_code)]

pub mod app;
pub mod callback;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod fault_points;
pub mod forward;
pub mod http;
pub mod intake;
pub mod mapping;
pub mod metrics;
pub mod net;
pub mod pki;
pub mod prepare;
pub mod sandbox;
pub mod store;
pub mod tracking;
