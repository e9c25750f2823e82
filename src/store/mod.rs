//! The store: one module of intentions; the only user of the database driver.

mod types;

pub use types::*;
