//! Which EMSEVT event a status stands for: a proposal, never an emission. The post that holds the
//! item sends it, for only it has the item in hand.
//!
//! Source: the table of use in the postal notes (EMSEVT V3 event names; rules of the PRIME group:
//! a hold without a retention reason does not stop the clock). Codes of retention reasons are not
//! public, so they are each post's configuration; until then our own word stands there, which
//! nobody can mistake for a UPU code.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clearance::ClearanceStatus as C;
use super::fact::{Status, Track};
use super::security::SecurityStatus as S;

/// UPU retention reason code of each of our words, as a post configured them.
pub type RetentionReasons = BTreeMap<String, String>;

/// A proposed event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// EMSEVT V3 code.
    pub event: &'static str,
    /// `origin` or `destination`.
    pub leg: &'static str,
    /// Only true after this event.
    pub after: Option<&'static str>,
    /// Never null on EME: the post's UPU code, else our word.
    pub retention_reason: Option<String>,
}

/// Proposals for a status. `arrived`: the item's EMD was told to us.
pub fn propose(track: Track, status: Status, arrived: bool, reasons: &RetentionReasons) -> Vec<Proposal> {
    let reason = |word: &str| Some(reasons.get(word).cloned().unwrap_or_else(|| word.to_owned()));
    let destination =
        |event, retention_reason| Proposal { event, leg: "destination", after: (!arrived).then_some("EMD"), retention_reason };
    let origin = |event, after, retention_reason| Proposal { event, leg: "origin", after, retention_reason };
    match (track, status) {
        (Track::Security, Status::Security(S::DoNotLoad)) => {
            vec![origin("EXB", None, reason("inspection")), origin("EXX", Some("EXB"), None)]
        }
        (Track::Export, Status::Clearance(status)) => match status {
            C::DocumentsRequired => vec![origin("EXB", None, reason("documents_missing"))],
            C::DutiesDue => vec![origin("EXB", None, reason("duty_unpaid"))],
            C::Held => vec![origin("EXB", None, reason("inspection"))],
            C::Detained | C::Seized => vec![origin("EXB", None, reason("other"))],
            C::Rejected => vec![origin("EXB", None, reason("other")), origin("EXX", Some("EXB"), None)],
            C::Released | C::Cleared => vec![origin("EXC", None, None)],
            _ => Vec::new(),
        },
        (Track::Clearance, Status::Clearance(status)) => match status {
            C::DocumentsRequired => vec![destination("EME", reason("documents_missing"))],
            C::DutiesDue => vec![destination("EME", reason("duty_unpaid"))],
            C::Held => vec![destination("EME", reason("inspection"))],
            C::Detained => vec![destination("EME", reason("other"))],
            C::Released | C::Cleared if arrived => {
                vec![destination("EDC", None), Proposal { event: "EMF", leg: "destination", after: Some("EDC"), retention_reason: None }]
            }
            // Cleared before it came: it never goes to customs, so there is nothing to return from.
            C::Released | C::Cleared => vec![destination("EMF", None)],
            C::Returned => vec![destination("EDX", None)],
            C::Seized | C::Destroyed => vec![destination("EDX", reason("other"))],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
