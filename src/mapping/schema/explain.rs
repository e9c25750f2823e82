//! The slow second pass over a message that is not valid: which rule, at which element, and what the schema
//! asks for there.
//!
//! The message is pushed into the validator event by event, so that between two events it can be asked what it
//! expects. Of its own reports only the rule's code is kept: their texts repeat values.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use xsd_schema::namespace::context::NamespaceContextSnapshot;
use xsd_schema::validation::{SchemaInfo, SchemaValidator, ValidationRuntime, ValidationSink, ValidationWarning};
use xsd_schema::{InstanceValidationError, SchemaSet, TypeKey};

use super::words::{self, Asked};
use super::{MAX_VIOLATIONS, Violation};
use crate::mapping::template::entity;

const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The rule of an element that may not stand where it stands, or is missing.
const CONTENT: &str = "cvc-complex-type.2.4";
/// The rule of an element that the schema has no declaration of.
const UNKNOWN: &str = "cvc-elt.1";
/// The rule of a value that is none of its type.
const DATATYPE: &str = "cvc-datatype-valid";

/// The codes of the rules that the last event broke.
#[derive(Default)]
struct Codes(Vec<&'static str>);

impl ValidationSink for Codes {
    fn on_error(&mut self, error: InstanceValidationError) {
        self.0.push(error.constraint);
    }

    fn on_warning(&mut self, _warning: ValidationWarning) {}
}

/// An element that is open.
struct Open {
    /// Length of the path before it.
    path: usize,
    /// Length of the scopes before it.
    scopes: usize,
    offset: usize,
    ty: Option<TypeKey>,
    children: HashMap<String, usize>,
    /// Its own text.
    value: String,
    /// Whether something of its content was told: what follows from that is not told again.
    told: bool,
}

struct Walk<'v, 's> {
    set: &'s SchemaSet,
    run: ValidationRuntime<'v, Codes>,
    open: Vec<Open>,
    /// Names of elements of the document's own level.
    roots: HashMap<String, usize>,
    path: String,
    /// Prefix and namespace, innermost last.
    scopes: Vec<(String, String)>,
    text: String,
    found: Vec<Violation>,
    /// Whether something was reported that the schema allows.
    forgiven: bool,
}

/// What a message breaks; `None` when it cannot be said.
pub(super) fn explain(validator: &SchemaValidator<'_>, set: &SchemaSet, message: &[u8]) -> Option<Vec<Violation>> {
    let text = std::str::from_utf8(message).ok()?;
    let (text, mark) = text.strip_prefix('\u{feff}').map_or((text, 0), |rest| (rest, '\u{feff}'.len_utf8()));
    let scopes = vec![(String::new(), String::new()), ("xml".to_owned(), XML.to_owned())];
    let run = validator.start_run(Codes::default());
    let mut walk = Walk {
        set,
        run,
        open: Vec::new(),
        roots: HashMap::new(),
        path: String::new(),
        scopes,
        text: String::new(),
        found: Vec::new(),
        forgiven: false,
    };
    let mut reader = Reader::from_str(text);
    while walk.found.len() < MAX_VIOLATIONS {
        let at = mark + usize::try_from(reader.buffer_position()).unwrap_or(0);
        match reader.read_event() {
            Ok(Event::Eof) => {
                walk.finish();
                break;
            }
            Ok(event) if walk.event(&event, at).is_some() => {}
            // Not well-formed, which the first pass has told.
            _ => break,
        }
    }
    walk.found.truncate(MAX_VIOLATIONS);
    (walk.forgiven || !walk.found.is_empty()).then_some(walk.found)
}

impl Walk<'_, '_> {
    fn event(&mut self, event: &Event<'_>, at: usize) -> Option<()> {
        match event {
            Event::Text(text) => self.text.push_str(text),
            Event::CData(text) => self.text.push_str(text),
            Event::GeneralRef(name) => self.text.push(entity(name)?),
            other => {
                self.flush();
                match other {
                    Event::Start(start) => self.start(start, at)?,
                    Event::Empty(start) => {
                        self.start(start, at)?;
                        self.end()?;
                    }
                    Event::End(_) => self.end()?,
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// Tells what the last event broke, with what the schema asks for at the present place.
    fn tell(&mut self, path: &str, offset: usize, asked: &Asked<'_>) {
        let mut codes = std::mem::take(&mut self.run.sink.0);
        codes.dedup();
        for rule in codes {
            let detail = words::detail(self.set, rule, asked);
            let violation = Violation { rule, path: path.to_owned(), offset, detail };
            let repeated =
                self.found.iter().any(|known| (known.offset, &known.path, &known.detail) == (offset, &violation.path, &violation.detail));
            if !repeated {
                self.found.push(violation);
            }
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() || self.open.is_empty() {
            return;
        }
        if let Some(open) = self.open.last_mut() {
            open.value.push_str(&text);
        }
        if text.chars().all(char::is_whitespace) {
            self.run.validate_whitespace(&text);
        } else {
            self.run.validate_text(&text);
        }
        let (path, offset) = (self.path.clone(), self.open.last().map_or(0, |open| open.offset));
        self.tell(&path, offset, &Asked::default());
    }

    fn start(&mut self, start: &BytesStart<'_>, at: usize) -> Option<()> {
        let before = Open {
            path: self.path.len(),
            scopes: self.scopes.len(),
            offset: at,
            ty: None,
            children: HashMap::new(),
            value: String::new(),
            told: false,
        };
        let attributes = self.attributes(start)?;
        let name = start.name();
        let (local, namespace) = self.resolved(name.as_ref(), true)?;
        let counts = self.open.last_mut().map_or(&mut self.roots, |parent| &mut parent.children);
        let count = counts.entry(local.clone()).or_default();
        *count += 1;
        self.path.push('/');
        self.path.push_str(&local);
        if *count > 1 {
            self.path.push_str(&format!("[{count}]"));
        }
        let bindings = self.bindings();
        let expected = self.expected();
        let of =
            |name: &str| attributes.iter().find(|(local, uri, _)| local == name && uri == INSTANCE).map(|(_, _, value)| value.as_str());
        let info = self.run.validate_element(&local, &namespace, of("type"), of("nil"), &bindings);
        let path = self.path.clone();
        self.tell_content(&path, at, &expected);
        self.open.push(Open { ty: info.schema_type, ..before });
        for (local, namespace, value) in &attributes {
            let info = self.run.validate_attribute(local, namespace, value);
            self.tell(&format!("{path}/@{local}"), at, &Asked { ty: info.schema_type, ..Asked::default() });
        }
        let needed = self.needed_attributes(&attributes);
        let _: SchemaInfo = self.run.validate_end_of_attributes();
        self.tell(&path, at, &Asked { names: &needed, ..Asked::default() });
        Some(())
    }

    /// What broke the content of the element that is open: told once, for the validator has lost its place in it
    /// and knows none of what follows.
    fn tell_content(&mut self, path: &str, offset: usize, expected: &[String]) {
        let codes = &mut self.run.sink.0;
        if let Some(parent) = self.open.last_mut() {
            let broken = codes.contains(&CONTENT);
            codes.retain(|code| !(parent.told && *code == CONTENT || (parent.told || broken) && *code == UNKNOWN));
            parent.told |= broken;
        }
        self.tell(path, offset, &Asked { names: expected, ..Asked::default() });
    }

    fn end(&mut self) -> Option<()> {
        let expected = self.expected();
        let info = self.run.validate_end_element();
        let open = self.open.pop()?;
        if open.told {
            self.run.sink.0.retain(|code| *code != CONTENT);
        }
        if open.ty.is_some_and(|ty| words::is_base64(self.set, ty)) && is_broken_base64(&open.value) {
            self.forgiven |= self.run.sink.0.contains(&DATATYPE);
            self.run.sink.0.retain(|code| *code != DATATYPE);
        }
        let path = self.path.clone();
        let asked = Asked { ty: open.ty, element: info.element_decl, names: &expected, ends: true };
        self.tell(&path, open.offset, &asked);
        self.path.truncate(open.path);
        self.scopes.truncate(open.scopes);
        Some(())
    }

    fn finish(&mut self) {
        let _ = self.run.end_validation();
        self.tell("", 0, &Asked::default());
    }

    fn expected(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for expected in self.run.get_expected_elements() {
            let name = self.set.name_table.resolve(expected.local_name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn needed_attributes(&self, given: &[(String, String, String)]) -> Vec<String> {
        let needed = self.run.get_expected_attributes().into_iter().filter(|attribute| attribute.required);
        let names = needed.map(|attribute| self.set.name_table.resolve(attribute.local_name));
        names.filter(|name| !given.iter().any(|(local, ..)| local == name)).collect()
    }

    /// Attributes as local name, namespace and value; declarations of namespaces go into the scopes.
    fn attributes(&mut self, start: &BytesStart<'_>) -> Option<Vec<(String, String, String)>> {
        let mut raw = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let (key, value) = (attribute.key.as_ref().to_owned(), resolve(&attribute.value)?);
            match key.strip_prefix("xmlns") {
                Some("") => self.scopes.push((String::new(), value)),
                Some(prefix) if prefix.starts_with(':') => self.scopes.push((prefix[1..].to_owned(), value)),
                _ => raw.push((key, value)),
            }
        }
        raw.into_iter()
            .map(|(key, value)| {
                let (local, namespace) = self.resolved(&key, false)?;
                Some((local, namespace, value))
            })
            .collect()
    }

    fn resolved(&self, name: &str, element: bool) -> Option<(String, String)> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if prefix.is_empty() && !element {
            return Some((local.to_owned(), String::new()));
        }
        let (_, namespace) = self.scopes.iter().rev().find(|(known, _)| known == prefix)?;
        Some((local.to_owned(), namespace.clone()))
    }

    /// The bindings of prefixes, as values like `xsi:type` are read with.
    fn bindings(&self) -> NamespaceContextSnapshot {
        let mut snapshot = NamespaceContextSnapshot::default();
        let names = &self.set.name_table;
        for (at, (prefix, namespace)) in self.scopes.iter().enumerate() {
            let hidden = self.scopes[at + 1..].iter().any(|(later, _)| later == prefix);
            if hidden || namespace.is_empty() || prefix == "xml" {
                continue;
            }
            if prefix.is_empty() {
                snapshot.default_ns = Some(names.add(namespace));
            } else {
                snapshot.bindings.push((names.add(prefix), names.add(namespace)));
            }
        }
        snapshot
    }
}

/// Whether a text is base64 in lines: XML Schema allows it, the crate knows it in one piece only.
fn is_broken_base64(text: &str) -> bool {
    use base64::Engine as _;
    let whole: String = text.split_ascii_whitespace().collect();
    whole.len() < text.len() && base64::engine::general_purpose::STANDARD.decode(whole).is_ok()
}

/// The value of an attribute with its references.
fn resolve(raw: &str) -> Option<String> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        value.push_str(&rest[..at]);
        let end = rest[at..].find(';')? + at;
        value.push(entity(&rest[at + 1..end])?);
        rest = &rest[end + 1..];
    }
    value.push_str(rest);
    Some(value)
}
