//! Preclear: a customs pre-clearance gateway for posts.
#![forbid(unsafe_code)]

pub mod domain;
pub mod error;
pub mod mapping;
