//! What one kind of message is held to: the schema of its root, and those of the documents inside of it.

use bytes::Bytes;

use super::inside::{self, Piece};
use super::{MAX_VIOLATIONS, NoVerdict, Schema, Violation};

/// The schemas of the messages of one template, or of what the broker sends.
#[derive(Debug, Clone, Default)]
pub struct Judge {
    /// The schema of the whole.
    pub(super) outer: Option<Schema>,
    /// Names of elements, without prefix, and the schemas of the documents that they are.
    pub(super) inside: Vec<(String, Schema)>,
    /// Whether there may be documents that no schema knows: a broker has more kinds of answers than schemas.
    pub(super) lenient: bool,
}

/// A document to validate: the whole, or a piece of it.
struct Part<'j> {
    schema: &'j Schema,
    piece: Option<Piece>,
}

impl Judge {
    /// What a message breaks, in the order of the message; `None` when no schema knows it. Blocks; not from async code.
    ///
    /// # Errors
    /// When a validator fails.
    pub fn validate(&self, message: &[u8]) -> Result<Option<Vec<Violation>>, NoVerdict> {
        let (parts, mut verdict) = self.parts(message);
        for part in parts {
            let found = match &part.piece {
                None => part.schema.validate(message)?,
                Some(piece) => part.schema.validate(&piece.document(message))?,
            };
            verdict.add(part, found);
        }
        Ok(verdict.finish())
    }

    /// The same for async code: the validators work on threads of their own.
    ///
    /// # Errors
    /// When a validator fails.
    pub async fn check(&self, message: Bytes) -> Result<Option<Vec<Violation>>, NoVerdict> {
        let (parts, mut verdict) = self.parts(&message);
        for part in parts {
            let document = part.piece.as_ref().map_or_else(|| message.clone(), |piece| piece.document(&message).into());
            let found = part.schema.check(document).await?;
            verdict.add(part, found);
        }
        Ok(verdict.finish())
    }

    fn parts(&self, message: &[u8]) -> (Vec<Part<'_>>, Verdict) {
        let mut verdict = Verdict { found: Vec::new(), judged: false, lenient: self.lenient };
        let mut parts: Vec<Part<'_>> = self.outer.iter().map(|schema| Part { schema, piece: None }).collect();
        if self.inside.is_empty() {
            return (parts, verdict);
        }
        let of = |name: &str| self.inside.iter().find(|(known, _)| known == name).map(|(_, schema)| schema);
        match inside::find(message, |name| of(name).is_some()) {
            // Ours always has one: without it an envelope would hide that nothing was looked at.
            Some(found) if found.pieces.is_empty() && !self.lenient => {
                let names: Vec<&str> = self.inside.iter().map(|(name, _)| name.as_str()).collect();
                let detail = format!("an element is missing inside: {}", names.join(" or "));
                verdict.judge(Violation { rule: "schemas.inside", path: found.root, offset: found.at, detail });
            }
            Some(found) => {
                let part = |piece: Piece| of(&piece.name).map(|schema| Part { schema, piece: Some(piece) });
                parts.extend(found.pieces.into_iter().filter_map(part));
            }
            None if parts.is_empty() => {
                let detail = "well-formed XML".to_owned();
                verdict.judge(Violation { rule: "not-well-formed", path: String::new(), offset: 0, detail });
            }
            None => {}
        }
        (parts, verdict)
    }
}

struct Verdict {
    found: Vec<Violation>,
    judged: bool,
    lenient: bool,
}

impl Verdict {
    fn judge(&mut self, violation: Violation) {
        self.judged = true;
        // The schema of the whole may have looked into a document inside, too.
        let known = |known: &Violation| (known.offset, known.rule, &known.detail) == (violation.offset, violation.rule, &violation.detail);
        if !self.found.iter().any(known) {
            self.found.push(violation);
        }
    }

    fn add(&mut self, part: Part<'_>, found: Vec<Violation>) {
        if self.lenient && part.piece.is_none() && found.iter().any(Violation::is_unknown_root) {
            return;
        }
        self.judged = true;
        for violation in found {
            self.judge(match &part.piece {
                Some(piece) => piece.in_whole(violation),
                None => violation,
            });
        }
    }

    fn finish(mut self) -> Option<Vec<Violation>> {
        self.found.sort_by_key(|violation| violation.offset);
        self.found.truncate(MAX_VIOLATIONS);
        self.judged.then_some(self.found)
    }
}
