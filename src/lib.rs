//! Preclear: a customs pre-clearance gateway for posts.
#![forbid(unsafe_code)]

pub mod config;
pub mod domain;
pub mod error;
pub mod forward;
pub mod net;
pub mod store;
