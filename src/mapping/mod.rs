//! Mappings: from a declaration to a broker's message, and from a broker's notice to facts.
//!
//! A mapping is a folder of declarative files ([`Source`]). It is compiled and checked as a whole
//! when it is loaded; all faults are told at once with file, line and column, and a mapping with a
//! fault is not used. A compiled [`Mapping`] is immutable and shared: reloading swaps it whole.
//!
//! Everything here is pure over bytes: no clock, no network, no state between two messages. The
//! same declaration, settings, message context and mapping version give the same bytes, always.
//! What a sender gets to read never repeats a value of his declaration. This is the only module
//! that knows quick-xml and minijinja.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::change::{self, Change};
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fact::Fact;
use crate::domain::fault::{self, Fault};
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::time::Timestamp;

mod calls;
mod calls_run;
pub mod cases;
mod checks;
mod code;
mod codes;
mod compare;
mod compile;
mod condition;
pub mod coverage;
mod dom;
mod eval;
pub mod explain;
mod expr;
pub mod faults;
mod find;
pub mod functions;
mod manifest;
mod own;
mod program;
mod reading;
mod registry;
mod render;
mod rules;
mod scope;
mod settings;
pub mod sketch;
mod source;
mod tables;
mod template;
mod templates;
mod trace;
mod value;
mod xpath;

pub use codes::CodeList;
pub use compare::indented;
pub use condition::{Condition, ConditionFault};
pub use faults::MappingFault;
pub use manifest::{Currency, Manifest, Transport};
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
    /// Bytes of the largest message so far: where the next one's buffer begins.
    capacity: AtomicUsize,
}

impl Mapping {
    /// Compiles the files of a mapping.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(files: &Files) -> Result<Self, Vec<MappingFault>> {
        let mut all = Vec::new();
        let manifest = match text_of(files, "mapping.toml") {
            Ok(Some(text)) => with_faults(&files.name, "mapping.toml", text, &mut all, manifest::read),
            Ok(None) => {
                all.push(whole_file(&files.name, "mapping.toml", "the file is missing"));
                Manifest::default()
            }
            Err(fault) => {
                all.push(fault);
                Manifest::default()
            }
        };
        let codes = load_codes(files, &mut all);
        let mut templates = Vec::new();
        for kind in MessageKind::ALL {
            let file = format!("{}.xml", kind.as_str());
            match text_of(files, &file) {
                Ok(None) => {}
                Err(fault) => all.push(fault),
                Ok(Some(text)) => {
                    templates.push(with_faults(&files.name, &file, text, &mut all, |text, faults| {
                        Template::compile(*kind, &file, text, &manifest, &codes, faults)
                    }));
                }
            }
        }
        if files.get("declaration.xml").is_none() {
            all.push(whole_file(&files.name, "declaration.xml", "the file is missing"));
        }
        let rules = match text_of(files, "notices.toml") {
            Ok(None) => rules::Rules::default(),
            Ok(Some(text)) => with_faults(&files.name, "notices.toml", text, &mut all, rules::read),
            Err(fault) => {
                all.push(fault);
                rules::Rules::default()
            }
        };
        unknown_files(files, &mut all);
        if !all.is_empty() {
            return Err(all);
        }
        let version = format!("{}+{}", manifest.version, files.hash());
        Ok(Self { name: files.name.clone(), version, manifest, templates, codes, rules, capacity: AtomicUsize::new(2048) })
    }

    /// Checks the settings that a configuration gives.
    ///
    /// # Errors
    /// Every fault.
    pub fn settings(&self, table: &toml::Table) -> Result<Settings, Vec<SettingFault>> {
        Settings::check(&self.manifest.settings, table)
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
        reading::read(&self.rules, bytes)
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
        let Some(template) = self.template(kind) else { return Err(no_template()) };
        let limits = limits(&self.manifest, input.declaration);
        let changes = input.changes();
        let rendered = render::render(&template.program, roots(input, &changes), self.capacity.load(Ordering::Relaxed));
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
        self.templates.iter().find(|template| template.kind == kind)
    }

    /// The place of the template that made the element at a byte of a message, and the field behind it. The message
    /// is made once more for it, so ask only when there is something to tell.
    pub fn made_by(&self, kind: MessageKind, input: &Input<'_>, offset: usize) -> Option<MadeBy> {
        let template = self.template(kind)?;
        let changes = input.changes();
        let (_, trace) = render::render_traced(template.traced(&self.manifest, &self.codes), roots(input, &changes));
        let (mark, pointer) = trace.element_at(offset)?;
        let (line, column) = faults::line_column(&template.text, mark.offset);
        let file = format!("{}/{}", self.name, template.file);
        Some(MadeBy { file, line, column, element: mark.path.to_string(), pointer: pointer.map(str::to_owned) })
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

fn roots<'a>(input: &'a Input<'_>, changes: &'a Vec<Change>) -> eval::Roots<'a> {
    eval::Roots {
        declaration: input.declaration,
        settings: Some(input.settings),
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
fn limits(manifest: &Manifest, declaration: &Declaration) -> Vec<Fault> {
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
    if let Some(wanted) = wanted {
        for (index, _) in declaration.contents.iter().enumerate().filter(|(_, line)| line.value.currency.as_str() != wanted) {
            let detail = match &manifest.currency {
                Currency::Fixed(code) => format!("the broker's format takes amounts in {code}, and there is no rate for this one"),
                _ => "the broker's format takes all values in one currency".to_owned(),
            };
            faults.push(Fault::new(format!("/contents/{index}/value/currency"), fault::MAPPING_VALUE, detail));
        }
    }
    faults
}

fn whole_file(mapping: &str, file: &str, message: &str) -> MappingFault {
    MappingFault { file: format!("{mapping}/{file}"), line: 0, column: 0, message: message.to_owned(), suggestion: None }
}

fn text_of<'f>(files: &'f Files, file: &str) -> Result<Option<&'f str>, MappingFault> {
    match files.get(file).map(std::str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.strip_prefix('\u{feff}').unwrap_or(text))),
        Some(Err(_)) => Err(whole_file(&files.name, file, "the file has to be UTF-8")),
    }
}

fn with_faults<'t, T>(
    mapping: &str,
    file: &str,
    text: &'t str,
    all: &mut Vec<MappingFault>,
    read: impl FnOnce(&'t str, &mut faults::FileFaults<'t>) -> T,
) -> T {
    let name = format!("{mapping}/{file}");
    let mut faults = faults::FileFaults::new(name, text);
    let value = read(text, &mut faults);
    all.extend(faults.into_vec());
    value
}

fn load_codes(files: &Files, all: &mut Vec<MappingFault>) -> Vec<Arc<CodeList>> {
    let mut lists = Vec::new();
    for (path, bytes) in files.below("codes", ".csv") {
        let name = path.trim_start_matches("codes/").trim_end_matches(".csv");
        match CodeList::read(name, &format!("{}/{path}", files.name), bytes) {
            Ok(list) => lists.push(Arc::new(list)),
            Err(faults) => all.extend(faults),
        }
    }
    lists
}

/// A misspelt file would silently do nothing: it is a fault.
fn unknown_files(files: &Files, all: &mut Vec<MappingFault>) {
    let templates = MessageKind::WORDS.iter().map(|word| format!("{word}.xml"));
    let known: Vec<String> = templates.chain(["mapping.toml".to_owned(), "notices.toml".to_owned()]).collect();
    for path in files.files.keys() {
        let documents = path.ends_with(".md") || path.starts_with("cases/") || path.starts_with("notices/");
        let codes = path.starts_with("codes/") && path.ends_with(".csv");
        if !documents && !codes && !known.contains(path) {
            let mut fault = whole_file(&files.name, path, "a mapping has no such file");
            fault.suggestion = faults::nearest(path, known.iter().map(String::as_str));
            all.push(fault);
        }
    }
}

#[cfg(test)]
mod tests;
