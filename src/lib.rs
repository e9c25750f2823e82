//! Preclear: a customs pre-clearance gateway for posts.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod net;
pub mod pki;
pub mod sandbox;
pub mod store;
