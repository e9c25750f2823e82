//! Real messages of authorities and brokers, read by the shipped mappings. The samples are not ours to ship: they are
//! looked for beside the repository, or where `PRECLEAR_SHARED` says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use preclear::domain::fact::Fact;
use preclear::mapping::{Mapping, Registry, Source};

/// Mapping, part of the sample's path, and what it says: each status or note once, in order; `!` refused, `?` unknown.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("hmrc-cds", "/01_DMSACC", "accepted"),
    ("hmrc-cds", "/02_DMSRCV", "registered"),
    ("hmrc-cds", "/03_DMSREJ", "rejected"),
    ("hmrc-cds", "/05_DMSCTL", "held"),
    ("hmrc-cds", "/06_DMSDOC", "documents_required"),
    ("hmrc-cds", "/08_DMSROG", "released"),
    ("hmrc-cds", "/09_DMSCLE", "cleared"),
    ("hmrc-cds", "/10_DMSINV", "cancelled"),
    ("hmrc-cds", "/11_DMSREQ", "-additional_message_accepted"),
    ("hmrc-cds", "/13_DMSTAX", "-duties_final"),
    ("hmrc-cds", "/14_DMSCPI", "duties_due"),
    ("hmrc-cds", "/15_DMSCPR", "duties_due"),
    ("hmrc-cds", "TT_IM016a__02_DMSTAX", "-duties_indicative"),
    ("hmrc-cds", "TT_IM016a__03_DMSDOC", "documents_required"),
    ("hmrc-cds", "TT_IM016a__07_DMSTAX", "-duties_final"),
    ("hmrc-cds", "TT_IM017a__04._DMSCTL", "held"),
    ("hmrc-cds", "TT_IM017a__10._DMSCLE", "cleared"),
    ("hmrc-cds", "1._DMSRCV_Function_Code_02", "registered"),
    ("hmrc-cds", "3._DMSACC_Function_Code_01", "accepted"),
    ("hmrc-cds", "4._DMSRES_Function_Code_07", "-corrections_applied"),
    ("hmrc-cds", "5._DMSCLE_Function_Code_09", "cleared"),
    ("hmrc-cds", "FileUploadResponseExample", "-upload_place_given"),
    ("hmrc-cds", "FullResponseExample", "cleared"),
    ("hmrc-cds", "DucrStatusResponseExample", "accepted"),
    ("hmrc-cds", "RetrievalUcrStatusResponseExample", "released"),
    ("hmrc-cds", "IrStatusResponseExample", "?"),
    ("hmrc-cds", "SearchResponseExample", "-position_determined"),
    ("hmrc-cds", "VersionResponseExample", "-version_listed"),
    ("nl-deco", "DECO.ResponseExample", "rejected"),
    ("cargowise", "UniversalEvent_CCC", "submitted"),
    ("cargowise", "UniversalEvent_CEN", "accepted"),
    ("cargowise", "UniversalEvent_CES", "held"),
    ("cargowise", "UniversalEvent_CLR", "cleared"),
    ("cargowise", "UniversalResponse_ERR", "!"),
    ("cargowise", "UniversalResponse_PRS", "submitted"),
    ("china-ceb", "CEB312Message", "-receipt_of_others"),
    ("china-ceb", "CEB412Message", "-receipt_of_others"),
    ("china-ceb", "CEB512Message", "-waybill_on_its_way"),
    ("china-ceb", "CEB622Message", "submitted"),
    ("china-ceb", "CEB624Message", "?"),
    ("china-ceb", "CEB626Message", "-return_application_receipt"),
    ("china-ceb", "CEB711Message", "-warehouse_entry"),
    ("gb-ens", "errorResponse", "!"),
    ("gb-ens", "pollingResponse", "registered"),
    ("gb-ens", "validResponse", "submitted"),
    ("gb-ens", "listOfOutcomes", "unknown_format"),
    ("es-aeat", "H7V1Sal_accepted_documents", "accepted documents_required"),
    ("es-aeat", "H7V1Sal_accepted_green", "accepted released"),
    ("es-aeat", "H7V1Sal_rejected", "rejected"),
    ("es-aeat", "DeclaSimpliImporV1Sal_accepted", "accepted documents_required duties_due"),
    ("es-aeat", "DeclaSimpliImporV1Sal_rejected", "rejected"),
];

fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("PRECLEAR_SHARED").map_or_else(beside, PathBuf::from).join("samples/broker");
    if !folder.is_dir() {
        assert!(std::env::var_os("PRECLEAR_CI").is_none(), "no samples; set PRECLEAR_SHARED");
        println!("SKIPPED: no samples of brokers; set PRECLEAR_SHARED");
        return None;
    }
    Some(folder)
}

/// Every sample that a broker or an authority sends, with its mapping.
fn samples(folder: &Path, registry: &Registry) -> BTreeMap<String, (std::sync::Arc<Mapping>, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for mapping in registry.iter() {
        for of in [mapping.name.as_str(), if mapping.name == "hmrc-cds" { "hmrc-dis" } else { "" }].iter().filter(|of| !of.is_empty()) {
            let mut open = vec![folder.join(of)];
            while let Some(path) = open.pop() {
                for entry in std::fs::read_dir(&path).expect("folder") {
                    let path = entry.expect("entry").path();
                    let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                    if path.is_dir() && !name.ends_with("request") {
                        open.push(path);
                    } else if path.extension().is_some_and(|ending| ending == "xml") && (name.contains("esponse") || of == &"hmrc-dis") {
                        found.insert(name, (std::sync::Arc::clone(mapping), std::fs::read(&path).expect("read")));
                    }
                }
            }
        }
    }
    found
}

fn shipped() -> Registry {
    let (registry, broken) = Registry::load(&Source::Folder(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("mappings")));
    assert!(broken.is_empty(), "{broken:?}");
    registry
}

fn words(facts: &[Fact]) -> String {
    let one = |fact: &Fact| match (&fact.status, &fact.note) {
        _ if fact.refused => "!".to_owned(),
        _ if fact.unknown_code => "?".to_owned(),
        (Some(status), _) => status.as_str().to_owned(),
        (None, note) => format!("-{}", note.as_deref().unwrap_or_default()),
    };
    let mut words: Vec<String> = facts.iter().map(one).collect();
    words.dedup();
    words.join(" ")
}

#[test]
fn every_sample_says_what_the_table_of_its_format_says() {
    let Some(folder) = shared() else { return };
    let samples = samples(&folder, &shipped());
    assert!(samples.len() > 60, "only {} samples", samples.len());
    for (mapping, part, expected) in SAMPLES {
        let of: Vec<_> = samples.iter().filter(|(name, (with, _))| with.name == *mapping && name.contains(part)).collect();
        assert!(!of.is_empty(), "no sample {mapping} {part}");
        for (name, (mapping, bytes)) in of {
            let said = mapping.read(bytes).map_or_else(|unreadable| unreadable.reason.to_string(), |facts| words(&facts));
            assert_eq!(said, *expected, "{name}");
        }
    }
    // What the table leaves out is read too: nothing of the samples is a mystery, but for a list that is no notice.
    for (name, (mapping, bytes)) in &samples {
        assert!(mapping.read(bytes).is_ok() || name.contains("listOfOutcomes"), "{name}");
    }
}

/// Cut off anywhere, or with a byte changed, a notice is unreadable or something else, never a panic.
#[test]
fn no_sample_cut_off_or_damaged_anywhere_panics() {
    let Some(folder) = shared() else { return };
    let (mut cut, mut read) = (0_usize, 0_usize);
    for (name, (mapping, bytes)) in samples(&folder, &shipped()) {
        for end in 0..bytes.len() {
            let facts = mapping.read(&bytes[..end]);
            let whole = bytes[end..].iter().all(u8::is_ascii_whitespace);
            assert!(facts.is_err() || whole, "{name} cut off at {end} is read as if it were whole");
            cut += 1;
        }
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x15;
            read += usize::from(mapping.read(&damaged).is_ok());
        }
    }
    println!("{cut} cut off, {read} of the damaged ones still read");
    assert!(cut > 100_000);
}
