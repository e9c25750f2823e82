//! Data for a reader who may go away (`preclear … | head`): whoever closed the pipe has read enough, and that is no
//! error of the command.

use std::io::{ErrorKind, Result, Write};

/// Writes until the reader goes away, and nothing after.
pub(super) struct Pipe<'w> {
    out: &'w mut dyn Write,
    closed: bool,
}

impl<'w> Pipe<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { out, closed: false }
    }

    fn unless_closed<T>(&mut self, done: Result<T>, instead: T) -> Result<T> {
        match done {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let done = self.out.write(bytes);
        self.unless_closed(done, bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let done = self.out.flush();
        self.unless_closed(done, ())
    }
}
