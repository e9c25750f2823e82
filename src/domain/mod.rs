//! The pure heart: what a declaration is, what makes it sound, what its states mean.
//!
//! Nothing here reads a clock, a file, a socket or a database, and nothing here imports another
//! module of this crate. Policy (merging notices, retry delays, the breaker, which tracking event
//! a status stands for) is functions of values, so that tables can test it; the stations around
//! it only carry values in and effects out.

pub mod answer;
pub mod audit;
pub mod breaker;
pub mod change;
pub mod clearance;
pub mod codes;
pub mod consignment;
pub mod declaration;
pub mod delivery;
pub mod emsevt;
pub mod event;
pub mod fact;
pub mod fault;
pub mod ids;
pub mod intent;
pub mod json;
pub mod masked;
pub mod merge;
pub mod message;
pub mod operate;
pub mod permit;
pub mod record;
pub mod retry;
pub mod rules;
pub mod security;
pub mod text;
pub mod time;
