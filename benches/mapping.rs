//! Messages mapped per second against a bare quick-xml writer of the same document.
//!
//! `cargo bench --bench mapping`: hmrc-cds for Great Britain, five lines of contents, one thread. The bare
//! writer emits the recorded elements, attributes and texts of the very same message, escaping
//! them, into a buffer of the right size: what no mapping can beat. Rounds alternate, the best of
//! each counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

use preclear::domain::declaration::Declaration;
use preclear::domain::delivery::MessageKind;
use preclear::domain::ids::{ConversationId, MessageId};
use preclear::domain::json;
use preclear::mapping::{Input, Mapping, MessageContext, PostContext, Registry, Settings, Source};
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

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
fn rate(mut work: impl FnMut() -> Vec<u8>) -> f64 {
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

fn main() {
    let (registry, broken) = Registry::load(&Source::Embedded);
    assert!(broken.is_empty(), "{broken:?}");
    let mapping = registry.get("hmrc-cds").expect("hmrc-cds");
    let files = registry.files("hmrc-cds").expect("files");
    let case = files.get("cases/gb-eight-lines/declaration.json").expect("case");
    let mut value: serde_json::Value = serde_json::from_slice(case).expect("JSON");
    value["contents"].as_array_mut().expect("lines").truncate(LINES);
    let body = value.to_string().into_bytes();
    let table: toml::Table = toml::from_str("declarant_eori = \"GB123456789000\"").expect("TOML");
    let settings = mapping.settings(&table).expect("settings");
    let declaration = read(&body);
    let message = render(&mapping, &settings, &declaration);
    let steps = record(&message);
    let same = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("/>", ">").replace('\n', "");
    assert_eq!(same(&write_bare(&steps, message.len())), same(&message), "the bare writer writes the same document");

    let (mut bare, mut mapped, mut whole) = (0f64, 0f64, 0f64);
    for _ in 0..ROUNDS {
        bare = bare.max(rate(|| write_bare(&steps, message.len())));
        mapped = mapped.max(rate(|| render(&mapping, &settings, &declaration)));
        whole = whole.max(rate(|| render(&mapping, &settings, &read(&body))));
    }
    println!("hmrc-cds, {LINES} lines, message of {} bytes, best of {ROUNDS} rounds, one thread", message.len());
    for (name, rate) in [("bare quick-xml writer", bare), ("mapped", mapped), ("JSON read and mapped", whole)] {
        println!("{name:<24} {rate:>10.0} messages/s  {:>7.1} us  ratio {:.2}", 1e6 / rate, rate / bare);
    }
}
