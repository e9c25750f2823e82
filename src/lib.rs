//! Preclear: a customs pre-clearance gateway for posts.
#![forbid(unsafe_code)]

pub mod callback;
pub mod config;
pub mod domain;
pub mod error;
pub mod metrics;
pub mod net;
pub mod store;
pub mod tracking;
