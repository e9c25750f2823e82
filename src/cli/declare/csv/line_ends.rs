//! Line ends made alike, so that rows can be counted.
//!
//! Why it exists: the CSV reader tells where it stood before the line end of the row before, which is one line off after CR LF
//! or a blank line. With LF only, and one at the very end, the line of a row follows from where the reader stands after it.

use std::io::{self, Read};

/// Passes bytes on without a CR that stands before LF, and with a LF at the end.
pub(super) struct LineEnds<R> {
    inner: R,
    /// A CR that was read and not yet passed on.
    held: bool,
    last: u8,
    ended: bool,
}

impl<R> LineEnds<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, held: false, last: b'\n', ended: false }
    }
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Room for what was held back and for the LF at the end.
        if out.len() < 2 || self.ended {
            return Ok(0);
        }
        loop {
            let mut raw = vec![0; (out.len() - 1).min(64 << 10)];
            let read = self.inner.read(&mut raw)?;
            let mut written = 0;
            let mut pass = |byte: u8, last: &mut u8| {
                out[written] = byte;
                *last = byte;
                written += 1;
            };
            for byte in raw.iter().copied().take(read) {
                if std::mem::take(&mut self.held) && byte != b'\n' {
                    pass(b'\r', &mut self.last);
                }
                if byte == b'\r' { self.held = true } else { pass(byte, &mut self.last) }
            }
            if read == 0 {
                self.ended = true;
                self.held = false;
                if self.last != b'\n' {
                    pass(b'\n', &mut self.last);
                }
                return Ok(written);
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_alike_whatever_the_pieces() {
        for (text, expected) in [("a\r\nb\rc\r\n", "a\nb\rc\n"), ("a\n\r\r\n", "a\n\r\n"), ("a", "a\n"), ("a\r", "a\n"), ("", "")] {
            for size in 2..6 {
                let (mut reader, mut out, mut piece) = (LineEnds::new(text.as_bytes()), Vec::new(), vec![0; size]);
                while let Ok(read @ 1..) = reader.read(&mut piece) {
                    out.extend_from_slice(&piece[..read]);
                }
                assert_eq!(String::from_utf8_lossy(&out), expected, "{text:?} in pieces of {size}");
            }
        }
    }
}
