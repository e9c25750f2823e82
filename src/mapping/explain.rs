//! Why a message says what it says: line by line, each element with the expression that made it, what the
//! expression looked at, and the reason for what was left out.
//!
//! Unlike faults an explanation shows values: it is made for the analyst, of a declaration that he holds.

use super::faults::line_column;
use super::program::{Site, SiteKind};
use super::render::render_traced;
use super::templates::Template;
use super::trace::{Event, Input as Looked, Trace};
use super::value::V;
use super::{Input, Mapping, roots};
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fault::Fault;
use crate::domain::record::Val;

/// How one message was made.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// `hmrc-cds/declaration.xml`
    pub file: String,
    /// The mapping's version.
    pub version: String,
    /// The template.
    pub template: String,
    /// The message, element by element in its order, with what was left out.
    pub lines: Vec<Line>,
    /// Why there is no message.
    pub faults: Vec<Fault>,
    /// What the sender is told beside the message.
    pub warnings: Vec<Fault>,
}

/// One element of a message, or what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How deep it lies; the root is 0.
    pub depth: usize,
    /// Line of the template, from 1.
    pub line: u32,
    /// The element as written; of one with children its start tag. Empty when it was left out.
    pub output: String,
    /// Why it was left out, or what else there is to say.
    pub remark: Option<String>,
    /// The expressions in it.
    pub expressions: Vec<String>,
    /// What these looked at.
    pub inputs: Vec<Source>,
}

/// A field, setting or name that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `/sender/city`, `settings.office`, `message.lrn`
    pub name: String,
    /// Its value; `None` of a list, a record or a name of the message.
    pub value: Option<String>,
    /// Whether it is not there.
    pub missing: bool,
}

impl Mapping {
    /// Explains every message of a kind that a declaration becomes, in order.
    pub fn explain(&self, kind: MessageKind, input: &Input<'_>) -> Vec<Explanation> {
        self.templates.iter().filter(|template| template.kind == kind).map(|template| self.explain_one(template, input)).collect()
    }

    fn explain_one(&self, template: &Template, input: &Input<'_>) -> Explanation {
        let changes = input.changes();
        let program = template.traced(&self.manifest, &self.codes);
        let (rendered, trace) = render_traced(program, roots(input, &changes));
        let mut teller =
            Teller { mapping: self, template, sites: &program.sites, input, trace: &trace, lines: Vec::new(), open: Vec::new() };
        teller.tell();
        let (faults, warnings) = match rendered {
            Ok(rendered) => (Vec::new(), rendered.warnings),
            Err(faults) => (faults, Vec::new()),
        };
        Explanation {
            file: format!("{}/{}", self.name, template.file),
            version: self.version.clone(),
            template: template.text.to_string(),
            lines: teller.lines,
            faults,
            warnings,
        }
    }
}

/// Turns the events of a trace into lines.
struct Teller<'t> {
    mapping: &'t Mapping,
    template: &'t Template,
    sites: &'t [Site],
    input: &'t Input<'t>,
    trace: &'t Trace<'t>,
    lines: Vec<Line>,
    /// Elements that are open: their line, where they begin, whether an element stands in them.
    open: Vec<(usize, usize, bool)>,
}

impl Teller<'_> {
    fn tell(&mut self) {
        let trace = self.trace;
        for (index, event) in trace.events.iter().enumerate() {
            match event {
                Event::Enter { at, mark } => {
                    self.close_start_tag(index, *at);
                    let line = line_column(&self.template.text, mark.offset).0;
                    self.open.push((self.lines.len(), *at, false));
                    self.push(line, None);
                }
                Event::Leave { at } => {
                    if let Some((line, from, false)) = self.open.pop() {
                        self.write(line, self.part(index, from, *at));
                    }
                }
                Event::Value { place, inputs, .. } => {
                    let looked = self.looked(inputs);
                    if let Some(line) = self.open.last().and_then(|(line, ..)| self.lines.get_mut(*line)) {
                        line.expressions.push(format!("{{{}}}", place.text));
                        let new: Vec<_> = looked.into_iter().filter(|looked| !line.inputs.contains(looked)).collect();
                        line.inputs.extend(new);
                    }
                }
                Event::LeftOut { site, inputs } => self.left_out(*site as usize, inputs),
                Event::Encoded { .. } => {
                    if let Some(line) = self.open.last().and_then(|(line, ..)| self.lines.get_mut(*line)) {
                        line.remark = Some("what stands in it is written as text (p:encode)".to_owned());
                    }
                }
            }
        }
    }

    fn push(&mut self, line: u32, remark: Option<String>) {
        let depth = self.open.len().saturating_sub(usize::from(remark.is_none()));
        self.lines.push(Line { depth, line, output: String::new(), remark, expressions: Vec::new(), inputs: Vec::new() });
    }

    fn write(&mut self, line: usize, output: String) {
        if let Some(line) = self.lines.get_mut(line) {
            line.output = output;
        }
    }

    /// The first element inside another ends what is shown of the outer one: its start tag.
    fn close_start_tag(&mut self, index: usize, at: usize) {
        let Some((line, from, parent)) = self.open.last_mut() else { return };
        if !*parent {
            *parent = true;
            let (line, from) = (*line, *from);
            self.write(line, self.part(index, from, at));
        }
    }

    /// The written text between two offsets that an event names.
    fn part(&self, index: usize, from: usize, to: usize) -> String {
        let encoded = self.trace.events.iter().skip(index).find_map(|event| match event {
            Event::Encoded { first, from, document } if *first <= index => Some((*from, document)),
            _ => None,
        });
        let (base, bytes) = encoded.unwrap_or((0, &self.trace.bytes));
        let part = from.checked_sub(base).zip(to.checked_sub(base)).and_then(|(from, to)| bytes.get(from..to));
        String::from_utf8_lossy(part.unwrap_or_default()).trim().to_owned()
    }

    fn left_out(&mut self, site: usize, inputs: &[Looked]) {
        let Some(site) = self.sites.get(site) else { return };
        let (element, text) = (&site.element, &site.text);
        let remark = match site.kind {
            SiteKind::If => format!("{element} left out: p:if=\"{text}\" is false"),
            SiteKind::Each => format!("{element} left out: the list of p:each=\"{text}\" is empty"),
            SiteKind::Optional => format!("{element} left out: it is optional and has no value"),
            SiteKind::OptionalAttribute => format!("the attribute {text} left out: it is optional and has no value"),
            SiteKind::Empty => format!("{element} is written empty: it has no value (p:empty)"),
            SiteKind::Check => format!("p:check does not hold: {text}"),
            SiteKind::Choice => return,
        };
        self.push(line_column(&self.template.text, site.offset).0, Some(remark));
        let looked = self.looked(inputs);
        if let Some(line) = self.lines.last_mut() {
            line.inputs = looked;
        }
    }

    fn looked(&self, inputs: &[Looked]) -> Vec<Source> {
        let plain = |name: String, value: V<'_>| Source { name, missing: value.is_missing(), value: value.display() };
        let one = |input: &Looked| match input {
            Looked::Field(pointer) => plain(pointer.clone(), field(self.input.declaration, pointer).into()),
            Looked::Name(name) => Source { name: (*name).to_owned(), value: None, missing: false },
            Looked::Setting(index) => {
                let name = self.mapping.manifest.settings.get(usize::from(*index)).map_or("", |setting| setting.name.as_str());
                plain(format!("settings.{name}"), self.input.settings.get(*index))
            }
        };
        inputs.iter().map(one).collect()
    }
}

/// The value at a pointer of the declaration.
fn field<'d>(declaration: &'d Declaration, pointer: &str) -> Val<'d> {
    pointer.split('/').skip(1).fold(Val::Record(declaration), |value, step| match value {
        Val::Record(record) => record.descriptor().field(step).map_or(Val::Missing, |(index, _)| record.get(index)),
        Val::List(list) => step.parse().map_or(Val::Missing, |index| list.get(index)),
        _ => Val::Missing,
    })
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}", self.name),
            None if self.missing => write!(f, "{} is missing", self.name),
            None => f.write_str(&self.name),
        }
    }
}
