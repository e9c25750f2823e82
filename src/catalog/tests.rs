//! A message before its commit, held to schemas of our own.

use super::*;
use crate::domain::ids::ConversationId;
use crate::domain::json;
use crate::domain::time::Timestamp;
use crate::mapping::{PostContext, Source};

const MANIFEST: &str = r#"title = "Enveloped"
version = "1.0.0"
source = "our own"
[transport]
content_type = "application/xml"
[schemas]
declaration = "envelope.xsd"
[schemas.inside]
declaration = { Entry = "entry.xsd" }
"#;
const TEMPLATE: &str = r#"<Envelope xmlns="urn:e" xmlns:p="urn:preclear:mapping:1">
  <Entry xmlns="urn:i">
    <Reference>{message.lrn}</Reference>
    <Line p:each="line in contents">
      <Number>{position}</Number>
    </Line>
  </Entry>
</Envelope>
"#;
const ENVELOPE: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:e">
  <xs:element name="Envelope"><xs:complexType><xs:sequence><xs:any processContents="skip"/></xs:sequence></xs:complexType></xs:element>
</xs:schema>"#;
const ENTRY: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:i" elementFormDefault="qualified">
  <xs:element name="Entry"><xs:complexType><xs:sequence>
    <xs:element name="Reference" type="xs:token"/>
    <xs:element name="Line" maxOccurs="9"><xs:complexType><xs:sequence><xs:element name="Number" type="xs:positiveInteger"/></xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"#;
const CONFIG: &str = r#"
[callbacks]
certificate = "x"
key = "x"
client_ca = "x"
[posts.KRA]
name = "Korea Post"
client_identities = ["a"]
[brokers.b]
mapping = "enveloped"
url = "https://b.example/"
ca = "x"
certificate = "x"
key = "x"
rate = { per_second = 1 }
"#;

fn catalog(name: &str, template: &str) -> Catalog {
    let folder = std::env::temp_dir().join(format!("preclear-catalog-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("enveloped/schema")).expect("folder");
    for (file, text) in
        [("mapping.toml", MANIFEST), ("declaration.xml", template), ("schema/envelope.xsd", ENVELOPE), ("schema/entry.xsd", ENTRY)]
    {
        std::fs::write(folder.join("enveloped").join(file), text).expect("written");
    }
    let text = format!("[mappings]\ndir = \"{}\"\n{CONFIG}", folder.display());
    let config = crate::config::load_text(&text, std::iter::empty()).expect("a configuration");
    let (registry, broken) = Registry::load(&Source::choose(Some(folder.clone())));
    assert!(broken.is_empty(), "{broken:?}");
    let catalog = Catalog::new(&config, registry, None);
    let _ = std::fs::remove_dir_all(folder);
    catalog
}

/// The faults of the declaration that stands at the door, with their pointers.
fn faults(name: &str, template: &str) -> Vec<String> {
    let catalog = catalog(name, template);
    let bytes = include_bytes!("../../mappings/hmrc-cds/cases/gb-one-line/declaration.json");
    let (declaration, shape, _) = crate::domain::declaration::Declaration::read_shape(&json::parse(bytes).expect("JSON"));
    assert!(shape.is_empty());
    let work = Work {
        kind: MessageKind::Declaration,
        declaration: &declaration,
        previous: None,
        mrn: None,
        about: None,
        reason: None,
        post: PostContext { code: "KRA", name: "Korea Post" },
        broker: "b",
        conversation_id: ConversationId::new(),
        now: Timestamp::UNIX_EPOCH,
    };
    let channel = catalog.channel("b").expect("a channel");
    let made = tokio::runtime::Runtime::new().expect("a runtime").block_on(channel.make(&work, &mut 1));
    let (_, faults) = made.expect("a verdict");
    faults.iter().map(|fault| format!("{} {} {}", fault.pointer, fault.code, fault.detail)).collect()
}

#[test]
fn what_an_envelope_hides_is_held_to_its_own_schema_before_it_is_committed() {
    assert_eq!(faults("sound", TEMPLATE), [""; 0]);
    let planted = faults("planted", &TEMPLATE.replace("{position}", "{line.description}"));
    assert_eq!(
        planted,
        ["/contents/0/description mapping_schema enveloped/declaration.xml:5:8 Line/Number: a whole number from 1"],
        "the field behind the element, its place in the template, and no value"
    );
    let misspelt = faults("misspelt", &TEMPLATE.replace("Entry", "Entri"));
    assert_eq!(misspelt.len(), 1);
    assert!(misspelt[0].contains("enveloped/declaration.xml:1:2 Envelope: an element is missing inside: Entry"), "{misspelt:?}");
}
