//! The commands of `preclear` that are programs of their own.

pub mod certs;
pub mod declare;
