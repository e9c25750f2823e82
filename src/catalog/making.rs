//! A broker's messages, made and held to the official schemas: the one way from a declaration to bytes, for intake and `prepare`.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Channel;
use crate::domain::consignment;
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fault::{self, Fault};
use crate::domain::ids::{self, ConversationId, MessageId};
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::mapping::schema::Violation;
use crate::mapping::{Input, MadeBy, MessageContext, PostContext, ReasonContext};

/// What messages are made of.
#[derive(Debug, Clone, Copy)]
pub struct Work<'w> {
    /// What they ask.
    pub kind: MessageKind,
    /// The declaration.
    pub declaration: &'w Declaration,
    /// What the broker has, for an amendment.
    pub previous: Option<&'w Declaration>,
    /// Authority's reference, when known.
    pub mrn: Option<&'w str>,
    /// LRN of the message that a query is about.
    pub about: Option<&'w str>,
    /// Code and words, of an amendment or a cancellation.
    pub reason: Option<(&'w str, Option<&'w str>)>,
    /// The post.
    pub post: PostContext<'w>,
    /// The broker's name.
    pub broker: &'w str,
    /// Conversation of the request behind it.
    pub conversation_id: ConversationId,
    /// Now.
    pub now: Timestamp,
}

/// A message before its commit.
#[derive(Debug)]
pub struct Made {
    /// Name of its template.
    pub template: String,
    /// The message.
    pub message: Message,
    /// What was shortened.
    pub warnings: Vec<Fault>,
}

/// A schema's validator gave no verdict: nothing is sent that nobody has looked at.
#[derive(Debug, Clone, Copy)]
pub struct NoVerdict;

impl Channel {
    /// Makes the messages of a kind in the order in which they are sent, each with its own id and LRN; all faults of all
    /// of them. `counter` is that of the next LRN.
    ///
    /// # Errors
    /// When a schema gives no verdict: that is no fault of the sender.
    pub async fn make(&self, work: &Work<'_>, counter: &mut u16) -> Result<(Vec<Made>, Vec<Fault>), NoVerdict> {
        let (mut messages, mut faults) = (Vec::new(), Vec::new());
        for template in self.mapping.messages(work.kind) {
            let message_id = MessageId::new();
            // A query names what it is about; for itself it needs no reference that the item could run out of.
            let own = (work.kind == MessageKind::Query).then(|| message_id.to_string());
            let Some(lrn) = own.or_else(|| ids::lrn(work.declaration.item_id, work.declaration.posted_on(), *counter)) else {
                faults.push(Fault::new("", fault::OUT_OF_RANGE, "no local reference number is left for this item"));
                break;
            };
            let input = self.input(work, work.about.unwrap_or(&lrn), message_id);
            let rendered = match self.mapping.render_message(template, &input) {
                Ok(Some(rendered)) => rendered,
                Ok(None) => continue,
                Err(found) => {
                    faults.extend(found);
                    continue;
                }
            };
            let body = Bytes::from(rendered.bytes);
            faults.extend(self.schema_faults(template, &input, body.clone()).await?);
            *counter = counter.saturating_add(u16::from(work.kind != MessageKind::Query));
            let message = Message {
                message_id,
                kind: work.kind,
                content_type: self.mapping.manifest.transport.content_type.clone(),
                body_hash: Sha256::digest(&body).into(),
                body,
                mapping: self.mapping.name.clone(),
                mapping_version: self.mapping.version.clone(),
                lrn,
                conversions: (!rendered.conversions.is_empty()).then(|| serde_json::to_string(&rendered.conversions).ok()).flatten(),
            };
            messages.push(Made { template: template.to_owned(), message, warnings: rendered.warnings });
        }
        if messages.is_empty() && faults.is_empty() {
            faults.push(Fault::new("", fault::MAPPING_VALUE, format!("the broker's format has no {} for this declaration", work.kind)));
        }
        Ok((messages, faults))
    }

    fn input<'i>(&'i self, work: &'i Work<'i>, lrn: &'i str, id: MessageId) -> Input<'i> {
        Input {
            declaration: work.declaration,
            settings: &self.settings,
            message: MessageContext { lrn, id, conversation_id: work.conversation_id, created_at: work.now },
            mrn: work.mrn,
            reason: work.reason.map(|(code, text)| ReasonContext { code: Some(code), text }),
            previous: work.previous,
            post: work.post,
            broker: work.broker,
        }
    }

    /// What of a message its schema forbids, as faults of the declaration's fields; none where there is no schema.
    /// The work is done on the schema's own threads.
    async fn schema_faults(&self, template: &str, input: &Input<'_>, message: Bytes) -> Result<Vec<Fault>, NoVerdict> {
        let Some(schema) = self.schemas.of(template) else { return Ok(Vec::new()) };
        let violations = schema.check(message).await.map_err(|no_verdict| {
            tracing::error!(mapping = self.mapping.name, template, "{no_verdict}");
            NoVerdict
        })?;
        let Some(violations) = violations.filter(|violations| !violations.is_empty()) else { return Ok(Vec::new()) };
        let offsets: Vec<usize> = violations.iter().map(|violation| violation.offset).collect();
        let places = self.mapping.made_by_each(template, input, &offsets);
        let told = |(violation, place): (&Violation, Option<MadeBy>)| {
            let (path, detail) = (violation.short_path(), &violation.detail);
            match place {
                Some(made) => {
                    let detail = format!("{}:{}:{} {path}: {detail}", made.file, made.line, made.column);
                    Fault::new(made.pointer.unwrap_or_default(), fault::MAPPING_SCHEMA, detail)
                }
                None => Fault::new("", fault::MAPPING_SCHEMA, format!("{}/{template}.xml {path}: {detail}", self.mapping.name)),
            }
        };
        Ok(violations.iter().zip(places).map(told).collect())
    }

    /// The fields that may come with the consignment and that a declaration lacks, as JSON pointers.
    pub fn lacking(&self, declaration: &Declaration) -> Vec<String> {
        let late = self.mapping.manifest.late.iter().filter(|path| consignment::lacks(declaration, path));
        late.map(|path| format!("/{}", path.replace('.', "/"))).collect()
    }
}
