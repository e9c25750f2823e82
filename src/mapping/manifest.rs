//! `mapping.toml`: what a mapping says about itself, its transport, its limits and its settings.

use super::faults::{FileFaults, Remark};
use super::messages::{self, Part};
use super::settings::{SettingKind, SettingSpec};
use super::tables::{self, Table, Text};
use crate::domain::declaration::Declaration;

/// How messages of a mapping travel and how the reply to one is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// `Content-Type` of a message.
    pub content_type: String,
    /// The mapping's own headers, in order.
    pub headers: Vec<(String, String)>,
    /// Whether a 2xx reply without a body means delivered.
    pub empty_reply_is_delivered: bool,
    /// The reply's and callback's header that names the conversation of our message.
    pub conversation_header: Option<String>,
}

/// What currencies the lines of a declaration may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Currency {
    /// Each line its own.
    #[default]
    PerLine,
    /// All lines the same.
    Single,
    /// This one; other amounts need a rate.
    Fixed(String),
}

/// A document inside of a message: `[schemas.inside]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The template of the message, by its name without `.xml`, or `notice`.
    pub message: String,
    /// The element that is the document, without prefix.
    pub element: String,
    /// The root file of its schema.
    pub schema: String,
}

/// `mapping.toml`
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// One line for people.
    pub title: String,
    /// The declared version.
    pub version: String,
    /// Where the format is described.
    pub source: String,
    /// Whether the file could be read at all; if not, nothing is known of what it says.
    pub readable: bool,
    /// Still being written: places may be undecided, and no broker can use it.
    pub draft: bool,
    /// Currency rule.
    pub currency: Currency,
    /// Fields that may come with the consignment, as paths.
    pub late: Vec<String>,
    /// Transport.
    pub transport: Transport,
    /// Fewest and most lines.
    pub lines: Option<(u32, u32)>,
    /// The messages of each kind, in the order in which they are sent.
    pub messages: Vec<Part>,
    /// The official schema's root file per template, by its name without `.xml` (and `notice`).
    pub schemas: Vec<(String, String)>,
    /// The official schemas of documents inside of messages.
    pub inside: Vec<Inside>,
    /// Settings that it asks for.
    pub settings: Vec<SettingSpec>,
}

impl Manifest {
    /// Its settings; none when the file could not be read.
    pub(super) fn known_settings(&self) -> Option<&[SettingSpec]> {
        self.readable.then_some(self.settings.as_slice())
    }

    /// What stands for a file that cannot be read: only what is wrong whatever it says is a fault of the others.
    pub(super) fn unread() -> Self {
        Self { messages: messages::usual(), draft: true, ..Self::default() }
    }

    /// Whether any message has an official schema.
    pub fn names_a_schema(&self) -> bool {
        !self.schemas.is_empty() || !self.inside.is_empty()
    }
}

/// Reads `mapping.toml`.
pub(super) fn read<'t>(text: &'t str, faults: &mut FileFaults<'t>) -> Manifest {
    let Some(parsed) = tables::parse(text, faults) else { return Manifest::unread() };
    let mut manifest = Manifest { readable: true, messages: messages::usual(), ..Manifest::default() };
    let mut table = Table::new(parsed.get_ref(), 0..0);
    let text_of = |key, table: &mut Table<'_>, faults: &mut FileFaults<'_>| {
        table.needed(key, faults).map(|text| text.text.to_owned()).unwrap_or_default()
    };
    manifest.title = text_of("title", &mut table, faults);
    manifest.source = text_of("source", &mut table, faults);
    manifest.draft = table.bool("draft", faults).unwrap_or(false);
    manifest.version = version(&mut table, faults);
    manifest.currency = currency(&mut table, faults);
    for path in table.texts("late", faults) {
        match declared(path.text) {
            Ok(()) => manifest.late.push(path.text.to_owned()),
            Err(remark) => faults.at(path.at, remark),
        }
    }
    match table.table("transport", faults) {
        Some(inner) => manifest.transport = transport(inner, faults),
        None => faults.at(0, "the table [transport] is missing"),
    }
    if let Some(mut limits) = table.table("limits", faults) {
        if let Some(mut lines) = limits.table("lines", faults) {
            let (min, max) = (lines.count("min", faults).unwrap_or(0), lines.count("max", faults).unwrap_or(u32::MAX));
            if min > max {
                faults.at(lines.at(), "min is greater than max");
            }
            manifest.lines = Some((min, max));
            lines.finish(faults);
        }
        limits.finish(faults);
    }
    if let Some(inner) = table.table("messages", faults) {
        manifest.messages = messages::read(inner, faults);
    }
    if let Some(inner) = table.table("schemas", faults) {
        schemas(inner, &mut manifest, faults);
    }
    for inner in table.tables("settings", faults) {
        setting(inner, &mut manifest.settings, faults);
    }
    table.finish(faults);
    manifest
}

fn schemas(mut table: Table<'_>, manifest: &mut Manifest, faults: &mut FileFaults<'_>) {
    let templates: Vec<String> = manifest.messages.iter().map(|part| part.template.clone()).chain(["notice".to_owned()]).collect();
    let known = |kind: &Text<'_>, faults: &mut FileFaults<'_>| {
        if !templates.iter().any(|known| known == kind.text) {
            let known = templates.iter().map(String::as_str);
            faults.at(kind.at, Remark::unknown(format!("{} is no kind of message", kind.text), kind.text, known));
        }
    };
    let below = |file: &Text<'_>, faults: &mut FileFaults<'_>| {
        if file.text.starts_with('/') || file.text.split('/').any(|part| part == "..") {
            faults.at(file.at, "a path below the folder of schemas");
        }
    };
    let inside = if table.is_table("inside") { table.table("inside", faults) } else { None };
    for (kind, inner) in inside.into_iter().flat_map(|inside| inside.free_tables(faults)).collect::<Vec<_>>() {
        known(&kind, faults);
        for (element, file) in inner.free_texts(faults) {
            if element.text.is_empty() || element.text.contains([':', '/', ' ']) {
                faults.at(element.at, "the name of an element, without a prefix");
            }
            below(&file, faults);
            let (message, element, schema) = (kind.text.to_owned(), element.text.to_owned(), file.text.to_owned());
            manifest.inside.push(Inside { message, element, schema });
        }
    }
    for (kind, file) in table.free_texts(faults) {
        known(&kind, faults);
        below(&file, faults);
        manifest.schemas.push((kind.text.to_owned(), file.text.to_owned()));
    }
}

fn version(table: &mut Table<'_>, faults: &mut FileFaults<'_>) -> String {
    let Some(version) = table.needed("version", faults) else { return String::new() };
    let sound =
        version.text.len() <= 32 && version.text.split('.').count() == 3 && version.text.split('.').all(|part| part.parse::<u32>().is_ok());
    if !sound {
        faults.at(version.at, "a version like 1.0.0");
    }
    version.text.to_owned()
}

fn currency(table: &mut Table<'_>, faults: &mut FileFaults<'_>) -> Currency {
    let Some(word) = table.text("currency", faults) else { return Currency::PerLine };
    match word.text {
        "per_line" => Currency::PerLine,
        "single" => Currency::Single,
        code if iso_currency::Currency::from_code(code).is_some() => Currency::Fixed(code.to_owned()),
        _ => {
            faults.at(word.at, "per_line, single or a currency of ISO 4217");
            Currency::PerLine
        }
    }
}

/// Whether a dotted path names a field of the declaration.
fn declared(path: &str) -> Result<(), Remark> {
    let mut ty = super::value::Ty::Record(Declaration::DESCRIPTOR);
    for name in path.split('.') {
        ty = super::scope::field(&ty, name)?.1;
    }
    Ok(())
}

fn transport(mut table: Table<'_>, faults: &mut FileFaults<'_>) -> Transport {
    let mut transport = Transport { empty_reply_is_delivered: true, ..Transport::default() };
    if let Some(content_type) = table.needed("content_type", faults) {
        if !is_header_value(content_type.text) || !content_type.text.contains('/') {
            faults.at(content_type.at, "a media type like application/xml; charset=UTF-8");
        }
        transport.content_type = content_type.text.to_owned();
    }
    if let Some(word) = table.text("empty_reply", faults) {
        match word.text {
            "delivered" => {}
            "unreadable" => transport.empty_reply_is_delivered = false,
            _ => faults.at(word.at, "delivered, or unreadable when the broker always answers with a body"),
        }
    }
    if let Some(header) = table.text("conversation_header", faults) {
        if !is_header_name(header.text) {
            faults.at(header.at, "the name of a header");
        }
        transport.conversation_header = Some(header.text.to_owned());
    }
    if let Some(headers) = table.table("headers", faults) {
        for (name, value) in headers.free_texts(faults) {
            const OURS: [&str; 6] = ["content-type", "content-length", "host", "idempotency-key", "x-conversation-id", "traceparent"];
            const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
            if SECRET.contains(&name.text.to_ascii_lowercase().as_str()) {
                faults.at(name.at, "secrets never stand in a mapping: the broker's [brokers.NAME.auth] says how it is asked for access");
            }
            if !is_header_name(name.text) || OURS.contains(&name.text.to_ascii_lowercase().as_str()) {
                faults.at(name.at, "the name of a header that the gateway does not set itself");
            }
            if !is_header_value(value.text) {
                faults.at(value.at, "a header's value is plain ASCII in one line");
            }
            transport.headers.push((name.text.to_owned(), value.text.to_owned()));
        }
    }
    table.finish(faults);
    transport
}

fn is_header_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_header_value(value: &str) -> bool {
    (1..=500).contains(&value.len()) && value.bytes().all(|b| (0x20..0x7f).contains(&b))
}

fn setting(mut table: Table<'_>, settings: &mut Vec<SettingSpec>, faults: &mut FileFaults<'_>) {
    let name = table.needed("name", faults);
    let kind = table.needed("type", faults);
    let required = table.bool("required", faults).unwrap_or(false);
    let values = table.texts("values", faults).into_iter().map(|text| text.text.to_owned()).collect::<Vec<_>>();
    let description = table.needed("description", faults).map(|text| text.text.to_owned()).unwrap_or_default();
    let example_given = table.has("example");
    let example = table.written("example").unwrap_or_default();
    let at = table.at();
    if !example_given {
        faults.at(at, "example is missing");
    }
    table.finish(faults);
    let (Some(name), Some(kind)) = (name, kind) else { return };
    let plain = name.text.len() <= 60 && name.text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !plain || !name.text.starts_with(|c: char| c.is_ascii_lowercase()) {
        faults.at(name.at, "a setting's name has small letters, digits and _");
    } else if settings.iter().any(|setting| setting.name == name.text) {
        faults.at(name.at, format!("the setting {} stands twice", name.text));
    }
    let Some((_, kind_of)) = SettingKind::WORDS.iter().find(|(word, _)| *word == kind.text) else {
        let known = SettingKind::WORDS.iter().map(|(word, _)| *word);
        let words: Vec<_> = known.clone().collect();
        return faults.at(kind.at, Remark::unknown(format!("a type is one of: {}", words.join(", ")), kind.text, known));
    };
    let spec = SettingSpec { name: name.text.to_owned(), kind: *kind_of, required, values, example, description };
    if example_given && !spec.takes_example() {
        faults.at(at, format!("the example of {} is not of its type {}", spec.name, spec.kind.as_str()));
    }
    settings.push(spec);
}
