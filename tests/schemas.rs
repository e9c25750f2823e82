//! The official schemas: our validator and xmllint have to agree on every sample and on broken copies of the
//! valid ones, and a fault planted in a template has to come back with its line and the declaration's field.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let (index, span) = spans.iter().enumerate().skip(1).cycle().skip(at % spans.len().max(2)).next()?;
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
