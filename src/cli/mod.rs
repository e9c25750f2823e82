//! The commands of `preclear` that are programs of their own.

pub mod certs;
pub mod check;
pub mod declare;
pub mod demo;
mod sink;
