//! The messages of one declaration: which templates make them, in which order, and when.
//!
//! Most formats have one message of a kind, made by the template of its name. `[messages]` of `mapping.toml` names
//! several; each is a message of its own, with its own id and reference.

use std::sync::Arc;

use super::code::Code;
use super::codes::CodeList;
use super::eval::Run;
use super::faults::{FileFaults, Remark};
use super::manifest::Manifest;
use super::render::{self, Rendered};
use super::scope::{Scope, Use};
use super::tables::Table;
use super::templates::Template;
use super::{Input, MadeBy, Mapping, expr, faults, roots};
use crate::domain::delivery::MessageKind;
use crate::domain::fault::Fault;

/// Most messages of one declaration.
const MAX_MESSAGES: usize = 8;

/// A message as `[messages]` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Kind of the message.
    pub kind: MessageKind,
    /// Its template without `.xml`.
    pub template: String,
    /// The condition as written, with its place in `mapping.toml`.
    pub when: Option<(String, usize)>,
    /// Whether `[messages]` names the file, and so it has to be there.
    pub named: bool,
}

impl Part {
    /// Its template's file.
    pub fn file(&self) -> String {
        format!("{}.xml", self.template)
    }
}

/// One message of each kind, made by the template of its name, where there is one.
pub(super) fn usual() -> Vec<Part> {
    let own = |kind: &MessageKind| Part { kind: *kind, template: kind.as_str().to_owned(), when: None, named: false };
    MessageKind::ALL.iter().map(own).collect()
}

/// Reads `[messages]`. A kind that it does not name has the message of its own template.
pub(super) fn read(mut messages: Table<'_>, faults: &mut FileFaults<'_>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for usual in usual() {
        let (kind, own) = (usual.kind, usual.kind.as_str());
        let (at, first) = (messages.at(), parts.len());
        let files = messages.messages(own, faults);
        if !messages.has(own) {
            parts.push(usual);
            continue;
        }
        for (file, when) in files {
            let named =
                parts.iter().map(|part| part.template.as_str()).chain(MessageKind::WORDS.iter().copied().filter(|word| *word != own));
            match stem(file.text) {
                None => faults.at(file.at, "the name of a template beside mapping.toml, like waybill.xml"),
                Some(stem) if named.into_iter().any(|known| known == stem) => {
                    faults.at(file.at, format!("{} makes another message already", file.text));
                }
                Some(stem) => {
                    let when = when.map(|when| (when.text.to_owned(), when.at));
                    parts.push(Part { kind, template: stem.to_owned(), when, named: true });
                }
            }
        }
        if parts.len() - first > MAX_MESSAGES {
            faults.at(at, format!("at most {MAX_MESSAGES} messages of one declaration"));
        }
        if !parts.iter().skip(first).any(|part| part.template == own) {
            faults.at(at, format!("{own} has to name {own}.xml, beside others"));
        }
    }
    messages.finish(faults);
    parts
}

/// The name of a template file without its ending.
fn stem(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".xml")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (!stem.is_empty() && stem != "notice" && stem.len() <= 40 && stem.bytes().all(plain)).then_some(stem)
}

/// Compiles the condition of a message; faults are added to those of `mapping.toml`.
pub(super) fn condition(part: &Part, manifest: &Manifest, codes: &[Arc<CodeList>], faults: &mut FileFaults<'_>) -> Option<Code> {
    let (text, place) = part.when.as_ref()?;
    let scope = Scope {
        purpose: Use::Message(part.kind),
        settings: manifest.known_settings(),
        codes,
        variables: Vec::new(),
        draft: manifest.draft,
        converts: false.into(),
        undecided: Vec::new().into(),
    };
    match expr::condition(&scope, text) {
        Ok(code) => {
            for (at, _) in scope.undecided.into_inner() {
                faults.at(place + at, "whether a message is made cannot be left to be decided");
            }
            Some(code)
        }
        Err(found) => {
            for (at, remark) in found {
                let remark: Remark = remark;
                faults.at(place + at, remark);
            }
            None
        }
    }
}

impl Mapping {
    /// The names of the templates that make the messages of a kind, in the order in which these are sent.
    pub fn messages(&self, kind: MessageKind) -> impl Iterator<Item = &str> {
        self.templates.iter().filter(move |template| template.kind == kind).map(|template| template.name.as_str())
    }

    /// Makes the message of a template; `None` when its condition leaves it out.
    ///
    /// # Errors
    /// Every fault of the sender, with the declaration's fields.
    pub fn render_message(&self, template: &str, input: &Input<'_>) -> Result<Option<Rendered>, Vec<Fault>> {
        let Some(template) = self.named(template) else { return Err(super::no_template()) };
        if self.wants(template, input)? { self.made(template, input).map(Some) } else { Ok(None) }
    }

    /// Whether the condition of a template's message holds.
    pub(super) fn wants(&self, template: &Template, input: &Input<'_>) -> Result<bool, Vec<Fault>> {
        let Some(when) = &template.when else { return Ok(true) };
        let changes = input.changes();
        let settings = input.settings.in_force(input.declaration, input.post);
        let mut run = Run::new(roots(input, &settings, &changes), 0);
        let holds = run.test(when);
        if run.faults.is_empty() { Ok(holds) } else { Err(run.faults.into_vec()) }
    }

    /// The places of a template that made the elements at bytes of its message, and the fields behind them. The
    /// message is made once more for it, so ask only when there is something to tell.
    pub fn made_by_each(&self, template: &str, input: &Input<'_>, offsets: &[usize]) -> Vec<Option<MadeBy>> {
        let Some(template) = self.named(template) else { return vec![None; offsets.len()] };
        let changes = input.changes();
        let settings = input.settings.in_force(input.declaration, input.post);
        let (_, trace) = render::render_traced(template.traced(&self.manifest, &self.codes), roots(input, &settings, &changes));
        let made = |offset: &usize| {
            let (mark, pointer) = trace.element_at(*offset)?;
            let (line, column) = faults::line_column(&template.text, mark.offset);
            let file = format!("{}/{}", self.name, template.file);
            Some(MadeBy { file, line, column, element: mark.path.to_string(), pointer: pointer.map(str::to_owned) })
        };
        offsets.iter().map(made).collect()
    }

    pub(super) fn named(&self, name: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.name == name)
    }
}
