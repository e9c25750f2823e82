//! One good declaration and what each small change of it adds, exactly; then the examples that ship
//! with the product.

use serde_json::Value;

use super::*;
use crate::domain::json;
use crate::domain::time::Date;

mod table;

/// The day on which the good declaration and the examples are judged.
const TODAY: Date = jiff::civil::date(2026, 11, 22);

/// A declaration with every kind of field filled, without fault or warning.
const GOOD: &str = r#"{
  "item_id": "EE123456785KR", "posted_on": "2026-11-20", "mail_class": "E", "channel": "commercial", "category": "sale_of_goods",
  "origin_office": "KRSELB", "destination_office": "GBLALA",
  "references": [ { "type": "order", "value": "HG-7781" }, { "type": "sscc", "value": "106141411234567897" } ],
  "pieces": [ { "piece_id": "1", "gross_weight_g": 840, "length_mm": 300, "width_mm": 200, "height_mm": 80 } ],
  "sender": { "kind": "organisation", "name": "Kim Minji", "company": "Hanok Goods", "street": ["12 Jong-ro"], "city": "Seoul",
    "postcode": "03187", "country": "KR", "phone": "+82 2 555 0100", "email": "orders@hanok-goods.example",
    "identifiers": [ { "type": "vat", "value": "GB999999973", "country": "GB" } ],
    "local": { "language": "ko", "name": "김민지", "street": ["종로 12"], "city": "서울" } },
  "recipient": { "kind": "person", "name": "Ada Byron", "street": ["1 Park Lane"], "city": "London", "postcode": "W1K 1AA", "country": "GB",
    "phone": "+44 20 7946 0000", "email": "ada@example.org" },
  "importer": { "company": "Example Imports Ltd", "street": [], "city": "Leeds", "country": "GB",
    "identifiers": [ { "type": "eori", "value": "GB999999973000", "country": "GB" } ] },
  "gross_weight_g": 840, "postage": { "amount": "23500", "currency": "KRW" }, "insured_value": { "amount": "30.00", "currency": "GBP" },
  "costs": [ { "type": "insurance", "amount": "1.20", "currency": "GBP" } ],
  "transaction": { "type": "b2c", "payment": { "reference": "PAY-1", "paid_at": "2026-11-19T09:00:00Z" } },
  "duty": { "payer": "sender", "prepayment": { "provider": "Landed", "reference": "L-1", "amount": "4.80", "currency": "GBP" } },
  "delivery_terms": "DDP",
  "contents": [
    { "description": "Cotton T-shirt, men's", "quantity": 2, "unit": "H87", "supplementary": [ { "quantity": "0.36", "unit": "KGM" } ],
      "net_weight_g": 360, "value": { "amount": "24.00", "currency": "GBP" }, "unit_price": { "amount": "12.00", "currency": "GBP" },
      "hs_code": "610910", "tariff_codes": [ { "country": "GB", "code": "6109100010" } ], "origin_country": "KR",
      "product_ids": [ { "type": "gtin", "value": "8800000000022" } ] },
    { "description": "Cotton socks, ankle length", "quantity": 3, "net_weight_g": 150, "value": { "amount": "9.60", "currency": "GBP" },
      "hs_code": "611595", "origin_country": "XI" } ],
  "documents": [ { "type": "invoice", "number": "INV-1", "issued_on": "2026-11-20", "country": "KR", "lines": [1, 2],
    "document_id": "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b" } ],
  "identifiers": [ { "type": "ioss", "value": "IM3720000224" } ],
  "transport": { "mode": "air", "from": "KRICN", "to": "GBLHR", "departs_at": "2026-11-21T04:20:00Z", "arrives_at": "2026-11-22T05:10:00Z" }
}"#;

/// What is told about a body: `pointer code` each, warnings behind a `~`, sorted.
fn judge(body: &str, policy: &IntakePolicy, countries: &[&str]) -> Vec<String> {
    let tree = json::parse(body.as_bytes()).expect("JSON");
    let (declaration, mut faults, mut warnings) = Declaration::read_shape(&tree);
    let countries: Vec<String> = countries.iter().map(|country| (*country).to_owned()).collect();
    check(&declaration, policy, &countries, TODAY, &mut faults, &mut warnings);
    let told = faults.as_slice().iter().map(|fault| ("", fault)).chain(warnings.iter().map(|warning| ("~", warning)));
    let mut told: Vec<String> = told.map(|(mark, fault)| format!("{mark}{} {}", fault.pointer, fault.code)).collect();
    told.sort();
    told
}

/// Changes a body. Edits are `pointer=JSON` (a `-` at the end appends to a list) or `!pointer`
/// (removes), parted by `;`.
fn edited(body: &str, edits: &str) -> String {
    let mut root: Value = serde_json::from_str(body).expect("JSON");
    for edit in edits.split(';').map(str::trim).filter(|edit| !edit.is_empty()) {
        let (pointer, value) = match edit.strip_prefix('!') {
            Some(pointer) => (pointer, None),
            None => edit.split_once('=').map(|(pointer, value)| (pointer, Some(value))).expect("edit"),
        };
        let (parent, name) = pointer.rsplit_once('/').expect("pointer");
        let parent = root.pointer_mut(parent).expect("parent");
        let value = value.map(|value| serde_json::from_str::<Value>(value).unwrap_or_else(|_| Value::from(value)));
        match (parent, value) {
            (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value)),
            (Value::Object(members), None) => assert!(members.remove(name).is_some(), "{edit}"),
            (Value::Array(list), Some(value)) if name == "-" => list.push(value),
            (Value::Array(list), Some(value)) => list[name.parse::<usize>().expect("index")] = value,
            _ => panic!("{edit}"),
        }
    }
    root.to_string()
}

fn wanted(expected: &str) -> Vec<String> {
    let mut list: Vec<String> = expected.split(',').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect();
    list.sort();
    list
}

#[test]
fn a_good_declaration_is_told_nothing() {
    assert_eq!(judge(GOOD, &IntakePolicy::default(), &["KR"]), [""; 0]);
}

#[test]
fn each_change_adds_exactly_its_faults() {
    let mut wrong = Vec::new();
    for (edits, expected) in table::CHANGES {
        let told = judge(&edited(GOOD, edits), &IntakePolicy::default(), &["KR", "GB"]);
        if told != wanted(expected) {
            wrong.push(format!("{edits}\n    told   {told:?}\n    wanted {:?}", wanted(expected)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(table::CHANGES.len() >= 100, "{}", table::CHANGES.len());
}

#[test]
fn details_never_repeat_a_value() {
    for (edits, _) in table::CHANGES {
        let body = edited(GOOD, edits);
        let tree = json::parse(body.as_bytes()).expect("JSON");
        let (declaration, mut faults, mut warnings) = Declaration::read_shape(&tree);
        check(&declaration, &IntakePolicy::default(), &["KR".to_owned()], TODAY, &mut faults, &mut warnings);
        for edit in edits.split(';').filter_map(|edit| edit.split_once('=')).map(|(_, value)| value.trim().trim_matches('"')) {
            let told = |fault: &Fault| fault.detail.contains(edit);
            // Short ones and words of ours stand in details by themselves.
            let tellable = edit.len() > 6 && edit.bytes().any(|b| b.is_ascii_digit());
            assert!(!(tellable && (faults.as_slice().iter().any(told) || warnings.iter().any(told))), "{edits}");
        }
    }
}

#[test]
fn an_operator_decides_what_policy_leaves_open() {
    let strict = IntakePolicy::default();
    let wrong_digit = edited(GOOD, "/item_id=EE123456786KR");
    let lenient = IntakePolicy { s10_check_digit_is_fault: false, ..strict.clone() };
    assert_eq!(judge(&wrong_digit, &lenient, &["KR"]), ["~/item_id s10_check_digit"]);
    assert_eq!(judge(GOOD, &strict, &["JP", "FR"]), ["/item_id s10_country"]);
    assert_eq!(judge(GOOD, &strict, &[]), ["/item_id s10_country"], "no country allowed is no country");
    assert_eq!(judge(GOOD, &strict, &["*"]), [""; 0]);
    let unknown_issuer = edited(GOOD, "/item_id=EE123456785XX");
    assert_eq!(judge(&unknown_issuer, &strict, &["*"]), ["/item_id s10_country"]);
    assert_eq!(judge(&unknown_issuer, &strict, &["XX"]), [""; 0], "what the operator lists by name holds");
    assert_eq!(judge(GOOD, &IntakePolicy { max_lines: 1, ..strict.clone() }, &["KR"]), ["/contents too_many"]);
    assert_eq!(judge(GOOD, &IntakePolicy { max_gross_weight_g: 839, ..strict.clone() }, &["KR"]), ["/gross_weight_g out_of_range"]);
    assert_eq!(judge(GOOD, &IntakePolicy { oldest_posting_days: 1, ..strict.clone() }, &["KR"]), ["/posted_on out_of_range"]);
    let tomorrow = edited(GOOD, "/posted_on=\"2026-11-23\"");
    assert_eq!(judge(&tomorrow, &IntakePolicy { furthest_posting_days: 0, ..strict }, &["KR"]), ["/posted_on out_of_range"]);
}

#[test]
fn a_hostile_declaration_is_told_a_bounded_list() {
    let mut body: Value = serde_json::from_str(GOOD).expect("JSON");
    let line = serde_json::json!({ "description": "gift", "quantity": 0, "unit": "?", "value": { "amount": "1.001", "currency": "GBP" } });
    body["contents"] = Value::Array(vec![line; 1000]);
    let tree = body.to_string();
    let tree = json::parse(tree.as_bytes()).expect("JSON");
    let (declaration, mut faults, mut warnings) = Declaration::read_shape(&tree);
    check(&declaration, &IntakePolicy::default(), &["KR".to_owned()], TODAY, &mut faults, &mut warnings);
    assert_eq!(faults.as_slice().len(), crate::domain::fault::MAX_FAULTS);
    assert!(faults.count() > 4000);
    assert_eq!(warnings.len(), crate::domain::fault::MAX_FAULTS);
}

#[test]
fn the_shipped_examples_are_sound_but_for_the_two_that_must_not_be() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let declarations = std::fs::read_to_string(root.join("declarations.ndjson")).expect("examples");
    let scenarios = std::fs::read_to_string(root.join("scenarios.toml")).expect("scenarios");
    let scenarios: toml::Table = scenarios.parse().expect("TOML");
    let (mut sound, mut refused) = (0, 0);
    for line in declarations.lines() {
        let item_id = serde_json::from_str::<Value>(line).expect("JSON")["item_id"].as_str().expect("text").to_owned();
        let told = judge(line, &IntakePolicy::default(), &[&item_id[11..]]);
        let faults: Vec<&str> = told.iter().filter(|told| !told.starts_with('~')).filter_map(|told| told.split(' ').next()).collect();
        match scenarios["items"][&item_id].get("refused") {
            None => {
                assert!(faults.is_empty(), "{item_id}: {told:?}");
                assert!(!told.iter().any(|told| !told.ends_with(" normalised")), "{item_id}: {told:?}");
                sound += 1;
            }
            Some(pointers) => {
                let pointers: Vec<&str> = pointers.as_array().expect("list").iter().filter_map(toml::Value::as_str).collect();
                for pointer in &pointers {
                    assert!(faults.contains(pointer), "{item_id} {pointer}: {told:?}");
                }
                assert_eq!(faults.len(), pointers.len(), "{item_id}: {told:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((sound, refused), (27, 2));
}
