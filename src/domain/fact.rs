//! What a notice says, in our words: the output of a mapping's reading rules.
//!
//! One notice can hold several facts, a fact may carry no status (a note), and reading decides
//! nothing: whether a fact changes a status is for the merge of its track.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::clearance::ClearanceStatus;
use super::security::SecurityStatus;
use super::time::Timestamp;
use crate::choice;

choice! {
    /// The three tracks that a declaration can be filed on.
    pub enum Track {
        /// Customs clearance.
        Clearance = "clearance",
        /// Pre-loading security.
        Security = "security",
        /// Export.
        Export = "export",
    }
}
choice! {
    /// What customs can wait for beside the status.
    pub enum RequirementKind {
        /// Documents.
        Documents = "documents",
        /// An examination.
        Examination = "examination",
        /// A payment.
        Payment = "payment",
        /// An answer to a question.
        Query = "query",
        /// Another agency's decision.
        OtherAgency = "other_agency",
    }
}
choice! {
    /// How final a charge is.
    pub enum ChargeStage {
        /// An estimate.
        Indicative = "indicative",
        /// Reserved on an account.
        Reserved = "reserved",
        /// To be paid by somebody.
        Payable = "payable",
        /// Final.
        Final = "final",
    }
}
choice! {
    /// Which additional message a fact answers.
    pub enum Answers {
        /// Whichever is unanswered.
        Any = "any",
        /// An amendment.
        Amendment = "amendment",
        /// A cancellation.
        Cancellation = "cancellation",
        /// A presentation.
        Presentation = "presentation",
    }
}
choice! {
    /// How an additional message was answered.
    pub enum AnswerResult {
        /// Taken.
        Accepted = "accepted",
        /// Refused.
        Rejected = "rejected",
    }
}
choice! {
    /// Kinds of references, unique per broker and kind.
    pub enum ReferenceKind {
        /// The broker's conversation id of one message.
        Conversation = "conversation",
        /// The authority's reference.
        Mrn = "mrn",
        /// Our reference.
        Lrn = "lrn",
        /// The broker's job number.
        Job = "job",
    }
}

/// A status on one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// On the clearance or export track.
    Clearance(ClearanceStatus),
    /// On the security track.
    Security(SecurityStatus),
}

impl Status {
    /// The status of a word on a track.
    pub fn parse(track: Track, word: &str) -> Option<Self> {
        match track {
            Track::Security => SecurityStatus::parse(word).map(Self::Security),
            Track::Clearance | Track::Export => ClearanceStatus::parse(word).map(Self::Clearance),
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clearance(status) => status.as_str(),
            Self::Security(status) => status.as_str(),
        }
    }
}

/// A reason that customs or the broker gave. `text` is foreign: it goes to the post, never to a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The authority's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The place it points at, in the foreign format's own notation or as our field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// An amount that customs named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Tax type, in the authority's code.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Amount.
    pub amount: Decimal,
    /// ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Who pays, when it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// How final.
    pub stage: ChargeStage,
}

/// A document that customs wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRequest {
    /// The authority's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The authority's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// What customs waits for beside the status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What.
    pub kind: RequirementKind,
    /// The authority's code.
    #[serde(default)]
    pub code: Option<String>,
    /// Lines concerned, from 1; none means all.
    #[serde(default)]
    pub lines: Vec<u32>,
    /// Since when; set by the merge.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Until when.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// Who has to act.
    #[serde(default)]
    pub action_by: Option<String>,
}

/// One fact of a notice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Track it concerns.
    pub track: Track,
    /// Status it says; null for a note.
    pub status: Option<Status>,
    /// Our reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lrn: Option<String>,
    /// The authority's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mrn: Option<String>,
    /// The broker's conversation id of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The broker's job number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The foreign code, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The code has no row in the mapping: recorded, counted, visible; never a failure or success.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown_code: bool,
    /// The authority's issue time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// Reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Charges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// Documents wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentRequest>,
    /// Until when something has to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Requirements that begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Requirement>,
    /// Requirements that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closes: Vec<RequirementKind>,
    /// The additional message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// How it answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AnswerResult>,
    /// Takes an earlier release back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revocation: bool,
    /// A technical refusal of the message, not a customs decision.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refused: bool,
    /// Whether the broker says that it has the message, where an answer to a query says that and no status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<bool>,
    /// The mapping's own remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !*value
}
impl Fact {
    /// Whether customs rejects something by it: the declaration, or an additional message.
    pub fn is_rejection(&self) -> bool {
        matches!(self.status, Some(Status::Clearance(ClearanceStatus::Rejected) | Status::Security(SecurityStatus::Rejected)))
    }
}
