//! Steps of a program while they are made.

use super::code::Code;
use super::program::{Op, Piece, Place};

/// Steps being made; fixed bytes that follow one another become one step.
#[derive(Default)]
pub(super) struct Block {
    ops: Vec<Op>,
    pub(super) bytes: Vec<u8>,
}

impl Block {
    pub(super) fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn push(&mut self, op: Op) {
        if !self.bytes.is_empty() {
            self.ops.push(Op::Bytes(std::mem::take(&mut self.bytes).into()));
        }
        self.ops.push(op);
    }

    /// Literals and values, each value as a step of its own.
    pub(super) fn pieces(&mut self, pieces: Vec<Piece>, step: fn(Code, Box<Place>) -> Op) {
        for piece in pieces {
            match piece {
                Piece::Literal(bytes) => self.bytes.extend_from_slice(&bytes),
                Piece::Value(code, place) => self.push(step(code, place)),
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<Op> {
        if !self.bytes.is_empty() {
            self.ops.push(Op::Bytes(self.bytes.into()));
        }
        self.ops
    }
}
