//! Preclear: customs pre-clearance gateway for posts.
#![forbid(unsafe_code)]

pub mod cli;
pub mod pki;
pub mod sandbox;
