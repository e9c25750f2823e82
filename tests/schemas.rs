//! The official schemas: our validator and xmllint have to agree on every sample and on broken copies of the
//! valid ones, and a fault planted in a template has to come back with its line and the declaration's field.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use preclear::cli::mapping::{MappingArgs, MappingCommand, run};
use preclear::mapping::schema::Schema;
use quick_xml::Reader;
use quick_xml::events::Event;

/// Broken copies that are made of the valid messages of each schema.
const MUTANTS: usize = 60;

/// Schema below `schemas/`, samples below `samples/broker/`, and what a sample's name holds.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("hmrc-cds", "customs/wrapper_submit.xsd", "hmrc-cds/request", ""),
    ("hmrc-cds", "customs/wrapper_cancel.xsd", "hmrc-cds/request", ""),
    ("hmrc-cds", "_driver-notification.xsd", "hmrc-cds/response", "ns__"),
    ("nl-deco", "declaration/DECO.Declaration_2p00.xsd", "nl-deco", ""),
    ("nl-deco", "additional-message/DECO.AdditionalMessage_2p00.xsd", "nl-deco", ""),
    ("nl-deco", "response/DECO.Response_2p00.xsd", "nl-deco", ""),
    ("gb-ens", "submission/CC315A-v11-2.xsd", "gb-ens/request", ""),
    ("gb-ens", "submission/CC313A-v11-2.xsd", "gb-ens/request", ""),
    ("cargowise", "UniversalShipment.xsd", "cargowise/request", ""),
    ("cargowise", "UniversalInterchange.xsd", "cargowise/request", ""),
    ("china-ceb", "xsd202205/海关跨境进口业务节点报文定义202205.xsd", "china-ceb/request", ""),
    ("eu-ics2-cr", "IE3N99.xsd", "eu-ics2-cr", ""),
    ("soap-as4", "soap-1.1-envelope.xsd", "es-aeat/request", ""),
];

/// What is not ours to ship: `None` where it is not there, which a run of the whole check does not forgive.
fn shared() -> Option<PathBuf> {
    let shared =
        std::env::var_os("PRECLEAR_SHARED").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let there = shared.join("schemas").is_dir() && Command::new("xmllint").arg("--version").output().is_ok();
    if !there {
        assert!(std::env::var_os("PRECLEAR_CI").is_none(), "no official schemas or no xmllint; set PRECLEAR_SHARED");
        println!("SKIPPED: no official schemas or no xmllint; set PRECLEAR_SHARED");
    }
    there.then_some(shared)
}

fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("folder");
    folder
}

/// The files that xmllint finds valid.
fn oracle(schema: &Path, files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let output = Command::new("xmllint").args(["--nonet", "--noout", "--schema"]).arg(schema).args(files).output().expect("xmllint runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("failed to compile"), "{told}");
    let valid = |file: &&PathBuf| told.lines().any(|line| line == format!("{} validates", file.display()));
    files.iter().filter(valid).cloned().collect()
}

fn samples(folder: &Path, part: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("samples").map(|entry| entry.expect("entry").path());
    let xml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "xml") && path.to_string_lossy().contains(part);
    let mut files: Vec<PathBuf> = entries.filter(xml).collect();
    files.sort();
    files
}

/// An element of a message: its bytes, and the bytes of its text when it has nothing else.
struct Span {
    parent: usize,
    from: usize,
    /// Where its start tag ends, before `>`.
    open: usize,
    to: usize,
    text: Option<(usize, usize)>,
}

fn spans(message: &str) -> Vec<Span> {
    let mut reader = Reader::from_str(message);
    let (mut spans, mut open): (Vec<Span>, Vec<usize>) = (Vec::new(), Vec::new());
    loop {
        let from = usize::try_from(reader.buffer_position()).expect("position");
        let event = reader.read_event().expect("well-formed");
        let to = usize::try_from(reader.buffer_position()).expect("position");
        let parent = open.last().copied().unwrap_or(usize::MAX);
        match event {
            Event::Start(_) => {
                if let Some(span) = open.last().and_then(|at| spans.get_mut(*at)) {
                    span.text = None;
                }
                open.push(spans.len());
                spans.push(Span { parent, from, open: to - 1, to, text: Some((to, to)) });
            }
            Event::Empty(_) => {
                if let Some(span) = open.last().and_then(|at| spans.get_mut(*at)) {
                    span.text = None;
                }
                spans.push(Span { parent, from, open: to - 2, to, text: None });
            }
            Event::End(_) => {
                let span = &mut spans[open.pop().expect("open")];
                span.text = span.text.map(|(begun, _)| (begun, from));
                span.to = to;
            }
            Event::Eof => return spans,
            _ => {}
        }
    }
}

/// A broken copy: by the number of the way it is broken and of the element.
fn mutant(message: &str, way: usize, at: usize) -> Option<String> {
    let spans = spans(message);
    let (index, span) = spans.iter().enumerate().skip(1).cycle().nth(at % spans.len().max(2))?;
    let put = |from: usize, to: usize, text: &str| Some(format!("{}{text}{}", &message[..from], &message[to..]));
    let whole = &message[span.from..span.to];
    let value = |change: &dyn Fn(&str) -> String| span.text.and_then(|(from, to)| put(from, to, &change(&message[from..to])));
    match way % 8 {
        0 => put(span.from, span.to, ""),
        1 => put(span.from, span.to, &format!("{whole}{whole}")),
        2 => {
            let next = spans.iter().skip(index + 1).find(|other| other.parent == span.parent)?;
            let between = &message[span.to..next.from];
            put(span.from, next.to, &format!("{}{between}{whole}", &message[next.from..next.to]))
        }
        3 => value(&|_| String::new()),
        4 => value(&|text| if text.is_empty() { "x".repeat(3000) } else { text.repeat(30) }),
        5 => value(&|text| text.chars().map(|c| if c.is_ascii_digit() { 'x' } else { c }).collect()),
        6 => put(span.open, span.open, " strange='1'"),
        _ => value(&|text| format!("{text}.7")),
    }
}

#[test]
fn our_validator_and_xmllint_agree_on_samples_and_on_broken_copies_of_them() {
    let Some(shared) = shared() else { return };
    let scratch = scratch("mutants");
    let (mut samples_seen, mut valid_seen, mut mutants_seen, mut invalid_mutants) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for (number, (folder, root, sample_folder, part)) in TABLE.iter().enumerate() {
        let folder = shared.join("schemas").join(folder);
        let schema = Schema::load(&folder, root).unwrap_or_else(|faults| panic!("{root}: {faults:?}"));
        let mut compare = |files: &[PathBuf]| {
            let valid = oracle(&folder.join(root), files);
            for file in files {
                let found = schema.validate(&std::fs::read(file).expect("read")).expect("a verdict");
                if found.is_empty() != valid.contains(file) {
                    wrong.push(format!("{root} {}: xmllint says {}, we {found:?}", file.display(), valid.contains(file)));
                }
                assert!(found.iter().all(|found| found.rule != "cvc-elt"), "{}: not explained", file.display());
            }
            valid
        };
        let files = samples(&shared.join("samples/broker").join(sample_folder), part);
        let valid: Vec<PathBuf> = compare(&files).into_iter().collect();
        (samples_seen, valid_seen) = (samples_seen + files.len(), valid_seen + valid.len());
        let mut mutants = Vec::new();
        for n in (0..MUTANTS * 4).take_while(|_| !valid.is_empty()) {
            let original = std::fs::read_to_string(&valid[n % valid.len()]).expect("UTF-8");
            // Elements are taken by a step without a common divisor, so that all depths have their turn.
            if let Some(text) = mutant(original.trim_start_matches('\u{feff}'), n, n * 37 + 11)
                && mutants.len() < MUTANTS
            {
                let file = scratch.join(format!("{number}-{n}.xml"));
                std::fs::write(&file, text).expect("written");
                mutants.push(file);
            }
        }
        if !mutants.is_empty() {
            mutants_seen += mutants.len();
            invalid_mutants += mutants.len() - compare(&mutants).len();
        }
    }
    println!("{samples_seen} samples, {valid_seen} valid; {mutants_seen} broken copies, {invalid_mutants} of them invalid");
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), samples_seen + mutants_seen, &wrong[..wrong.len().min(20)]);
    assert!(valid_seen >= 20 && mutants_seen >= 300 && invalid_mutants >= 200, "{valid_seen} {mutants_seen} {invalid_mutants}");
}

fn check(folder: &Path, schemas: Option<&Path>) -> (u8, String, String) {
    let args = MappingArgs {
        mappings: Some(folder.to_owned()),
        command: MappingCommand::Check { names: Vec::new(), schemas: schemas.map(Path::to_owned), coverage: false },
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&args, &mut out, &mut err);
    (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

/// A mapping of two messages with a schema of our own beside it.
const SMALL: &[(&str, &str)] = &[
    (
        "mapping.toml",
        r#"title = "Small"
version = "1.0.0"
source = "our own"
[transport]
content_type = "application/xml"
[messages]
declaration = ["declaration.xml", { template = "waybill.xml", when = "category != 'gift'" }]
[schemas]
declaration = "small.xsd"
waybill = "small.xsd"
"#,
    ),
    (
        "declaration.xml",
        r#"<Small xmlns="urn:small" xmlns:p="urn:preclear:mapping:1">
  <Reference>{message.lrn}</Reference>
  <Sent>{message.created_at | date('iso')}</Sent>
  <Line p:each="line in contents">
    <Text>{line.description}</Text>
    <Pieces>{line.quantity}</Pieces>
  </Line>
</Small>
"#,
    ),
    ("waybill.xml", "<Waybill xmlns=\"urn:small\"><Reference>{message.lrn}</Reference><Item>{item_id}</Item></Waybill>\n"),
    (
        "schema/small.xsd",
        r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:small" targetNamespace="urn:small" elementFormDefault="qualified">
  <xs:simpleType name="Text"><xs:restriction base="xs:string"><xs:maxLength value="30"/></xs:restriction></xs:simpleType>
  <xs:element name="Small"><xs:complexType><xs:sequence>
    <xs:element name="Reference" type="Text"/>
    <xs:element name="Sent" type="xs:dateTime"/>
    <xs:element name="Line" maxOccurs="99"><xs:complexType><xs:sequence>
      <xs:element name="Text" type="Text"/><xs:element name="Pieces" type="xs:positiveInteger"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="Waybill"><xs:complexType><xs:sequence>
    <xs:element name="Reference" type="Text"/><xs:element name="Item" type="Text"/>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>
"#,
    ),
    (
        "cases/one/expected.xml",
        r#"<Small xmlns="urn:small"><Reference>EE123456785KR26112001</Reference><Sent>2026-11-20T12:00:00Z</Sent>
  <Line><Text>Cotton T-shirt, men's</Text><Pieces>2</Pieces></Line></Small>"#,
    ),
    (
        "cases/one/expected-waybill.xml",
        r#"<Waybill xmlns="urn:small"><Reference>EE123456785KR26112002</Reference><Item>EE123456785KR</Item></Waybill>"#,
    ),
];

fn small(name: &str) -> PathBuf {
    let folder = scratch(name);
    for (path, text) in SMALL {
        put(&folder.join("small").join(path), text);
    }
    let declaration = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/hmrc-cds/cases/gb-one-line/declaration.json");
    std::fs::copy(declaration, folder.join("small/cases/one/declaration.json")).expect("copied");
    folder
}

fn put(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    std::fs::write(path, text).expect("written");
}

/// Changes a file of a mapping.
fn plant(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("read");
    assert!(text.contains(from), "{from}");
    put(path, &text.replacen(from, to, 1));
}

#[test]
fn a_fault_of_a_template_comes_back_with_its_line_and_the_field_behind_it() {
    let sound = small("small-sound");
    let (code, out, err) = check(&sound, None);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.ends_with("1 mapping, 0 faults, 0 warnings, 1 case, 0 failed, 2 messages valid against their schema\n"), "{out}");
    let reference = "  <Reference>{message.lrn}</Reference>\n";
    let sent = "  <Sent>{message.created_at | date('iso')}</Sent>\n";
    #[rustfmt::skip]
    let plants: &[(&str, &str, &str)] = &[
        // An order, a wrong type, a missing element, a text that is too long.
        (&format!("{reference}{sent}"), &format!("{sent}{reference}"), "small/declaration.xml:2:4: /Small/Sent: not allowed here; expected: Reference (rule cvc-complex-type.2.4)"),
        ("{line.quantity}", "{line.origin_country}", "small/declaration.xml:6:6: /Small/Line/Pieces: a whole number from 1 (field /contents/0/origin_country, rule cvc-datatype-valid)"),
        ("    <Pieces>{line.quantity}</Pieces>\n", "", "small/declaration.xml:4:4: /Small/Line: an element is missing: Pieces (rule cvc-complex-type.2.4)"),
        ("{line.description}", "{line.description ~ ' and much more'}", "small/declaration.xml:5:6: /Small/Line/Text: at most 30 characters (field /contents/0/description, rule cvc-maxLength-valid)"),
    ];
    for (number, (from, to, expected)) in plants.iter().enumerate() {
        let folder = small(&format!("small-{number}"));
        plant(&folder.join("small/declaration.xml"), from, to);
        let (code, _, err) = check(&folder, None);
        assert_eq!(code, 1);
        let told: Vec<&str> =
            err.lines().filter_map(|line| line.split_once("not valid against the schema: ")).map(|(_, told)| told).collect();
        assert_eq!(told, [*expected], "{err}");
    }
}

#[test]
fn each_message_of_a_declaration_has_its_own_case_reference_and_schema() {
    let folder = small("several");
    // The second message is the one that breaks its schema.
    plant(&folder.join("small/waybill.xml"), "<Item>{item_id}</Item>", "<Item>{item_id}</Item><Item>{item_id}</Item>");
    let (code, _, err) = check(&folder, None);
    assert_eq!(code, 1);
    assert!(err.contains("small/cases/one: expected-waybill.xml line "), "{err}");
    assert!(err.contains("schema: small/waybill.xml:1:87: /Waybill/Item[2]: not allowed here; nothing more may follow"), "{err}");
    // Left out by its condition, it must not be expected; made, it must be.
    let folder = small("left-out");
    plant(&folder.join("small/mapping.toml"), "category != 'gift'", "category == 'gift'");
    let (_, _, err) = check(&folder, None);
    assert_eq!(err, "small/cases/one: expected-waybill.xml: such a message was not made\n");
    std::fs::remove_file(folder.join("small/cases/one/expected-waybill.xml")).expect("removed");
    assert_eq!(check(&folder, None).0, 0);
    let folder = small("not-expected");
    std::fs::remove_file(folder.join("small/cases/one/expected-waybill.xml")).expect("removed");
    assert_eq!(check(&folder, None).2, "small/cases/one: expected-waybill.xml is missing; PRECLEAR_BLESS=1 writes it, for you to read\n");
    // Printed, several are announced; one is printed as it is sent.
    let render = |folder: &Path| {
        let declaration = folder.join("small/cases/one/declaration.json");
        let command = MappingCommand::Render { name: "small".to_owned(), declaration, settings: None, previous: None, pretty: false };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run(&MappingArgs { mappings: Some(folder.to_owned()), command }, &mut out, &mut err), 0);
        String::from_utf8(out).expect("UTF-8")
    };
    let several = render(&folder);
    let begins: Vec<&str> = several.lines().filter_map(|line| line.get(..10)).filter(|line| line.starts_with('<')).collect();
    assert_eq!(begins, ["<!-- decla", "<Small xml", "<!-- waybi", "<Waybill x"], "{several}");
    plant(&folder.join("small/mapping.toml"), "category != 'gift'", "category == 'gift'");
    assert!(render(&folder).starts_with("<Small xmlns=\"urn:small\">"));
}

#[test]
fn what_messages_names_wrongly_is_a_fault_of_the_mapping() {
    let table = [
        ("\"declaration.xml\", ", "", "mapping.toml:6:1: declaration has to name declaration.xml, beside others"),
        ("waybill.xml\", when", "waybil.xml\", when", "waybil.xml:0:0: the file is missing, and [messages] names it"),
        ("waybill.xml\", when", "amendment.xml\", when", "mapping.toml:7:49: amendment.xml makes another message already"),
        (
            "waybill.xml\", when",
            "../waybill.xml\", when",
            "mapping.toml:7:49: the name of a template beside mapping.toml, like waybill.xml",
        ),
        ("category !=", "categori !=", "mapping.toml:7:71: "),
        ("waybill = \"small", "waybil = \"small", "(did you mean waybill?)"),
        ("when =", "wen =", "unknown key wen (did you mean when?)"),
        ("declaration = [\"d", "declaraton = [\"d", "unknown key declaraton (did you mean declaration?)"),
    ];
    for (from, to, expected) in table {
        let folder = small("messages");
        plant(&folder.join("small/mapping.toml"), from, to);
        let (code, _, err) = check(&folder, None);
        assert_eq!(code, 1, "{from} -> {to}");
        assert!(err.contains(expected), "{from} -> {to}: {err}");
    }
    // What nobody names stays a file that a mapping does not have.
    let folder = small("unnamed");
    plant(&folder.join("small/mapping.toml"), ", { template = \"waybill.xml\", when = \"category != 'gift'\" }", "");
    plant(&folder.join("small/mapping.toml"), "waybill = \"small.xsd\"\n", "");
    assert!(check(&folder, None).2.contains("small/waybill.xml:0:0: a mapping has no such file"));
}

#[test]
fn a_fault_planted_in_a_shipped_mapping_is_found_by_the_official_schema() {
    let Some(shared) = shared() else { return };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/hmrc-cds");
    #[rustfmt::skip]
    let plants: &[(&str, &str, &str, &str)] = &[
        ("<FunctionCode>9</FunctionCode>\n    <FunctionalReferenceID>{message.lrn}</FunctionalReferenceID>", "<FunctionalReferenceID>{message.lrn}</FunctionalReferenceID>\n    <FunctionCode>9</FunctionCode>", "/MetaData/Declaration/FunctionalReferenceID: not allowed here", ""),
        ("<GoodsItemQuantity>{line_count}", "<GoodsItemQuantity>{contents[0].description}", "/MetaData/Declaration/GoodsItemQuantity: a decimal number", "field /contents/0/description"),
        ("<Description>{line.description | latin | cut(512)}", "<Description>{line.description ~ settings.long ~ (line.description | latin | cut(512))}", "Commodity/Description: at most 512 characters", "field /contents/0/description"),
    ];
    for (number, (from, to, place, field)) in plants.iter().enumerate() {
        let folder = scratch(&format!("planted-{number}"));
        let copy = folder.join("hmrc-cds");
        for part in ["mapping.toml", "declaration.xml", "notices.toml", "codes", "cases/gb-one-line"] {
            let _ = std::fs::create_dir_all(copy.join(part).parent().expect("parent"));
            assert!(Command::new("cp").arg("-r").arg(shipped.join(part)).arg(copy.join(part)).status().expect("cp").success());
        }
        let (code, _, err) = check(&folder, Some(&shared.join("schemas")));
        assert_eq!((code, err.as_str()), (0, ""), "sound before");
        plant(&copy.join("declaration.xml"), from, to);
        if to.contains("settings.long") {
            plant(
                &copy.join("mapping.toml"),
                "[[settings]]",
                "[[settings]]\nname = \"long\"\ntype = \"string\"\nexample = \"x\"\ndescription = \"x\"\n\n[[settings]]",
            );
            let settings = copy.join("cases/gb-one-line/settings.toml");
            let text = std::fs::read_to_string(&settings).expect("settings");
            put(&settings, &format!("long = \"{}\"\n{text}", "x".repeat(500)));
        }
        let (code, _, err) = check(&folder, Some(&shared.join("schemas")));
        assert_eq!(code, 1, "{err}");
        let line = err.lines().find(|line| line.contains("not valid against the schema")).unwrap_or_else(|| panic!("{err}"));
        assert!(line.contains(": hmrc-cds/declaration.xml:") && line.contains(place) && line.contains(field), "{line}");
        let after = std::fs::read_to_string(copy.join("declaration.xml")).expect("read");
        let wrong = after[..after.find(to).expect("planted")].lines().count();
        let told: usize = line
            .split("hmrc-cds/declaration.xml:")
            .nth(1)
            .and_then(|rest| rest.split(':').next())
            .and_then(|n| n.parse().ok())
            .expect("line");
        assert!(told.abs_diff(wrong) <= 1, "{line}: planted in line {wrong}");
    }
}

#[test]
fn what_the_envelope_of_a_shipped_mapping_hides_is_held_to_its_own_schema_and_what_has_none_is_listed() {
    let Some(shared) = shared() else { return };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let schemas = shared.join("schemas");
    let copied = |mapping: &str| {
        let folder = scratch(&format!("inside-{mapping}"));
        assert!(Command::new("cp").arg("-r").arg(shipped.join(mapping)).arg(&folder).status().expect("cp").success());
        folder
    };
    let broken = |folder: &Path| {
        let (code, _, err) = check(folder, Some(&schemas));
        assert_eq!(code, 1);
        let told = err.lines().filter_map(|line| line.split_once("not valid against the schema: ").map(|(_, told)| told.to_owned()));
        told.collect::<Vec<String>>()
    };
    let folder = copied("cargowise");
    assert_eq!(check(&folder, Some(&schemas)).2, "");
    plant(&folder.join("cargowise/declaration.xml"), "<LineNo>{position}", "<LineNo>{line.description}");
    let told = broken(&folder);
    assert!(!told.is_empty() && told.iter().all(|told| told.starts_with("cargowise/declaration.xml:113:")), "{told:?}");
    assert!(told[0].contains("/UniversalInterchange/Body/UniversalShipment/Shipment/"), "{told:?}");
    assert!(told[0].contains("/LineNo: a whole number") && told[0].contains("(field /contents/0/description, "), "{told:?}");

    let folder = copied("gb-ens");
    let err = check(&folder, Some(&schemas)).2;
    let skipped: Vec<&str> = err.lines().collect();
    assert!(matches!(skipped[..], [one] if one.starts_with("skipped: validation of gb-ens: ") && one.contains("cc351a")), "{err}");
    plant(&folder.join("gb-ens/notices/outcome-cc328a-registered/notice.xml"), "<DocNumHEA5>", "<Strange/><DocNumHEA5>");
    let told = broken(&folder);
    assert!(matches!(&told[..], [one] if one.starts_with("/outcomeResponse/response/CC328A/HEAHEA/Strange: not allowed")), "{told:?}");
}
