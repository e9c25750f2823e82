//! What a reply says, by the rules of the mapping.
//!
//! A 2xx counts as the mapping reads it: some brokers answer 200 and did nothing. The body of a refusal
//! is read too, for its reasons; whatever status it claims is dropped, since a technical refusal is
//! never a customs decision.

use crate::domain::delivery::ReplyVerdict;
use crate::domain::fact::{Fact, ReferenceKind};
use crate::net::client::Reply;

use super::ports::ReplyRules;

/// Longest reference that is believed.
const MAX_REFERENCE: usize = 255;

/// A reply read.
#[derive(Debug)]
pub(super) struct Reading {
    /// What it says of the message; counts for 2xx only.
    pub(super) verdict: ReplyVerdict,
    /// References that it gives to the message.
    pub(super) references: Vec<(ReferenceKind, String)>,
    /// Facts that it tells.
    pub(super) facts: Vec<Fact>,
}

/// Reads a reply.
pub(super) fn read(reply: &Reply, rules: &dyn ReplyRules) -> Reading {
    let facts = if reply.complete && !reply.body.is_empty() { rules.read(&reply.body) } else { None };
    if !(200..=299).contains(&reply.code) {
        let facts = facts.unwrap_or_default().into_iter().map(refusal).collect();
        return Reading { verdict: ReplyVerdict::Unreadable, references: Vec::new(), facts };
    }
    let references = references(reply, rules, facts.as_deref().unwrap_or_default());
    let verdict = match &facts {
        _ if !reply.complete => ReplyVerdict::Incomplete,
        Some(facts) if facts.iter().any(|fact| fact.refused) => ReplyVerdict::Refused,
        Some(_) => ReplyVerdict::Taken,
        None if reply.body.is_empty() && rules.empty_reply_is_delivered() => ReplyVerdict::Taken,
        None => ReplyVerdict::Unreadable,
    };
    Reading { verdict, references, facts: facts.unwrap_or_default() }
}

/// A fact in the body of a refusal: only its reasons count.
fn refusal(fact: Fact) -> Fact {
    Fact { track: fact.track, reasons: fact.reasons, code: fact.code, refused: true, ..Fact::default() }
}

fn references(reply: &Reply, rules: &dyn ReplyRules, facts: &[Fact]) -> Vec<(ReferenceKind, String)> {
    let mut found: Vec<(ReferenceKind, String)> = Vec::new();
    let mut add = |kind, value: Option<&str>| {
        let value = value.map(str::trim).filter(|value| !value.is_empty() && value.len() <= MAX_REFERENCE);
        if let Some(value) = value
            && !found.iter().any(|(known, other)| *known == kind && other == value)
        {
            found.push((kind, value.to_owned()));
        }
    };
    add(ReferenceKind::Conversation, rules.conversation_header().and_then(|name| reply.header(name)));
    for fact in facts {
        add(ReferenceKind::Conversation, fact.conversation.as_deref());
        add(ReferenceKind::Job, fact.job.as_deref());
        add(ReferenceKind::Mrn, fact.mrn.as_deref());
    }
    found
}
