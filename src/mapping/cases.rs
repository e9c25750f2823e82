//! Golden cases beside a mapping: declarations with the messages (or faults) that they must become,
//! and notices with the facts that they must become.
//!
//! Each run is fixed: the LRN is item id + posting date + `01`, the message is made at noon UTC of
//! the posting date, ids are zero, the post is KRA (Korea Post), the broker `uk-broker`. A table
//! `[context]` in a case's `settings.toml` says otherwise. Nothing is written and no clock is read.

use serde_json::Value;
use uuid::Uuid;

use super::compare::{Difference, compare, indented};
use super::coverage::{Coverage, Tally};
use super::operator;
use super::schema::{Schemas, Violation};
pub use super::verdicts::CaseResult;
use super::verdicts::told;
use super::{Files, Input, Mapping, MessageContext, PostContext, ReasonContext};
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fault::{Fault, Faults};
use crate::domain::ids::{ConversationId, MessageId, lrn};
use crate::domain::json;
use crate::domain::time::Timestamp;

/// The fixed context of a case.
#[derive(Debug, Clone)]
pub struct CaseContext {
    /// Settings of the broker.
    pub settings: toml::Table,
    /// `[[overrides]]`, `[codes.LIST]` and `[[rates]]`.
    given: operator::Given,
    table: toml::Table,
}

impl CaseContext {
    /// Splits a `settings.toml` into settings and context.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut settings: toml::Table = toml::from_str(text).map_err(|error| format!("settings.toml: {}", error.message()))?;
        let table = match settings.remove("context") {
            Some(toml::Value::Table(table)) => table,
            None => toml::Table::new(),
            Some(_) => return Err("settings.toml: context has to be a table".to_owned()),
        };
        let given = operator::Given::take(&mut settings).map_err(|fault| format!("settings.toml: {}: {}", fault.key, fault.message))?;
        Ok(Self { settings, given, table })
    }

    fn text<'t>(&'t self, key: &str, otherwise: &'t str) -> &'t str {
        self.table.get(key).and_then(toml::Value::as_str).unwrap_or(otherwise)
    }

    /// The kind of message that the context asks for.
    pub fn kind(&self) -> MessageKind {
        MessageKind::parse(self.text("kind", "declaration")).unwrap_or_default()
    }

    /// Does something with everything that a message is made of in this context.
    ///
    /// # Errors
    /// Faults of settings.
    pub fn with_input<T>(
        &self,
        mapping: &Mapping,
        declaration: &Declaration,
        previous: Option<&Declaration>,
        work: impl FnOnce(&Input<'_>) -> T,
    ) -> Result<T, Vec<Fault>> {
        let settings = mapping.operated(&self.given.operator(&self.settings)).map_err(|faults| {
            let fault = |fault: super::SettingFault| Fault::new(fault.key, "setting", fault.message);
            faults.into_iter().map(fault).collect::<Vec<_>>()
        })?;
        let reference = lrn(declaration.item_id, declaration.posted_on(), 1).unwrap_or_default();
        let noon = format!("{}T12:00:00Z", declaration.posted_on());
        let created_at = self.text("created_at", &noon).parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let key = |key: &str| self.table.get(key).and_then(toml::Value::as_str);
        let message = MessageContext {
            lrn: self.text("lrn", &reference),
            id: MessageId(Uuid::nil()),
            conversation_id: ConversationId(Uuid::nil()),
            created_at,
        };
        let input = Input {
            declaration,
            settings: &settings,
            message,
            mrn: key("mrn"),
            reason: Some(ReasonContext { code: key("reason_code"), text: key("reason_text") }),
            previous,
            post: PostContext { code: self.text("post_code", "KRA"), name: self.text("post_name", "Korea Post") },
            broker: self.text("broker", "uk-broker"),
        };
        Ok(work(&input))
    }

    /// Does something with what each message of the kind is made of, in order; it says whether the message was
    /// made, for then the next has the next reference (a reference of `[context]` stands for all of them).
    fn each_message(&self, mapping: &Mapping, input: &Input<'_>, mut work: impl FnMut(&str, &Input<'_>) -> bool) {
        let mut counter = 1;
        for template in mapping.messages(self.kind()) {
            let reference = lrn(input.declaration.item_id, input.declaration.posted_on(), counter).unwrap_or_default();
            let reference = if counter == 1 || self.table.contains_key("lrn") { input.message.lrn } else { &reference };
            let message = MessageContext { lrn: reference, ..input.message.clone() };
            counter += u16::from(work(template, &Input { message, ..input.clone() }));
        }
    }

    /// All messages that a declaration becomes in this context, with the names of their templates.
    ///
    /// # Errors
    /// Faults of settings, or all of the sender.
    pub fn messages(
        &self,
        mapping: &Mapping,
        declaration: &Declaration,
        previous: Option<&Declaration>,
    ) -> Result<Vec<(String, super::Rendered)>, Vec<Fault>> {
        self.with_input(mapping, declaration, previous, |input| {
            let (mut made, mut faults) = (Vec::new(), Faults::default());
            self.each_message(mapping, input, |template, input| match mapping.render_message(template, input) {
                Ok(Some(rendered)) => {
                    made.push((template.to_owned(), rendered));
                    true
                }
                Ok(None) => false,
                Err(found) => {
                    found.into_iter().for_each(|fault| faults.push_once(fault));
                    true
                }
            });
            if faults.is_empty() { Ok(made) } else { Err(faults.into_vec()) }
        })?
    }

    /// Renders a declaration in this context: the message of its kind's own template.
    ///
    /// # Errors
    /// Faults of settings, or of the sender.
    pub fn render(
        &self,
        mapping: &Mapping,
        declaration: &Declaration,
        previous: Option<&Declaration>,
    ) -> Result<super::Rendered, Vec<Fault>> {
        self.with_input(mapping, declaration, previous, |input| mapping.render(self.kind(), input))?
    }
}

/// Reads the shape of a declaration.
///
/// # Errors
/// Where it is malformed, or all its faults.
pub fn declaration(bytes: &[u8]) -> Result<Declaration, String> {
    let json =
        json::parse(bytes).map_err(|malformed| format!("line {} column {}: {:?}", malformed.line, malformed.column, malformed.kind))?;
    let (declaration, faults, _) = Declaration::read_shape(&json);
    if faults.is_empty() { Ok(declaration) } else { Err(list(faults.as_slice())) }
}

/// Faults as lines.
pub fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{} {}: {}", fault.pointer, fault.code, fault.detail)).collect::<Vec<_>>().join("\n")
}

/// Runs every case of a mapping, counts what they touch, and holds their messages to schemas where there are any.
pub fn run(mapping: &Mapping, files: &Files, schemas: &Schemas) -> (Vec<CaseResult>, Coverage) {
    let mut tally = Tally::new(mapping);
    let mut results: Vec<CaseResult> = Vec::new();
    for case in files.folders_below("cases") {
        let mut result = CaseResult::new(&format!("cases/{case}"));
        if let Err(problem) = checked_messages(mapping, files, schemas, &mut result, &mut tally) {
            result.problems.push(problem);
        }
        results.push(result);
    }
    results
        .extend(files.folders_below("notices").into_iter().map(|case| notice_case(files, &format!("notices/{case}"), schemas, &mut tally)));
    (results, tally.finish())
}

fn text<'f>(files: &'f Files, path: &str) -> Option<&'f str> {
    files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// Where the message of a template is expected.
fn expected_file(kind: MessageKind, template: &str) -> String {
    if template == kind.as_str() { "expected.xml".to_owned() } else { format!("expected-{template}.xml") }
}

fn checked_messages(
    mapping: &Mapping,
    files: &Files,
    schemas: &Schemas,
    result: &mut CaseResult,
    tally: &mut Tally<'_>,
) -> Result<(), String> {
    let name = result.name.clone();
    let read = |file: &str| {
        let bytes = files.get(&format!("{name}/{file}"));
        bytes.map(|bytes| declaration(bytes).map_err(|problem| format!("{file}: {problem}"))).transpose()
    };
    let declaration = read("declaration.json")?.ok_or("declaration.json is missing")?;
    let previous = read("previous.json")?;
    let context = CaseContext::read(text(files, &format!("{name}/settings.toml")).unwrap_or_default())?;
    let rendered = context.messages(mapping, &declaration, previous.as_ref());
    // The traced program is another one: a case holds it to the same bytes.
    let mut same = true;
    let _ = context.with_input(mapping, &declaration, previous.as_ref(), |input| {
        context.each_message(mapping, input, |template, input| {
            let plain = match mapping.render_message(template, input) {
                Ok(Some(plain)) => plain,
                Ok(None) => return false,
                Err(_) => return tally.add(template, input).is_some(),
            };
            if let Some(Ok(traced)) = tally.add(template, input) {
                same &= traced == plain.bytes;
            }
            let tell = |violations: Vec<Violation>| {
                let offsets: Vec<usize> = violations.iter().map(|violation| violation.offset).collect();
                let places = mapping.made_by_each(template, input, &offsets);
                violations.iter().zip(places).map(|(violation, place)| told(violation, place.as_ref())).collect()
            };
            result.validate(schemas.of(template), template, &plain.bytes, tell);
            true
        });
    });
    if !same {
        return Err("a fault of this program: the traced message is another one".to_owned());
    }
    judged(mapping, &context, files, rendered, result)
}

/// Messages or faults against the expected files.
fn judged(
    mapping: &Mapping,
    context: &CaseContext,
    files: &Files,
    rendered: Result<Vec<(String, super::Rendered)>, Vec<Fault>>,
    result: &mut CaseResult,
) -> Result<(), String> {
    let name = result.name.clone();
    let expected_faults = text(files, &format!("{name}/expected-faults.json"));
    let expected: Vec<String> = mapping.messages(context.kind()).map(|template| expected_file(context.kind(), template)).collect();
    let there: Vec<&String> = expected.iter().filter(|file| files.get(&format!("{name}/{file}")).is_some()).collect();
    match (rendered, there.first(), expected_faults) {
        (_, Some(file), Some(_)) => Err(format!("has both {file} and expected-faults.json")),
        (Ok(_), None, Some(_)) => Err("faults were expected, but a message was made".to_owned()),
        (Ok(made), ..) => {
            let mut problems = Vec::new();
            let made_files: Vec<String> = made.iter().map(|(template, _)| expected_file(context.kind(), template)).collect();
            for ((_, rendered), file) in made.iter().zip(&made_files) {
                result.actual.push((format!("{name}/{file}"), indented(&rendered.bytes)));
                match files.get(&format!("{name}/{file}")) {
                    Some(expected) => {
                        problems.extend(compare(expected, &rendered.bytes).err().map(|difference| show(file, &difference)));
                    }
                    None => problems.push(format!("{file} is missing; PRECLEAR_BLESS=1 writes it, for you to read")),
                }
            }
            let too_many = there.into_iter().filter(|file| !made_files.contains(file));
            problems.extend(too_many.map(|file| format!("{file}: such a message was not made")));
            result.problems.extend(problems);
            Ok(())
        }
        (Err(faults), None, expected) => {
            result.actual.push((format!("{name}/expected-faults.json"), faults_json(&faults)));
            match expected {
                Some(expected) => compare_faults(expected, &faults),
                None => Err(format!("a message was expected, but there are faults:\n{}", list(&faults))),
            }
        }
        (Err(faults), Some(_), None) => Err(format!("a message was expected, but there are faults:\n{}", list(&faults))),
    }
}

fn show(file: &str, difference: &Difference) -> String {
    let Difference { path, message, expected_line, actual_line } = difference;
    format!("{file} line {expected_line}, message line {actual_line}: {path}: {message}")
}

fn faults_json(faults: &[Fault]) -> Vec<u8> {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("  {{\"pointer\": {:?}, \"code\": {:?}}}", fault.pointer, fault.code)).collect();
    format!("[\n{}\n]\n", lines.join(",\n")).into_bytes()
}

fn compare_faults(expected: &str, faults: &[Fault]) -> Result<(), String> {
    let expected: Value = serde_json::from_str(expected).map_err(|error| format!("expected-faults.json: {error}"))?;
    let field = |fault: &Value, key: &str| fault.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut wanted: Vec<(String, String)> =
        expected.as_array().into_iter().flatten().map(|fault| (field(fault, "pointer"), field(fault, "code"))).collect();
    let mut actual: Vec<(String, String)> = faults.iter().map(|fault| (fault.pointer.clone(), fault.code.to_string())).collect();
    wanted.sort();
    actual.sort();
    let show = |list: &[(String, String)]| list.iter().map(|(pointer, code)| format!("{pointer} {code}")).collect::<Vec<_>>().join(", ");
    if wanted == actual { Ok(()) } else { Err(format!("expected faults: {}; found: {}", show(&wanted), show(&actual))) }
}

fn notice_case(files: &Files, name: &str, schemas: &Schemas, tally: &mut Tally<'_>) -> CaseResult {
    let mut result = CaseResult::new(name);
    if let Err(problem) = checked_notice(files, name, &mut result, tally) {
        result.problems.push(problem);
    }
    // What is kept as unreadable, and JSON, is held to no schema.
    let xml = files.get(&format!("{name}/notice.xml")).filter(|bytes| tally.read(name, bytes).is_ok());
    if let Some(bytes) = xml {
        let tell = |violations: Vec<Violation>| violations.iter().map(|violation| told(violation, None)).collect();
        result.validate(schemas.notice(), "notice", bytes, tell);
    }
    result
}

fn checked_notice(files: &Files, name: &str, result: &mut CaseResult, tally: &mut Tally<'_>) -> Result<(), String> {
    let file = |ending: &str| files.get(&format!("{name}/notice.{ending}"));
    let bytes = file("xml").or_else(|| file("json")).ok_or("notice.xml (or notice.json) is missing")?;
    let actual = match tally.read(name, bytes) {
        Ok(facts) => serde_json::to_value(facts).map_err(|error| error.to_string())?,
        Err(unreadable) => serde_json::json!({ "unreadable": unreadable.reason.as_str() }),
    };
    let shown = serde_json::to_string_pretty(&plain(&actual)).map_err(|error| error.to_string())?;
    result.actual.push((format!("{name}/expected.json"), format!("{shown}\n").into_bytes()));
    let expected = text(files, &format!("{name}/expected.json")).ok_or("expected.json is missing")?;
    let expected: Value = serde_json::from_str(expected).map_err(|error| format!("expected.json: {error}"))?;
    match differs(&plain(&expected), &plain(&actual), String::new()) {
        None => Ok(()),
        Some(difference) => Err(tally.with_root(difference, bytes)),
    }
}

/// Without members that are null or empty lists: left out or not, they say the same. The status
/// stays, for a note is told by its null.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(plain).collect()),
        Value::Object(members) => {
            let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let kept = members.iter().filter(|(key, value)| !empty(value) || *key == "status");
            Value::Object(kept.map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

fn differs(expected: &Value, actual: &Value, at: String) -> Option<String> {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter()
                .find_map(|key| differs(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), format!("{at}/{key}")))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| differs(a, b, format!("{at}/{index}")))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{at}{}expected {a}, found {b}", if at.is_empty() { "" } else { ": " })),
    }
}
