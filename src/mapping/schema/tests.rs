//! The validator against small schemas of our own; the official ones are tried in `tests/schemas.rs`.

use std::path::{Path, PathBuf};

use super::*;

/// What no word about a message may repeat.
const VALUE: &str = "Nobody";

const ROOT: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:a" xmlns:t="urn:t" targetNamespace="urn:a"
    elementFormDefault="qualified">
  <xs:import namespace="urn:t" schemaLocation="common/types.xsd"/>
  <xs:element name="Declaration">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="Reference" type="t:Reference"/>
        <xs:element name="Function" type="t:Function"/>
        <xs:element name="Posted" type="xs:date" minOccurs="0"/>
        <xs:element name="Line" maxOccurs="3">
          <xs:complexType>
            <xs:sequence>
              <xs:element name="Description" type="t:Text"/>
              <xs:element name="Value" type="t:Amount"/>
            </xs:sequence>
            <xs:attribute name="number" type="xs:positiveInteger" use="required"/>
          </xs:complexType>
        </xs:element>
        <xs:element name="Empty" minOccurs="0"><xs:complexType/></xs:element>
        <xs:element name="Signature" type="xs:base64Binary" minOccurs="0"/>
        <xs:element name="Version" type="xs:string" fixed="1" minOccurs="0"/>
      </xs:sequence>
    </xs:complexType>
  </xs:element>
</xs:schema>"#;

const TYPES: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">
  <xs:simpleType name="Reference"><xs:restriction base="xs:token"><xs:pattern value="[A-Z]{2}[0-9]{4}"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="Function"><xs:restriction base="xs:token"><xs:enumeration value="9"/><xs:enumeration value="13"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="Short"><xs:restriction base="xs:string"><xs:maxLength value="10"/></xs:restriction></xs:simpleType>
  <xs:complexType name="Text">
    <xs:simpleContent><xs:extension base="Short"><xs:attribute name="language" type="xs:language"/></xs:extension></xs:simpleContent>
  </xs:complexType>
  <xs:complexType name="Money"><xs:simpleContent><xs:extension base="xs:decimal"><xs:attribute name="currency"/></xs:extension></xs:simpleContent></xs:complexType>
  <xs:complexType name="Amount">
    <xs:simpleContent><xs:restriction base="Money"><xs:totalDigits value="8"/><xs:fractionDigits value="2"/><xs:minInclusive value="0"/></xs:restriction></xs:simpleContent>
  </xs:complexType>
</xs:schema>"#;

const SOUND: &str = r#"<?xml version="1.0" encoding="UTF-8"?><d:Declaration xmlns:d="urn:a"><d:Reference>AB1234</d:Reference><d:Function>9</d:Function><d:Posted>2026-11-20</d:Posted><d:Line number="1"><d:Description>Tie &amp; cap</d:Description><d:Value currency="GBP">24.00</d:Value></d:Line><d:Line number="2"><d:Description>Cap</d:Description><d:Value>3</d:Value></d:Line></d:Declaration>"#;

fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("preclear-schema-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, text).expect("written");
    }
    folder
}

fn load(folder: &Path) -> Result<Schema, Vec<String>> {
    let schema = Schema::load(folder, "root.xsd");
    let _ = std::fs::remove_dir_all(folder);
    schema
}

fn told(schema: &Schema, message: &str) -> Vec<String> {
    let violations = schema.validate(message.as_bytes()).expect("a verdict");
    let at = |violation: &Violation| message.get(violation.offset..).and_then(|rest| rest.split([' ', '>', '/']).next()).unwrap_or("");
    let show = |violation: &Violation| format!("{} {} {}: {}", at(violation), violation.rule, violation.path, violation.detail);
    violations.iter().map(show).collect()
}

#[test]
fn a_violation_names_rule_place_and_what_is_allowed_and_never_a_value() {
    let schema = load(&folder("table", &[("root.xsd", ROOT), ("common/types.xsd", TYPES)])).expect("loads");
    assert_eq!(told(&schema, SOUND), [""; 0]);
    let long = format!("{VALUE}{VALUE}");
    #[rustfmt::skip]
    let table: &[(&str, &str, &str)] = &[
        ("AB1234", VALUE, "<d:Reference cvc-pattern-valid /Declaration/Reference: of the form [A-Z]{2}[0-9]{4}"),
        (">9<", ">Nobody<", "<d:Function cvc-enumeration-valid /Declaration/Function: one of 13 or 9"),
        ("2026-11-20", VALUE, "<d:Posted cvc-datatype-valid /Declaration/Posted: a date like 2026-11-20"),
        ("Cap", &long, "<d:Description cvc-maxLength-valid /Declaration/Line[2]/Description: at most 10 characters"),
        ("24.00", VALUE, "<d:Value cvc-datatype-valid /Declaration/Line/Value: a decimal number, at least 0, at most 8 digits, at most 2 decimals"),
        ("24.00", "-24.00", "<d:Value cvc-minInclusive-valid /Declaration/Line/Value: at least 0"),
        ("24.00", "24.005", "<d:Value cvc-fractionDigits-valid /Declaration/Line/Value: at most 8 digits, at most 2 decimals"),
        ("24.00", "", "<d:Value cvc-datatype-valid /Declaration/Line/Value: a decimal number, at least 0, at most 8 digits, at most 2 decimals"),
        ("<d:Function>9</d:Function>", "", "<d:Posted cvc-complex-type.2.4 /Declaration/Posted: not allowed here; expected: Function"),
        ("<d:Value>3</d:Value>", "", "<d:Line cvc-complex-type.2.4 /Declaration/Line[2]: an element is missing: Value"),
        ("<d:Posted>2026-11-20</d:Posted>", "<d:Nobody/>", "<d:Nobody cvc-complex-type.2.4 /Declaration/Nobody: not allowed here; expected: Posted or Line"),
        (" number=\"2\"", "", "<d:Line cvc-complex-type.4 /Declaration/Line[2]: the attribute number is required"),
        ("number=\"2\"", "number=\"Nobody\"", "<d:Line cvc-datatype-valid /Declaration/Line[2]/@number: a whole number from 1"),
        ("<d:Value>", "<d:Value unit=\"Nobody\">", "<d:Value cvc-complex-type.3.2.2 /Declaration/Line[2]/Value/@unit: the schema has no such attribute here"),
        ("</d:Line></", "</d:Line><d:Empty>Nobody</d:Empty></", "<d:Empty cvc-complex-type.2.1 /Declaration/Empty: has to be empty"),
        ("</d:Line></", "</d:Line>Nobody</", "<d:Declaration cvc-complex-type.2.3 /Declaration: only elements, no text between them"),
        ("</d:Line></", "</d:Line><d:Version>Nobody</d:Version></", "<d:Version cvc-elt.5.2.2 /Declaration/Version: has to be 1"),
        ("urn:a", "urn:b", "<d:Declaration cvc-elt.1 /Declaration: the schema has no such element here"),
    ];
    for (from, to, expected) in table {
        let message = SOUND.replacen(from, to, 1);
        assert_ne!(message, SOUND, "{from}");
        let found = told(&schema, &message);
        assert_eq!(found, [*expected], "{from} -> {to}");
        assert!(!found[0].replace("<d:Nobody", "").replace("/Nobody", "").contains(VALUE), "{}", found[0]);
    }
}

#[test]
fn what_follows_from_a_violation_is_not_told_again_and_others_are() {
    let schema = load(&folder("several", &[("root.xsd", ROOT), ("common/types.xsd", TYPES)])).expect("loads");
    // The order is wrong in the declaration; of what comes after nothing can be said. Beside it a value is wrong twice.
    let swapped = SOUND.replace(
        "<d:Reference>AB1234</d:Reference><d:Function>9</d:Function>",
        "<d:Function>9</d:Function><d:Reference>AB1234</d:Reference>",
    );
    assert_eq!(told(&schema, &swapped), ["<d:Function cvc-complex-type.2.4 /Declaration/Function: not allowed here; expected: Reference"]);
    let found = told(&schema, &SOUND.replace("AB1234", "x").replace(">3<", ">x<").replace("24.00", "y"));
    let places: Vec<&str> = found.iter().filter_map(|told| told.split(' ').nth(2)).collect();
    assert_eq!(places, ["/Declaration/Reference:", "/Declaration/Line/Value:", "/Declaration/Line[2]/Value:"]);
    let many: String = (0..100).map(|n| format!(" a{n}=''")).collect();
    let found = told(&schema, &SOUND.replacen("<d:Value", &format!("<d:Value{many}"), 1));
    assert_eq!(found.len(), MAX_VIOLATIONS);
    for broken in ["<Declaration xmlns=\"urn:a\">", "", "no XML", "<a><b></a></b>"] {
        assert_eq!(
            schema.validate(broken.as_bytes()).expect("a verdict").first().map(|found| found.rule),
            Some("not-well-formed"),
            "{broken}"
        );
    }
    let deep = "<a>".repeat(200) + &"</a>".repeat(200);
    assert_eq!(schema.validate(deep.as_bytes()).expect("a verdict").first().map(|found| found.rule), Some("limit"));
}

#[test]
fn base64_may_be_written_in_lines() {
    let schema = load(&folder("lines", &[("root.xsd", ROOT), ("common/types.xsd", TYPES)])).expect("loads");
    let with = |text: &str| SOUND.replace("</d:Line></", &format!("</d:Line><d:Signature>{text}</d:Signature></"));
    for sound in ["QUJD", "QU\nJD", "\n  QUJD\n", ""] {
        assert_eq!(told(&schema, &with(sound)), [""; 0], "{sound}");
    }
    assert_eq!(told(&schema, &with("QUJ D*")), ["<d:Signature cvc-datatype-valid /Declaration/Signature: base64"]);
    let both = with("QU\nJD").replace("AB1234", "x");
    assert_eq!(told(&schema, &both).len(), 1, "what is forgiven hides nothing else");
}

#[test]
fn a_schema_that_lacks_a_part_or_leads_out_of_its_folder_is_refused() {
    let refused = |name: &str, files: &[(&str, &str)]| load(&folder(name, files)).expect_err(name).join("; ");
    let missing = refused("missing", &[("root.xsd", ROOT)]);
    assert!(missing.contains("common/types.xsd") && missing.contains("not in the folder"), "{missing}");
    assert!(refused("empty", &[("other.xsd", ROOT)]).contains("not in the folder"));
    let remote = ROOT.replace("common/types.xsd", "https://example.org/types.xsd");
    let told = refused("remote", &[("root.xsd", &remote)]);
    assert!(told.contains("https://example.org/types.xsd"), "{told}");
    let outside = folder("outside", &[("types.xsd", TYPES)]);
    let file = outside.join("types.xsd").canonicalize().expect("path").display().to_string();
    for location in
        [file.clone(), format!("file://{file}"), format!("../{}/types.xsd", outside.file_name().expect("name").to_string_lossy())]
    {
        let told = refused("elsewhere", &[("root.xsd", &ROOT.replace("common/types.xsd", &location))]);
        assert!(told.contains("folder of schemas"), "{told}");
    }
    let linked = folder("linked", &[("root.xsd", ROOT), ("common/x", "")]);
    std::os::unix::fs::symlink(&file, linked.join("common/types.xsd")).expect("link");
    let told = load(&linked).expect_err("a link").join("; ");
    assert!(told.contains("leads out of the folder"), "{told}");
    let faulty = refused("faulty", &[("root.xsd", &ROOT.replace("t:Text", "t:Nothing")), ("common/types.xsd", TYPES)]);
    assert!(faulty.contains("Nothing") && !faulty.contains("schema-folder:"), "{faulty}");
    let pattern = TYPES.replace("<xs:totalDigits value=\"8\"/>", "<xs:pattern value=\"[0-9\"/>");
    assert!(!refused("pattern", &[("root.xsd", ROOT), ("common/types.xsd", &pattern)]).is_empty());
    let _ = std::fs::remove_dir_all(outside);
}

#[tokio::test]
async fn many_ask_at_once_and_each_gets_its_own_verdict() {
    let folder = folder("many", &[("root.xsd", ROOT), ("common/types.xsd", TYPES)]);
    let schema = tokio::task::spawn_blocking(move || load(&folder)).await.expect("joined").expect("loads");
    // More than the queue holds, on one thread: whoever finds no place waits for one.
    let asked = (0..400).map(|n| {
        let schema = schema.clone();
        let message = if n % 3 == 0 { SOUND.replace("AB1234", "x") } else { SOUND.to_owned() };
        async move { (n, schema.check(message.into()).await.expect("a verdict").len()) }
    });
    for (n, found) in futures_util::future::join_all(asked).await {
        assert_eq!(found, usize::from(n % 3 == 0), "{n}");
    }
}

#[test]
fn names_of_documents_do_not_pile_up_for_ever() {
    let schema = load(&folder("names", &[("root.xsd", ROOT), ("common/types.xsd", TYPES)])).expect("loads");
    // The compiled schema keeps every name that it ever saw: it has to be made anew now and then, and go on.
    for round in 0..250 {
        let names: String = (0..100).map(|n| format!("<n{round}-{n}/>")).collect();
        let message = format!("<Declaration xmlns=\"urn:a\">{names}</Declaration>");
        assert!(!schema.validate(message.as_bytes()).expect("a verdict").is_empty());
    }
    assert_eq!(told(&schema, SOUND), [""; 0]);
}

#[test]
fn a_short_path_is_the_end_of_a_path() {
    let of = |path: &str| Violation { rule: "", path: path.to_owned(), offset: 0, detail: String::new() }.short_path().to_owned();
    assert_eq!(of("/A/B/C"), "B/C");
    assert_eq!(of("/A"), "A");
    assert_eq!(of(""), "");
}

const ENVELOPE: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:e" elementFormDefault="qualified">
  <xs:element name="Envelope"><xs:complexType><xs:sequence>
    <xs:element name="Sender" type="xs:token"/>
    <xs:element name="Body"><xs:complexType><xs:sequence><xs:any processContents="skip" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"#;

/// What is told of a message whose envelope looks into nothing.
fn judged(judge: &Judge, message: &str) -> Option<Vec<String>> {
    let at = |violation: &Violation| message.get(violation.offset..).and_then(|rest| rest.split([' ', '>', '/']).next()).unwrap_or("");
    let found = judge.validate(message.as_bytes()).expect("a verdict")?;
    Some(found.iter().map(|violation| format!("{} {} {}", at(violation), violation.rule, violation.path)).collect())
}

#[test]
fn a_document_inside_of_an_envelope_is_judged_by_itself_and_told_at_its_place() {
    let folder = folder("inside", &[("envelope.xsd", ENVELOPE), ("root.xsd", ROOT), ("common/types.xsd", TYPES)]);
    let outer = Schema::load(&folder, "envelope.xsd").expect("loads");
    let inside = vec![("Declaration".to_owned(), load(&folder).expect("loads"))];
    let plain = Judge { outer: Some(outer.clone()), ..Judge::default() };
    let ours = Judge { outer: Some(outer), inside, lenient: false };
    let theirs = Judge { lenient: true, ..ours.clone() };
    let (_, document) = SOUND.split_once("?>").expect("a declaration");
    // The prefix is declared around the document, and hides another of the same name further out.
    let document = document.replace(" xmlns:d=\"urn:a\"", "");
    let whole = format!(
        "\u{feff}<?xml version=\"1.0\"?><e:Envelope xmlns:e='urn:e' xmlns:d='urn:x'><e:Sender>S</e:Sender><e:Body xmlns:d=\"urn:a\">{document}<e:Gap/>{document}</e:Body></e:Envelope>"
    );
    let nothing: Option<Vec<String>> = Some(Vec::new());
    for judge in [&plain, &ours, &theirs] {
        assert_eq!(judged(judge, &whole), nothing);
    }
    let last = |from: &str, to: &str| {
        let at = whole.rfind(from).expect("there");
        format!("{}{to}{}", &whole[..at], &whole[at + from.len()..])
    };
    #[rustfmt::skip]
    let table = [
        (last("AB1234", VALUE), "<d:Reference cvc-pattern-valid /Envelope/Body/Declaration[2]/Reference"),
        (last("number=\"1\"", ""), "<d:Line cvc-complex-type.4 /Envelope/Body/Declaration[2]/Line"),
        (last("<d:Declaration>", "<d:Declaration strange='1'>"), "<d:Declaration cvc-complex-type.3.2.2 /Envelope/Body/Declaration[2]/@strange"),
        (last("<d:Declaration>", "<d:Declaration xmlns:d='urn:b'>"), "<d:Declaration cvc-elt.1 /Envelope/Body/Declaration[2]"),
    ];
    for (message, expected) in &table {
        assert_eq!(judged(&plain, message), nothing, "the envelope's schema sees nothing");
        for judge in [&ours, &theirs] {
            assert_eq!(judged(judge, message), Some(vec![(*expected).to_owned()]), "{message}");
        }
    }
    let both = last("AB1234", VALUE).replacen("<e:Sender>S</e:Sender>", "", 1);
    let told = judged(&ours, &both).expect("judged");
    assert!(told.len() == 2 && told[0].ends_with("/Envelope/Body") && told[1].ends_with("/Reference"), "{told:?}");
    // A name that no schema waits for would hide that nothing was looked at: in ours it is told.
    let other = whole.replace("d:Declaration", "d:Declaratoin");
    assert_eq!(judged(&ours, &other), Some(vec!["<e:Envelope schemas.inside /Envelope".to_owned()]));
    assert_eq!(judged(&theirs, &other), nothing);
    // Of what the broker sends, a document may come alone, and be one that no schema knows.
    assert_eq!(
        judged(&theirs, &SOUND.replace("AB1234", "x")),
        Some(vec!["<d:Reference cvc-pattern-valid /Declaration/Reference".to_owned()])
    );
    assert_eq!(judged(&theirs, "<Other/>"), None);
    assert_eq!(judged(&ours, "<Other/>").expect("judged").len(), 2);
    assert_eq!(judged(&Judge { outer: None, ..ours }, "<e:Envelope").expect("judged"), ["<e:Envelope not-well-formed "]);
}
