//! Personal data and secrets, wrapped so that they cannot leak by accident.
//!
//! `Debug` prints `***`; there is no `Display` and no `Serialize`. Whoever needs the value says
//! so with [`Masked::expose`], which is easy to find in a review. Used for names, addresses,
//! phones, e-mails, descriptions of contents, API keys and webhook secrets (promise P10).

use std::fmt;

/// A value that never shows itself in a log, an error, a metric or a trace.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked<T>(T);

impl<T> Masked<T> {
    /// Wraps a value that must not leak.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Only for what the data was given for: a message, a hash, a comparison.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Takes the value out of its wrapper.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> From<T> for Masked<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}
