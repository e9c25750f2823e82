//! A sound declaration to its filings: route, map now, and the exact bytes of the answer.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::routing::Choice;
use super::{Filed, Intake, Sound, Submission};
use crate::catalog::Channel;
use crate::domain::answer::{Answer, FilingView};
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::fact::ReferenceKind;
use crate::domain::fault::Fault;
use crate::domain::ids::{self, ConversationId, DeclarationId, FilingId, MessageId};
use crate::domain::merge::FilingState;
use crate::domain::time::Timestamp;
use crate::error::{ApiError, Code};
use crate::mapping::{Conversion, Input, MessageContext, Rendered};
use crate::store::{NewFiling, NewMessage};

/// What a message is rendered with, besides the declaration.
pub(super) struct Occasion {
    /// Counter of the LRN.
    pub counter: u16,
    /// Its id.
    pub message_id: MessageId,
    /// The request's conversation.
    pub conversation_id: ConversationId,
    /// Now.
    pub now: Timestamp,
}

impl Intake {
    /// Routes and maps; nothing is stored yet. `first` is the counter of the first local reference.
    pub(super) fn file(&self, submission: &Submission, sound: &Sound, first: u16) -> Result<Filed, ApiError> {
        let now = self.clock.now();
        let choices = self.router.choose(&sound.declaration, &submission.post)?;
        let catalog = self.catalog.load();
        let mut warnings = sound.warnings.clone();
        let mut faults = Vec::new();
        let (mut filings, mut views) = (Vec::with_capacity(choices.len()), Vec::with_capacity(choices.len()));
        for (counter, choice) in (first..).zip(&choices) {
            let Some(channel) = catalog.channel(choice.broker) else {
                return Err(ApiError::new(Code::MappingUnavailable).retry_after(30));
            };
            let occasion = Occasion { counter, message_id: MessageId::new(), conversation_id: submission.conversation_id, now };
            match render(channel, submission, sound, choice, &occasion) {
                Ok((rendered, lrn)) => {
                    warnings.extend(rendered.warnings);
                    let filing = new_filing(choice, channel, rendered.bytes, &rendered.conversions, lrn, occasion.message_id);
                    views.push(queued_view(&filing, choice, now));
                    filings.push(filing);
                }
                Err(found) => faults.extend(found),
            }
        }
        if !faults.is_empty() {
            return Err(ApiError::new(Code::MappingFault).errors(faults));
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

/// Renders the message of one choice.
pub(super) fn render(
    channel: &Channel,
    submission: &Submission,
    sound: &Sound,
    choice: &Choice<'_>,
    occasion: &Occasion,
) -> Result<(Rendered, String), Vec<Fault>> {
    let declaration = &sound.declaration;
    let Some(lrn) = ids::lrn(declaration.item_id, declaration.posted_on(), occasion.counter) else {
        return Err(vec![Fault::new("", crate::domain::fault::OUT_OF_RANGE, "no local reference number is left for this item")]);
    };
    let input = Input {
        declaration,
        settings: &channel.settings,
        message: MessageContext { lrn: &lrn, id: occasion.message_id, conversation_id: occasion.conversation_id, created_at: occasion.now },
        mrn: None,
        reason: None,
        previous: None,
        post: submission.post.context(),
        broker: choice.broker,
    };
    let rendered = channel.mapping.render(MessageKind::Declaration, &input)?;
    Ok((rendered, lrn))
}

fn new_filing(
    choice: &Choice<'_>,
    channel: &Channel,
    bytes: Vec<u8>,
    conversions: &[Conversion],
    lrn: String,
    message_id: MessageId,
) -> NewFiling {
    let message = NewMessage {
        message_id,
        kind: MessageKind::Declaration,
        content_type: channel.mapping.manifest.transport.content_type.clone(),
        body_hash: Sha256::digest(&bytes).into(),
        body: Bytes::from(bytes),
        mapping: channel.mapping.name.clone(),
        mapping_version: channel.mapping.version.clone(),
        lrn,
        conversions: (!conversions.is_empty()).then(|| serde_json::to_string(conversions).ok()).flatten(),
    };
    NewFiling {
        filing_id: FilingId::new(),
        track: choice.track,
        broker: choice.broker.to_owned(),
        rule: choice.rule,
        why: choice.why.to_owned(),
        messages: vec![message],
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
