use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::*;

/// A folder that is removed when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("preclear-pki-{:016x}", fastrand::u64(..)));
        fs::create_dir(&dir).expect("temporary folder");
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("in range")
}

fn days(count: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + count * 86_400).expect("in range")
}

fn with_broker() -> FolderOptions {
    FolderOptions { brokers: vec![BrokerIdentity::parse("uk-broker").expect("valid")], ..FolderOptions::default() }
}

fn facts(dir: &Path, file: &str) -> CertificateFacts {
    read_certificates(&fs::read(dir.join(file)).expect("is there")).expect("readable").remove(0)
}

fn states(files: &[IssuedFile]) -> Vec<FileState> {
    files.iter().map(|file| file.state).collect()
}

#[test]
fn a_folder_holds_what_the_configuration_names_with_the_right_purposes() {
    let scratch = Scratch::new();
    issue_into(&scratch.0, &with_broker(), now()).expect("issued");
    let table = [
        ("ca.pem", vec!["keyCertSign", "cRLSign"], vec![]),
        ("gateway.pem", vec!["digitalSignature", "serverAuth"], vec!["DNS:localhost", "IP:127.0.0.1", "IP:::1"]),
        ("gateway-client.pem", vec!["digitalSignature", "clientAuth"], vec!["DNS:gateway.example"]),
        ("broker.pem", vec!["digitalSignature", "serverAuth"], vec!["DNS:localhost", "IP:127.0.0.1", "IP:::1"]),
        ("uk-broker-client.pem", vec!["digitalSignature", "clientAuth"], vec!["DNS:uk-broker.example"]),
    ];
    let authority = facts(&scratch.0, "ca.pem");
    for (file, usage, sans) in table {
        let found = facts(&scratch.0, file);
        assert_eq!((found.key_usage, found.sans), (usage, sans.iter().map(|san| (*san).to_owned()).collect()), "{file}");
        assert_eq!((found.issuer, found.is_ca), (authority.subject.clone(), file == "ca.pem"), "{file}");
        let key = scratch.0.join(file).with_extension("key");
        assert_eq!(fs::metadata(key).expect("key").permissions().mode() & 0o777, 0o600, "{file}");
        if file != "ca.pem" {
            assert_eq!(found.not_after.as_second() - found.not_before.as_second(), 398 * 86_400, "{file}");
        }
    }
    let names: Vec<_> = fs::read_dir(&scratch.0).expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(names.len(), 10, "nothing else is left behind: {names:?}");
}

#[test]
fn a_second_run_adds_only_what_is_missing() {
    use FileState::{Issued, Kept};
    let scratch = Scratch::new();
    issue_into(&scratch.0, &with_broker(), now()).expect("issued");
    let before = facts(&scratch.0, "gateway.pem").sha256;
    fs::remove_file(scratch.0.join("broker.key")).expect("removed");
    let mut options = with_broker();
    options.brokers.push(BrokerIdentity::parse("nl-broker=urn:example:nl").expect("valid"));
    let files = issue_into(&scratch.0, &options, days(1)).expect("issued");
    assert_eq!(states(&files), [Kept, Kept, Kept, Issued, Kept, Issued]);
    assert_eq!(facts(&scratch.0, "gateway.pem").sha256, before);
    assert_eq!(facts(&scratch.0, "nl-broker-client.pem").sans, ["URI:urn:example:nl"]);
}

#[test]
fn a_kept_certificate_that_does_not_serve_is_told_and_renewed_on_demand() {
    let scratch = Scratch::new();
    issue_into(&scratch.0, &with_broker(), now()).expect("issued");
    let mut options = with_broker();
    options.hosts.push("gateway".parse().expect("a name"));
    let files = issue_into(&scratch.0, &options, now()).expect("issued");
    assert_eq!(files[1].state, FileState::KeptUnfit);
    assert_eq!(issue_into(&scratch.0, &with_broker(), days(400)).expect("issued")[4].state, FileState::KeptUnfit);
    options.renew = true;
    let authority = facts(&scratch.0, "ca.pem").sha256;
    assert_eq!(issue_into(&scratch.0, &options, now()).expect("issued")[1].state, FileState::Issued);
    assert!(facts(&scratch.0, "gateway.pem").sans.contains(&"DNS:gateway".to_owned()));
    assert_eq!(facts(&scratch.0, "ca.pem").sha256, authority);
}

#[test]
fn an_existing_ca_is_never_replaced_unasked() {
    let scratch = Scratch::new();
    issue_into(&scratch.0, &with_broker(), now()).expect("issued");
    let authority = facts(&scratch.0, "ca.pem").sha256;
    fs::rename(scratch.0.join("ca.key"), scratch.0.join("away")).expect("moved");
    assert!(matches!(issue_into(&scratch.0, &with_broker(), now()), Err(PkiError::Authority { .. })));
    let foreign = Authority::generate("another", now()).expect("generated");
    fs::write(scratch.0.join("ca.key"), foreign.key_pem()).expect("written");
    assert!(matches!(issue_into(&scratch.0, &with_broker(), now()), Err(PkiError::Authority { .. })));
    fs::rename(scratch.0.join("away"), scratch.0.join("ca.key")).expect("moved");
    assert!(matches!(issue_into(&scratch.0, &with_broker(), days(5_000)), Err(PkiError::Authority { .. })));
    assert_eq!(facts(&scratch.0, "ca.pem").sha256, authority);

    let options = FolderOptions { replace_ca: true, ..with_broker() };
    let files = issue_into(&scratch.0, &options, now()).expect("issued");
    assert!(files.iter().all(|file| file.state == FileState::Issued), "every leaf is of the new CA");
    assert_ne!(facts(&scratch.0, "ca.pem").sha256, authority);
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let authority = Authority::generate("short", now()).expect("generated");
    let leaf = |at| authority.issue("leaf", Purpose::Client, &["a.example".parse().expect("a name")], at);
    let late = read_certificates(leaf(days(3_600)).expect("issued").certificate_pem.as_bytes()).expect("readable");
    let ca = read_certificates(authority.certificate_pem().as_bytes()).expect("readable");
    assert_eq!(late[0].not_after, ca[0].not_after);
    assert!(leaf(days(3_651)).is_err());
}

#[test]
fn names_that_do_not_belong_into_files_or_certificates_are_refused() {
    for bad in ["", "../x", "A", "-a", "a b", "a/b", "x=", "x=a b", "x=*bad*", &"a".repeat(64)] {
        assert!(BrokerIdentity::parse(bad).is_err(), "{bad}");
    }
    for (text, shown) in [("::1", "IP:::1"), ("Gateway", "DNS:gateway"), ("spiffe://a/b", "URI:spiffe://a/b")] {
        assert_eq!(text.parse::<SubjectName>().expect("valid").to_string(), shown);
    }
    for bad in [&b""[..], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &vec![b'a'; 2 << 20]] {
        assert!(read_certificates(bad).is_err());
    }
}
