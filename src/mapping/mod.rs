//! Mappings: from a declaration to a broker's message, and from a broker's notice to facts.
//!
//! A mapping is a folder of declarative files ([`Source`]). It is compiled and checked as a whole
//! when it is loaded; all faults are told at once with file, line and column, and a mapping with a
//! fault is not used. A compiled [`Mapping`] is immutable and shared: reloading swaps it whole.
//!
//! Everything here is pure over bytes: no clock, no network, no state between two messages. The
//! same declaration, settings, message context and mapping version give the same bytes, always.
//! What a sender gets to read never repeats a value of his declaration. This is the only module
//! that knows quick-xml, minijinja and the crate of schemas.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::change::{self, Change};
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fact::Fact;
use crate::domain::fault::{self, Fault};
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::time::Timestamp;

mod alphabet;
mod block;
mod calls;
mod calls_run;
pub mod cases;
mod checks;
mod code;
mod codes;
mod compare;
mod compile;
mod condition;
mod conditions;
pub mod coverage;
mod dom;
mod eval;
pub mod explain;
mod expr;
pub mod faults;
mod field_origin;
mod fieldmap;
pub mod fields;
mod find;
pub mod functions;
mod inbox;
mod instants;
mod json_body;
mod latin;
mod loading;
mod manifest;
mod messages;
mod operator;
mod origin;
mod own;
mod pipes;
mod pointers;
mod poll;
mod program;
mod rates;
mod reading;
mod registry;
mod render;
mod rules;
mod rules_parts;
pub mod schema;
mod scope;
mod settings;
pub mod sketch;
mod source;
mod streets;
mod tables;
mod template;
mod templates;
mod trace;
mod unknown;
mod unwrap;
mod value;
mod verdicts;
mod xml;
mod xpath;
mod zones;

pub use codes::CodeList;
pub use compare::indented;
pub use condition::{Condition, ConditionFault};
pub use faults::MappingFault;
pub use inbox::Inbox;
pub use manifest::{Currency, Manifest, Transport};
pub use operator::Operator;
pub use poll::{AcknowledgeMethod, Poll};
pub use rates::{Conversion, MAX_RATES_BYTES, Rates};
pub use reading::{MAX_NOTICE_BYTES, Unreadable, UnreadableReason};
pub use registry::{Broken, Registry};
pub use render::Rendered;
pub use settings::{SettingFault, SettingKind, SettingSpec, Settings};
pub use source::{Files, Source};

use templates::Template;

/// The message that is being made.
#[derive(Debug, Clone)]
pub struct MessageContext<'a> {
    /// Our reference.
    pub lrn: &'a str,
    /// Id of the message.
    pub id: MessageId,
    /// Conversation that it belongs to.
    pub conversation_id: ConversationId,
    /// When it is made; an input, for nothing here reads a clock.
    pub created_at: Timestamp,
}

/// The post that declared.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostContext<'a> {
    /// Its code in the configuration.
    pub code: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Why a declaration is amended or cancelled.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReasonContext<'a> {
    /// The authority's code.
    pub code: Option<&'a str>,
    /// In words.
    pub text: Option<&'a str>,
}

/// Everything that a message is made of.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The declaration.
    pub declaration: &'a Declaration,
    /// The broker's checked settings.
    pub settings: &'a Settings,
    /// The message.
    pub message: MessageContext<'a>,
    /// The authority's reference, for what follows a declaration.
    pub mrn: Option<&'a str>,
    /// The reason, for amendment and cancellation.
    pub reason: Option<ReasonContext<'a>>,
    /// The declaration before an amendment.
    pub previous: Option<&'a Declaration>,
    /// The post.
    pub post: PostContext<'a>,
    /// The broker's name in the configuration.
    pub broker: &'a str,
}

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    /// Its name: its folder's.
    pub name: String,
    /// Declared version and the first digits of the hash of its files: `1.0.0+3f9a2c51d07e`.
    pub version: String,
    /// What `mapping.toml` says.
    pub manifest: Manifest,
    templates: Vec<Template>,
    codes: Vec<Arc<CodeList>>,
    rules: rules::Rules,
    /// The way back from our messages to the declaration, for what a notice points at.
    fields: fieldmap::FieldMap,
    /// What is no fault and yet probably not meant, and the places of a draft that are still to be decided.
    pub warnings: Vec<MappingFault>,
    /// Bytes of the largest message so far: where the next one's buffer begins.
    capacity: AtomicUsize,
}

impl Mapping {
    /// Checks the settings that a configuration gives.
    ///
    /// # Errors
    /// Every fault.
    pub fn settings(&self, table: &toml::Table) -> Result<Settings, Vec<SettingFault>> {
        Settings::check(&self.manifest.settings, table)
    }

    /// Checks everything that an operator gives for a broker.
    ///
    /// # Errors
    /// Every fault, with its key below the broker.
    pub fn operated(&self, operator: &Operator<'_>) -> Result<Settings, Vec<SettingFault>> {
        operator.settings(&self.manifest.settings, &self.codes)
    }

    /// Whether it converts amounts: then it needs the operator's rate table.
    pub fn converts(&self) -> bool {
        self.templates.iter().any(|template| template.program.converts)
    }

    /// Whether the mapping can make messages of a kind.
    pub fn makes(&self, kind: MessageKind) -> bool {
        self.template(kind).is_some()
    }

    /// Reads what the broker sent: a notice, or an answer to a query.
    ///
    /// # Errors
    /// When it cannot be read: the bytes are kept and a person is told, nothing is guessed.
    pub fn read(&self, bytes: &[u8]) -> Result<Vec<Fact>, Unreadable> {
        reading::read(&self.rules, &self.fields, bytes, &mut |_, _, _| {})
    }

    /// How notices are asked for; none when `notices.toml` has no `[poll]`.
    pub fn poll(&self) -> Option<&Poll> {
        self.rules.poll.as_ref()
    }

    /// What a notice is answered with once it is stored.
    pub fn inbox(&self) -> &Inbox {
        &self.rules.inbox
    }

    /// A notice's own id, by which a repeat is known; none when the mapping names none or it cannot be read.
    pub fn notice_key(&self, body: &[u8]) -> Option<String> {
        self.rules.inbox.key(body)
    }

    /// The ids in the list that the poll address answers, in its order, each once and bounded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn poll_entries(&self, body: &[u8]) -> Result<Vec<String>, Unreadable> {
        self.rules.poll.as_ref().map_or_else(|| Ok(Vec::new()), |poll| poll.ids(body))
    }

    /// Reads the synchronous 2xx reply to a message. `conversation` is the value of the header
    /// that [`Transport::conversation_header`] names; it goes into every fact that has none. An
    /// empty reply gives no facts where the mapping lets it count as delivered.
    ///
    /// # Errors
    /// When it cannot be read: the outcome of the message is in doubt.
    pub fn reply(&self, body: &[u8], conversation: Option<&str>) -> Result<Vec<Fact>, Unreadable> {
        let empty = body.iter().all(u8::is_ascii_whitespace);
        if empty && self.manifest.transport.empty_reply_is_delivered {
            return Ok(Vec::new());
        }
        let mut facts = self.read(body)?;
        for fact in facts.iter_mut().filter(|fact| fact.conversation.is_none()) {
            fact.conversation = conversation.map(str::to_owned);
        }
        Ok(facts)
    }

    /// Makes a message.
    ///
    /// # Errors
    /// Every fault of the sender, with the declaration's fields. Also when the mapping has no
    /// template of this kind: ask [`Mapping::makes`] first.
    pub fn render(&self, kind: MessageKind, input: &Input<'_>) -> Result<Rendered, Vec<Fault>> {
        self.template(kind).map_or_else(|| Err(no_template()), |template| self.made(template, input))
    }

    fn made(&self, template: &Template, input: &Input<'_>) -> Result<Rendered, Vec<Fault>> {
        let settings = input.settings.in_force(input.declaration, input.post);
        let limits = limits(&self.manifest, input.declaration, &settings);
        let changes = input.changes();
        let rendered = render::render(&template.program, roots(input, &settings, &changes), self.capacity.load(Ordering::Relaxed));
        match (rendered, limits.is_empty()) {
            (Ok(rendered), true) => {
                self.capacity.fetch_max(rendered.bytes.len(), Ordering::Relaxed);
                Ok(rendered)
            }
            (Ok(_), false) => Err(limits),
            (Err(faults), _) => Err(limits.into_iter().chain(faults).collect()),
        }
    }

    fn template(&self, kind: MessageKind) -> Option<&Template> {
        self.named(kind.as_str())
    }

    /// The place of the template that made the element at a byte of a message, and the field behind it. The message
    /// is made once more for it, so ask only when there is something to tell.
    pub fn made_by(&self, kind: MessageKind, input: &Input<'_>, offset: usize) -> Option<MadeBy> {
        self.made_by_each(kind.as_str(), input, &[offset]).pop()?
    }
}

/// What of a template made an element of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeBy {
    /// `hmrc-cds/declaration.xml`
    pub file: String,
    /// Line of the template, from 1.
    pub line: u32,
    /// Column of the template in characters, from 1.
    pub column: u32,
    /// The element's path without the root: `GoodsShipment/Commodity/Description`.
    pub element: String,
    /// JSON pointer of the declaration's field that its value came from; `None` when it came from none.
    pub pointer: Option<String>,
}

impl Input<'_> {
    fn changes(&self) -> Vec<Change> {
        self.previous.map_or_else(Vec::new, |previous| change::between(previous, self.declaration))
    }
}

fn roots<'a>(input: &'a Input<'_>, settings: &'a Settings, changes: &'a Vec<Change>) -> eval::Roots<'a> {
    eval::Roots {
        declaration: input.declaration,
        settings: Some(settings),
        message: Some(&input.message),
        mrn: input.mrn,
        reason: input.reason.as_ref(),
        previous: input.previous,
        changes: Some(changes),
        post: &input.post,
        broker: Some(input.broker),
    }
}

fn no_template() -> Vec<Fault> {
    vec![Fault::new("", fault::MAPPING_VALUE, "the broker's format has no message of this kind")]
}

/// The rules of `mapping.toml` that every message is held to.
fn limits(manifest: &Manifest, declaration: &Declaration, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some((min, max)) = manifest.lines {
        let lines = declaration.contents.len();
        if lines < min as usize || lines > max as usize {
            faults.push(Fault::new("/contents", fault::MAPPING_VALUE, format!("the broker's format takes {min} to {max} lines")));
        }
    }
    let wanted = match &manifest.currency {
        Currency::PerLine => None,
        Currency::Single => declaration.contents.first().map(|line| line.value.currency.as_str()),
        Currency::Fixed(code) => Some(code.as_str()),
    };
    // Amounts in other currencies than the fixed one are for the template to convert, where there is a rate.
    let fixed = matches!(manifest.currency, Currency::Fixed(_));
    let day = declaration.posted_on();
    let fits = |currency: &str, wanted: &str| currency == wanted || (fixed && settings.rates.has(currency, wanted, day));
    if let Some(wanted) = wanted {
        for (index, _) in declaration.contents.iter().enumerate().filter(|(_, line)| !fits(line.value.currency.as_str(), wanted)) {
            let detail = match &manifest.currency {
                Currency::Fixed(code) => format!("the broker's format takes amounts in {code}, and there is no rate for this one"),
                _ => "the broker's format takes all values in one currency".to_owned(),
            };
            faults.push(Fault::new(format!("/contents/{index}/value/currency"), fault::MAPPING_VALUE, detail));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
