//! The road up to the commit, shown instead of taken: route, message, faults and warnings.

use serde::Serialize;

use super::filing::Way;
use super::{Intake, Sound, Submission, sound};
use crate::catalog::Made;
use crate::domain::fact::Track;
use crate::domain::fault::{Fault, Faults};
use crate::error::{ApiError, Code};

/// What would become of a declaration. Stores nothing.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// Whether it would be taken.
    pub accepted: bool,
    /// What would be filed.
    pub filings: Vec<PreviewFiling>,
    /// All faults.
    pub errors: Vec<Fault>,
    /// All warnings.
    pub warnings: Vec<Fault>,
}

/// One filing of a preview.
#[derive(Debug, Serialize)]
pub struct PreviewFiling {
    /// Track.
    pub track: Track,
    /// Broker.
    pub broker: String,
    /// Rule and reason.
    pub route: PreviewRoute,
    /// Mapping and its version.
    pub mapping: String,
    /// Content type of the message.
    pub content_type: String,
    /// Whether it would wait for its consignment; its messages are made when that closes.
    pub waits: bool,
    /// The first message, when it could be made. Its id and number would be others.
    pub message: Option<String>,
    /// All messages in the order in which they would be sent.
    pub messages: Vec<PreviewMessage>,
}

/// One message of a preview.
#[derive(Debug, Serialize)]
pub struct PreviewMessage {
    /// The template that makes it: `waybill.xml`.
    pub template: String,
    /// The message.
    pub content: String,
}

/// Why a broker was chosen.
#[derive(Debug, Serialize)]
pub struct PreviewRoute {
    /// Number of the rule; 0 when the sender chose.
    pub rule: u32,
    /// The rule as written.
    pub why: String,
}

impl Intake {
    /// Shows what would become of a body.
    ///
    /// # Errors
    /// Malformed JSON, and a schema's validator without a verdict; faults are part of the preview.
    pub async fn preview(&self, submission: &Submission) -> Result<Preview, ApiError> {
        let mut preview = Preview { accepted: false, filings: Vec::new(), errors: Vec::new(), warnings: Vec::new() };
        match sound::read(&submission.body, &submission.post, &self.router, &self.policy, self.clock.today())? {
            Ok(sound) => self.preview_sound(submission, &sound, &mut preview).await?,
            Err(refused) => preview.errors = refused.error.errors,
        }
        preview.accepted = preview.errors.is_empty();
        Ok(preview)
    }

    async fn preview_sound(&self, submission: &Submission, sound: &Sound, preview: &mut Preview) -> Result<(), ApiError> {
        preview.warnings.clone_from(&sound.warnings);
        let choices = match self.router.choose(&sound.declaration, &submission.post) {
            Ok(choices) => choices,
            Err(error) => {
                preview.errors = refusal(error);
                return Ok(());
            }
        };
        let catalog = self.catalog.load_full();
        let mut faults = Faults::default();
        let (mut counter, now) = (1, self.clock.now());
        for choice in &choices {
            let Some(channel) = catalog.channel(choice.broker) else {
                faults.push(Fault::new("", Code::MappingUnavailable.as_str(), Code::MappingUnavailable.meaning()));
                continue;
            };
            let tried = Way { submission, sound, choice, channel, now }.messages(&mut counter).await?;
            tried.faults.into_iter().for_each(|fault| faults.push_once(fault));
            preview.warnings.extend(tried.made.iter().flat_map(|made| made.warnings.iter().cloned()));
            let shown = |made: Made| PreviewMessage {
                template: format!("{}.xml", made.template),
                content: String::from_utf8_lossy(&made.message.body).into_owned(),
            };
            let messages: Vec<PreviewMessage> = tried.made.into_iter().map(shown).collect();
            preview.filings.push(PreviewFiling {
                track: choice.track,
                broker: choice.broker.to_owned(),
                route: PreviewRoute { rule: choice.rule, why: choice.why.to_owned() },
                mapping: format!("{} {}", channel.mapping.name, channel.mapping.version),
                content_type: channel.mapping.manifest.transport.content_type.clone(),
                waits: tried.waits,
                message: messages.first().map(|message| message.content.clone()),
                messages,
            });
        }
        preview.errors = faults.into_vec();
        Ok(())
    }
}

/// The faults of an error; an error without places is one fault of the whole body.
fn refusal(error: ApiError) -> Vec<Fault> {
    if error.errors.is_empty() { vec![Fault::new("", error.code.as_str(), error.detail)] } else { error.errors }
}
