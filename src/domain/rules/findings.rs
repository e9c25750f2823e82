//! Where a rule stands and where it writes down what it found.
//!
//! A sound declaration costs nothing here: a place is a chain of borrowed steps on the stack, and
//! only a fault turns it into a pointer. What was told about the shape of a place is not told again
//! in other words, and a rule that leans on a second field is silent when that field could not be
//! read: its value is then a default, not the sender's.

use std::borrow::Cow;

use crate::domain::fault::{Fault, Faults, MAX_FAULTS};

/// A place in the declaration.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    /// The whole declaration.
    Root,
    /// A member of an object.
    Name(&'a At<'a>, &'static str),
    /// An entry of a list, from 0.
    Index(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    /// A member of this place.
    pub(super) const fn name(&'a self, name: &'static str) -> At<'a> {
        At::Name(self, name)
    }

    /// An entry of this place.
    pub(super) const fn index(&'a self, index: usize) -> At<'a> {
        At::Index(self, index)
    }

    /// The JSON pointer; our names hold neither `~` nor `/`.
    fn pointer(&self) -> String {
        match self {
            At::Root => String::new(),
            At::Name(parent, name) => parent.pointer() + "/" + name,
            At::Index(parent, index) => parent.pointer() + "/" + &index.to_string(),
        }
    }
}

/// What the rules found so far, beside what was found in shape.
pub(super) struct Findings<'f> {
    faults: &'f mut Faults,
    warnings: &'f mut Vec<Fault>,
    /// The first so many faults are of shape.
    shape: usize,
}

impl<'f> Findings<'f> {
    /// Goes on after the shape was read.
    pub(super) fn after_shape(faults: &'f mut Faults, warnings: &'f mut Vec<Fault>) -> Self {
        let shape = faults.as_slice().len();
        Self { faults, warnings, shape }
    }

    /// Whether a place was read without a fault of shape, there or above it.
    pub(super) fn was_read(&self, at: At<'_>) -> bool {
        self.shape == 0 || !self.is_covered(&at.pointer())
    }

    fn is_covered(&self, pointer: &str) -> bool {
        let above =
            |fault: &Fault| pointer.strip_prefix(fault.pointer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.faults.as_slice()[..self.shape].iter().any(above)
    }

    /// Adds a fault unless the place could not even be read.
    pub(super) fn fault(&mut self, at: At<'_>, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        let pointer = at.pointer();
        if !self.is_covered(&pointer) {
            self.faults.push(Fault::new(pointer, code, detail));
        }
    }

    /// Adds a fault that rests on the value of another place too.
    pub(super) fn fault_because(&mut self, other: At<'_>, at: At<'_>, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        if self.was_read(other) {
            self.fault(at, code, detail);
        }
    }

    /// Adds a warning; bounded like the faults.
    pub(super) fn warn(&mut self, at: At<'_>, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        if self.warnings.len() < MAX_FAULTS && self.was_read(at) {
            self.warnings.push(Fault::new(at.pointer(), code, detail));
        }
    }
}
