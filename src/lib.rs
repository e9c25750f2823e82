//! Preclear: a customs pre-clearance gateway for posts.
#![forbid(unsafe_code)]

pub mod cli;
pub mod domain;
pub mod error;
pub mod mapping;
