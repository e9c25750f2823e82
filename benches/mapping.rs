//! Mapping and reading against the least that any program must do, in the same run, on one thread.
//!
//! `cargo bench --bench mapping`. Rounds alternate, the best of each counts.
//!
//! - Writing: hmrc-cds for Great Britain, five lines, against a bare quick-xml writer that emits the recorded elements,
//!   attributes and texts of the very same message into a buffer of the right size.
//! - Validating: JSON read, mapped and validated, against the validator alone. Needs the official schemas, beside the
//!   repository or where `PRECLEAR_SHARED` says; without them it says that it was skipped.
//! - Reading: notices against a bare quick-xml pass over the same bytes, which resolves and keeps nothing.
//! - Growth: microseconds a line from 1 to 999 lines, which has to stay level.

use std::hint::black_box;
use std::time::{Duration, Instant};

use preclear::domain::declaration::Declaration;
use preclear::domain::delivery::MessageKind;
use preclear::domain::ids::{ConversationId, MessageId};
use preclear::domain::json;
use preclear::mapping::schema::Schemas;
use preclear::mapping::{Input, Mapping, MessageContext, PostContext, Registry, Settings, Source};
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINES: usize = 5;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(300);

/// A step of the bare writer, with texts as they are before escaping.
enum Step {
    Declaration,
    Start(String, Vec<(String, String)>),
    Text(String),
    End(String),
}

fn record(message: &[u8]) -> Vec<Step> {
    let mut reader = Reader::from_str(std::str::from_utf8(message).expect("UTF-8"));
    let mut steps = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Decl(_) => steps.push(Step::Declaration),
            Event::Start(start) => {
                let attributes = start.attributes().map(|attribute| attribute.expect("attribute"));
                let attributes = attributes.map(|attribute| (attribute.key.as_ref().to_owned(), attribute.value.into_owned())).collect();
                steps.push(Step::Start(start.name().as_ref().to_owned(), attributes));
            }
            Event::End(end) => steps.push(Step::End(end.name().as_ref().to_owned())),
            Event::Text(text) => steps.push(Step::Text(text.to_string())),
            Event::GeneralRef(_) => panic!("the message of the bench has nothing to escape"),
            Event::Eof => return steps,
            _ => {}
        }
    }
}

fn write_bare(steps: &[Step], capacity: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::with_capacity(capacity));
    for step in steps {
        let event = match step {
            Step::Declaration => Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)),
            Step::Start(name, attributes) => {
                let mut start = BytesStart::new(name);
                for (name, value) in attributes {
                    start.push_attribute((name.as_str(), value.as_str()));
                }
                Event::Start(start)
            }
            Step::Text(text) => Event::Text(BytesText::new(text)),
            Step::End(name) => Event::End(BytesEnd::new(name)),
        };
        writer.write_event(event).expect("written");
    }
    writer.into_inner()
}

fn read(bytes: &[u8]) -> Declaration {
    let (declaration, faults, _) = Declaration::read_shape(&json::parse(bytes).expect("JSON"));
    assert!(faults.is_empty());
    declaration
}

fn render(mapping: &Mapping, settings: &Settings, declaration: &Declaration) -> Vec<u8> {
    let input = Input {
        declaration,
        settings,
        message: MessageContext {
            lrn: "EE123456785KR26112001",
            id: MessageId(uuid::Uuid::nil()),
            conversation_id: ConversationId(uuid::Uuid::nil()),
            created_at: "2026-11-20T12:00:00Z".parse().expect("instant"),
        },
        mrn: None,
        reason: None,
        previous: None,
        post: PostContext { code: "KRA", name: "Korea Post" },
        broker: "uk-broker",
    };
    mapping.render(MessageKind::Declaration, &input).expect("renders").bytes
}

/// How often something is done in a second.
fn rate<T>(mut work: impl FnMut() -> T) -> f64 {
    let begun = Instant::now();
    let mut done = 0u32;
    while begun.elapsed() < ROUND {
        for _ in 0..20 {
            black_box(work());
        }
        done += 20;
    }
    f64::from(done) / begun.elapsed().as_secs_f64()
}

fn tell(rows: &[(&str, f64)]) {
    let base = rows.first().map_or(1.0, |(_, rate)| *rate);
    for (name, rate) in rows {
        println!("  {name:<28} {rate:>10.0}/s  {:>8.1} us  ratio {:.2}", 1e6 / rate, rate / base);
    }
}

/// A declaration of so many lines, as JSON.
fn body(case: &[u8], lines: usize) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(case).expect("JSON");
    let contents = value["contents"].as_array_mut().expect("lines");
    let mut line = contents.first().expect("a line").clone();
    // So cheap and light that any number of them stays within the limits of the format.
    line["value"]["amount"] = "0.10".into();
    line["net_weight_g"] = 1.into();
    *contents = vec![line; lines];
    value["gross_weight_g"] = 2000.into();
    value.to_string().into_bytes()
}

fn writing(mapping: &Mapping, settings: &Settings, body: &[u8]) {
    let declaration = read(body);
    let message = render(mapping, settings, &declaration);
    let steps = record(&message);
    let same = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("/>", ">").replace('\n', "");
    assert_eq!(same(&write_bare(&steps, message.len())), same(&message), "the bare writer writes the same document");
    let (mut bare, mut mapped, mut whole) = (0f64, 0f64, 0f64);
    for _ in 0..ROUNDS {
        bare = bare.max(rate(|| write_bare(&steps, message.len())));
        mapped = mapped.max(rate(|| render(mapping, settings, &declaration)));
        whole = whole.max(rate(|| render(mapping, settings, &read(body))));
    }
    println!("writing: {LINES} lines, message of {} bytes", message.len());
    tell(&[("bare quick-xml writer", bare), ("mapped", mapped), ("JSON read and mapped", whole)]);
}

fn validating(mapping: &Mapping, settings: &Settings, body: &[u8]) {
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("PRECLEAR_SHARED").map_or_else(beside, Into::into);
    let folder = shared.join("schemas/hmrc-cds");
    if !folder.is_dir() {
        return println!("validating: SKIPPED, no official schemas; set PRECLEAR_SHARED");
    }
    let schemas = Schemas::load(&mapping.manifest, &folder, false).expect("schemas");
    let schema = schemas.of("declaration").expect("a schema");
    let message = render(mapping, settings, &read(body));
    let found = schema.validate(&message).expect("a verdict");
    assert!(found.is_some_and(|found| found.is_empty()), "the message of the bench is valid");
    let (mut alone, mut whole) = (0f64, 0f64);
    for _ in 0..ROUNDS {
        alone = alone.max(rate(|| schema.validate(&message)));
        whole = whole.max(rate(|| schema.validate(&render(mapping, settings, &read(body)))));
    }
    println!("validating: the same message");
    tell(&[("validator alone", alone), ("read, mapped and validated", whole)]);
}

/// Every event of a document, nothing of it kept.
fn pass(bytes: &[u8]) -> usize {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).expect("UTF-8"));
    let mut events = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => return events,
            Event::Start(start) | Event::Empty(start) => events += 1 + start.attributes().count(),
            _ => events += 1,
        }
    }
}

fn reading(mapping: &Mapping, notice: &[u8], name: &str) {
    let (mut bare, mut facts) = (0f64, 0f64);
    assert!(mapping.read(notice).is_ok(), "{name}");
    for _ in 0..ROUNDS {
        bare = bare.max(rate(|| pass(notice)));
        facts = facts.max(rate(|| mapping.read(notice)));
    }
    println!("reading: {name}, {} bytes", notice.len());
    tell(&[("bare quick-xml pass", bare), ("facts read", facts)]);
}

fn growth(mapping: &Mapping, settings: &Settings, case: &[u8]) {
    println!("growth:");
    for lines in [1, 5, 50, 250, 999] {
        let declaration = read(&body(case, lines));
        let best = (0..ROUNDS).map(|_| rate(|| render(mapping, settings, &declaration))).fold(0f64, f64::max);
        println!(
            "  {lines:>4} lines  {:>9.1} us  {:>6.2} us a line",
            1e6 / best,
            1e6 / best / f64::from(u32::try_from(lines).expect("few"))
        );
    }
}

fn main() {
    let (registry, broken) = Registry::load(&Source::Embedded);
    assert!(broken.is_empty(), "{broken:?}");
    let mapping = registry.get("hmrc-cds").expect("hmrc-cds");
    let files = registry.files("hmrc-cds").expect("files");
    let file = |path: &str| files.get(path).unwrap_or_else(|| panic!("{path}")).to_vec();
    let case = file("cases/gb-eight-lines/declaration.json");
    let table: toml::Table = toml::from_str("declarant_eori = \"GB123456789000\"").expect("TOML");
    let settings = mapping.settings(&table).expect("settings");
    println!("hmrc-cds, best of {ROUNDS} rounds, one thread");
    writing(&mapping, &settings, &body(&case, LINES));
    validating(&mapping, &settings, &body(&case, LINES));
    for notice in ["03-rejected", "13-duties-final-several"] {
        reading(&mapping, &file(&format!("notices/{notice}/notice.xml")), notice);
    }
    growth(&mapping, &settings, &case);
}
