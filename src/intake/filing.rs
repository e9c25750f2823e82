//! A sound declaration to its filings: route, map now, and the exact bytes of the answer.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::routing::Choice;
use super::{Filed, Intake, Sound, Submission};
use crate::catalog::Channel;
use crate::domain::answer::{Answer, FilingView};
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::fact::ReferenceKind;
use crate::domain::fault::{self, Fault, Faults};
use crate::domain::ids::{self, ConversationId, DeclarationId, FilingId, MessageId};
use crate::domain::merge::FilingState;
use crate::domain::time::Timestamp;
use crate::error::{ApiError, Code};
use crate::mapping::{Conversion, Input, MessageContext};
use crate::store::{NewFiling, NewMessage};

/// What messages are rendered with, besides the declaration.
pub(super) struct Occasion {
    /// Counter of the next LRN.
    pub counter: u16,
    /// The request's conversation.
    pub conversation_id: ConversationId,
    /// Now.
    pub now: Timestamp,
}

/// A message before its commit.
pub(super) struct Made {
    /// Name of its template.
    pub template: String,
    /// Its id.
    pub message_id: MessageId,
    /// Our reference.
    pub lrn: String,
    /// The exact bytes.
    pub body: Bytes,
    /// What was shortened.
    pub warnings: Vec<Fault>,
    /// The rates that were used.
    pub conversions: Vec<Conversion>,
}

/// A choice with its channel: what everything of a filing is made with.
#[derive(Clone, Copy)]
pub(super) struct Way<'w> {
    pub submission: &'w Submission,
    pub sound: &'w Sound,
    pub choice: &'w Choice<'w>,
    pub channel: &'w Channel,
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
        let mut occasion = Occasion { counter: first, conversation_id: submission.conversation_id, now };
        for choice in &choices {
            let Some(channel) = catalog.channel(choice.broker) else {
                return Err(ApiError::new(Code::MappingUnavailable).retry_after(30));
            };
            let (made, found) = Way { submission, sound, choice, channel }.messages(&mut occasion).await?;
            found.into_iter().for_each(|fault| faults.push_once(fault));
            warnings.extend(made.iter().flat_map(|made| made.warnings.iter().cloned()));
            let filing = new_filing(choice, channel, made);
            views.push(queued_view(&filing, choice, now));
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
    /// Makes the messages in the order in which they are sent, each with its own id and reference; all faults of
    /// all of them.
    ///
    /// # Errors
    /// When a schema gives no verdict: that is no fault of the sender.
    pub(super) async fn messages(self, occasion: &mut Occasion) -> Result<(Vec<Made>, Vec<Fault>), ApiError> {
        let (mut messages, mut faults) = (Vec::new(), Vec::new());
        let mapping = &self.channel.mapping;
        for template in mapping.messages(MessageKind::Declaration) {
            let Some(lrn) = ids::lrn(self.sound.declaration.item_id, self.sound.declaration.posted_on(), occasion.counter) else {
                faults.push(Fault::new("", fault::OUT_OF_RANGE, "no local reference number is left for this item"));
                break;
            };
            let message_id = MessageId::new();
            let input = self.input(&lrn, message_id, occasion);
            let rendered = match mapping.render_message(template, &input) {
                Ok(Some(rendered)) => rendered,
                Ok(None) => continue,
                Err(found) => {
                    faults.extend(found);
                    continue;
                }
            };
            let body = Bytes::from(rendered.bytes);
            faults.extend(super::schema::faults(self.channel, template, &input, body.clone()).await?);
            occasion.counter = occasion.counter.saturating_add(1);
            let (warnings, conversions) = (rendered.warnings, rendered.conversions);
            messages.push(Made { template: template.to_owned(), message_id, lrn, body, warnings, conversions });
        }
        if messages.is_empty() && faults.is_empty() {
            faults.push(Fault::new("", fault::MAPPING_VALUE, "the broker's format has no message for this declaration"));
        }
        Ok((messages, faults))
    }

    fn input<'i>(&'i self, lrn: &'i str, id: MessageId, occasion: &Occasion) -> Input<'i> {
        Input {
            declaration: &self.sound.declaration,
            settings: &self.channel.settings,
            message: MessageContext { lrn, id, conversation_id: occasion.conversation_id, created_at: occasion.now },
            mrn: None,
            reason: None,
            previous: None,
            post: self.submission.post.context(),
            broker: self.choice.broker,
        }
    }
}

fn new_filing(choice: &Choice<'_>, channel: &Channel, made: Vec<Made>) -> NewFiling {
    let message = |made: Made| NewMessage {
        message_id: made.message_id,
        kind: MessageKind::Declaration,
        content_type: channel.mapping.manifest.transport.content_type.clone(),
        body_hash: Sha256::digest(&made.body).into(),
        body: made.body,
        mapping: channel.mapping.name.clone(),
        mapping_version: channel.mapping.version.clone(),
        conversions: (!made.conversions.is_empty()).then(|| serde_json::to_string(&made.conversions).ok()).flatten(),
        lrn: made.lrn,
    };
    NewFiling {
        filing_id: FilingId::new(),
        track: choice.track,
        broker: choice.broker.to_owned(),
        rule: choice.rule,
        why: choice.why.to_owned(),
        messages: made.into_iter().map(message).collect(),
    }
}

fn queued_view(filing: &NewFiling, choice: &Choice<'_>, now: Timestamp) -> FilingView {
    FilingView {
        filing_id: filing.filing_id,
        track: choice.track,
        broker: choice.broker.to_owned(),
        rule: choice.rule,
        why: choice.why.to_owned(),
        delivery: DeliveryState::Queued,
        reason: None,
        state: FilingState::new(choice.track, now),
        references: filing.messages.iter().map(|message| (ReferenceKind::Lrn, message.lrn.clone())).collect(),
    }
}
