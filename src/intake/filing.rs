//! A sound declaration to its filings: route, map now, and the exact bytes of the answer.

use bytes::Bytes;

use super::routing::Choice;
use super::{Filed, Intake, Sound, Submission};
use crate::catalog::{Channel, Made, NoVerdict, Work};
use crate::domain::answer::{Answer, FilingView};
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::fact::ReferenceKind;
use crate::domain::fault::{Fault, Faults};
use crate::domain::ids::{DeclarationId, FilingId};
use crate::domain::intent::Waits;
use crate::domain::merge::FilingState;
use crate::domain::time::Timestamp;
use crate::error::{ApiError, Code};
use crate::store::NewFiling;

/// A choice with its channel: what everything of a filing is made with.
#[derive(Clone, Copy)]
pub(super) struct Way<'w> {
    pub submission: &'w Submission,
    pub sound: &'w Sound,
    pub choice: &'w Choice<'w>,
    pub channel: &'w Channel,
    pub now: Timestamp,
}

/// What a way gives: messages to send, or the declaration that waits for its transport, and its faults.
pub(super) struct Tried {
    pub made: Vec<Made>,
    pub waits: bool,
    pub faults: Vec<Fault>,
}

impl Intake {
    /// Routes, maps and holds to the schemas; nothing is stored yet. `first` is the counter of the first local
    /// reference.
    pub(super) async fn file(&self, submission: &Submission, sound: &Sound, first: u16) -> Result<Filed, ApiError> {
        let now = self.clock.now();
        let choices = self.router.choose(&sound.declaration, &submission.post)?;
        let catalog = self.catalog.load_full();
        let mut warnings = sound.warnings.clone();
        let mut faults = Faults::default();
        let (mut filings, mut views) = (Vec::with_capacity(choices.len()), Vec::with_capacity(choices.len()));
        let mut counter = first;
        for choice in &choices {
            let Some(channel) = catalog.channel(choice.broker) else {
                return Err(ApiError::new(Code::MappingUnavailable).retry_after(30));
            };
            let tried = Way { submission, sound, choice, channel, now }.messages(&mut counter).await?;
            tried.faults.into_iter().for_each(|fault| faults.push_once(fault));
            warnings.extend(tried.made.iter().flat_map(|made| made.warnings.iter().cloned()));
            let filing = new_filing(choice, tried.made, tried.waits);
            views.push(view(&filing, choice, now));
            filings.push(filing);
        }
        if !faults.is_empty() {
            return Err(ApiError::new(Code::MappingFault).errors(faults.into_vec()));
        }
        let declaration_id = DeclarationId::new();
        let answer = Answer {
            declaration_id,
            item_id: sound.declaration.item_id,
            posted_on: sound.declaration.posted_on(),
            version: 1,
            conversation_id: submission.conversation_id,
            filings: views,
            warnings,
        };
        let warnings_json = serde_json::to_string(&answer.warnings).unwrap_or_else(|_| "[]".to_owned());
        Ok(Filed { declaration_id, received_at: now, filings, warnings_json, answer: Bytes::from(answer.to_json()) })
    }
}

impl Way<'_> {
    /// Makes the messages of the declaration. One that lacks what its consignment brings is tried all the same, and
    /// only what is then to come is no fault.
    ///
    /// # Errors
    /// When a schema gives no verdict: that is no fault of the sender.
    pub(super) async fn messages(self, counter: &mut u16) -> Result<Tried, ApiError> {
        let work = Work {
            kind: MessageKind::Declaration,
            declaration: &self.sound.declaration,
            previous: None,
            mrn: None,
            about: None,
            reason: None,
            post: self.submission.post.context(),
            broker: self.choice.broker,
            conversation_id: self.submission.conversation_id,
            now: self.now,
        };
        let (made, faults) = self.channel.make(&work, counter).await.map_err(no_verdict)?;
        let lacking = self.channel.lacking(&self.sound.declaration);
        if lacking.is_empty() {
            return Ok(Tried { made, waits: false, faults });
        }
        Ok(Tried { made: Vec::new(), waits: true, faults: without_late(faults, &lacking) })
    }
}

/// A validator without a verdict, as its client is told.
pub(super) fn no_verdict(_: NoVerdict) -> ApiError {
    ApiError::new(Code::MappingUnavailable).retry_after(30)
}

/// Faults but those of fields that are to come with the consignment. What a schema says of an incomplete message is
/// held against the complete one.
pub(super) fn without_late(faults: Vec<Fault>, lacking: &[String]) -> Vec<Fault> {
    let is_late = |fault: &Fault| fault.code == crate::domain::fault::MAPPING_SCHEMA || lacking.contains(&fault.pointer);
    faults.into_iter().filter(|fault| !is_late(fault)).collect()
}

fn new_filing(choice: &Choice<'_>, made: Vec<Made>, waits: bool) -> NewFiling {
    NewFiling {
        filing_id: FilingId::new(),
        track: choice.track,
        broker: choice.broker.to_owned(),
        rule: choice.rule,
        why: choice.why.to_owned(),
        messages: made.into_iter().map(|made| made.message).collect(),
        waits,
    }
}

fn view(filing: &NewFiling, choice: &Choice<'_>, now: Timestamp) -> FilingView {
    FilingView {
        filing_id: filing.filing_id,
        track: choice.track,
        broker: choice.broker.to_owned(),
        rule: choice.rule,
        why: choice.why.to_owned(),
        delivery: if filing.waits { DeliveryState::Waiting } else { DeliveryState::Queued },
        reason: filing.waits.then(|| Waits::Transport.as_str().to_owned()),
        state: FilingState::new(choice.track, now),
        references: filing.messages.iter().map(|message| (ReferenceKind::Lrn, message.lrn.clone())).collect(),
    }
}
