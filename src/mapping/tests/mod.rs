//! Tests of the mapping language as a whole.

use std::collections::BTreeMap;

use super::*;
use crate::domain::json;
use uuid::Uuid;

mod calls;
mod expressions;
mod knock_on;
mod load_faults;
mod notices;
mod operators;
mod origins;
mod sketching;
mod tracing;
mod writing;

pub(super) const MANIFEST: &str = r#"
title = "A test"
version = "1.2.3"
source = "none"
[transport]
content_type = "application/xml"
[[settings]]
name = "office"
type = "string"
required = false
example = "A1"
description = "an office"
[[settings]]
name = "limit"
type = "decimal"
required = false
example = "1.50"
description = "a limit"
"#;

pub(super) fn files(template: &str) -> Files {
    let mut files = BTreeMap::new();
    files.insert("mapping.toml".to_owned(), MANIFEST.as_bytes().to_vec());
    files.insert("declaration.xml".to_owned(), template.as_bytes().to_vec());
    files.insert("codes/modes.csv".to_owned(), b"key,value,meaning\nE,1,express\nU,3,letter\n".to_vec());
    Files { name: "test".to_owned(), files }
}

/// A mapping whose root element holds this.
pub(super) fn mapping(inner: &str) -> Mapping {
    let template = format!("<R xmlns:p=\"urn:preclear:mapping:1\">{inner}</R>");
    Mapping::load(&files(&template)).expect("loads")
}

pub(super) fn declaration() -> Declaration {
    declaration_with(|_| {})
}

/// A declaration after some change of its JSON.
pub(super) fn declaration_with(change: impl FnOnce(&mut serde_json::Value)) -> Declaration {
    let mut value = serde_json::json!({
        "item_id": "EE123456785KR", "posted_on": "2026-11-20", "mail_class": "E", "channel": "postal", "category": "gift",
        "sender": {"name": "Kim Minji", "street": ["12 Jong-ro", "Jongno-gu"], "city": "Seoul", "country": "KR"},
        "recipient": {"name": "Ann Lee", "street": ["1 High St"], "city": "London", "postcode": "N1 1AA", "country": "GB"},
        "gross_weight_g": 1500,
        "contents": [
            {"description": "Socks", "quantity": 2, "net_weight_g": 200, "value": {"amount": "10.10", "currency": "GBP"}, "hs_code": "611595"},
            {"description": "Tea", "quantity": 1, "value": {"amount": "0.20", "currency": "EUR"},
             "tariff_codes": [{"country": "US", "code": "0902100000"}, {"country": "GB", "code": "0902300090"}]},
            {"description": "Cup", "quantity": "0.5", "net_weight_g": 300, "value": {"amount": "5.05", "currency": "GBP"}, "hs_code": "691110"}
        ],
        "identifiers": [{"type": "voec", "value": "V1"}, {"type": "ioss", "value": "IM3720000224"}],
        "transport": {"arrives_at": "2026-11-22T05:10:00Z"}
    });
    change(&mut value);
    let text = value.to_string();
    let (declaration, faults, _) = Declaration::read_shape(&json::parse(text.as_bytes()).expect("JSON"));
    assert!(faults.is_empty(), "{:?}", faults.as_slice());
    declaration
}

pub(super) fn render(mapping: &Mapping, declaration: &Declaration) -> Result<Rendered, Vec<Fault>> {
    let table: toml::Table = toml::from_str("office = \"A1\"").expect("TOML");
    let settings = mapping.settings(&table).expect("settings");
    let input = Input {
        declaration,
        settings: &settings,
        message: MessageContext {
            lrn: "LRN1",
            id: MessageId(Uuid::nil()),
            conversation_id: ConversationId(Uuid::nil()),
            created_at: "2026-11-20T12:00:00Z".parse().expect("instant"),
        },
        mrn: None,
        reason: None,
        previous: None,
        post: PostContext { code: "KRA", name: "Korea Post" },
        broker: "uk-broker",
    };
    mapping.render(MessageKind::Declaration, &input)
}

/// What the inner part of the root becomes; faults as `pointer code`.
pub(super) fn made(inner: &str) -> Result<String, Vec<String>> {
    made_of(inner, &declaration())
}

pub(super) fn made_of(inner: &str, declaration: &Declaration) -> Result<String, Vec<String>> {
    match render(&mapping(inner), declaration) {
        Ok(rendered) => {
            let text = String::from_utf8(rendered.bytes).expect("UTF-8");
            Ok(text.trim_start_matches("<R>").trim_end_matches("</R>").replace("<R/>", ""))
        }
        Err(faults) => Err(faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()),
    }
}
