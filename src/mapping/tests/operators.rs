//! What an operator gives beside the settings: overrides and rows of code lists.

use std::sync::Arc;

use super::*;
use crate::mapping::cases::CaseContext;
use crate::mapping::{Operator, Rates};

const INNER: &str = "<A>{settings.office}</A><B p:optional=\"true\">{settings.limit}</B><C>{mail_class | code('modes')}</C>";

fn made_with(settings: &str) -> String {
    let rendered = CaseContext::read(settings).expect("settings").render(&mapping(INNER), &declaration(), None).expect("renders");
    String::from_utf8(rendered.bytes).expect("UTF-8").replace("<R>", "").replace("</R>", "")
}

#[test]
fn of_the_overrides_that_hold_the_first_decides_each_setting() {
    assert_eq!(made_with("office = 'A1'"), "<A>A1</A><C>1</C>");
    let settings = r#"
        office = "A1"
        [[overrides]]
        when = "recipient.country == 'FR'"
        settings = { office = "FR" }
        [[overrides]]
        when = "post.code == 'KRA'"
        settings = { office = "ICN" }
        [[overrides]]
        when = "recipient.country == 'GB'"
        settings = { office = "LHR", limit = "2.50" }
        [codes.modes]
        E = "7"
        X = "9"
    "#;
    assert_eq!(made_with(settings), "<A>ICN</A><B>2.50</B><C>7</C>");
    // Another row of the list stays what the mapping says.
    let letter = declaration_with(|json| json["mail_class"] = "U".into());
    let rendered = CaseContext::read(settings).expect("settings").render(&mapping(INNER), &letter, None).expect("renders");
    assert!(String::from_utf8_lossy(&rendered.bytes).contains("<C>3</C>"));
}

#[test]
fn every_fault_of_an_operator_is_told_with_its_key() {
    let table = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
    let (settings, wrong, bad, empty) = (table("offce = 'x'"), table("limit = 'x'\nofice = 'y'"), table("office = 'x'"), table(""));
    let (unknown, rows) = (table("E = '1'"), table("E = 7"));
    let operator = Operator {
        settings: &settings,
        overrides: vec![("post.code == 'KRA'", &wrong), ("recipient.contry == 'GB'", &bad), ("settings.office", &bad), ("true", &empty)],
        codes: vec![("mods", &unknown), ("modes", &rows)],
        rates: Arc::new(Rates::default()),
    };
    let faults = mapping("<A/>").operated(&operator).expect_err("faults");
    let told: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect();
    let expected = [
        ("settings.offce", "did you mean office?"),
        ("overrides.0.settings.ofice", "did you mean office?"),
        ("overrides.0.settings.limit", "has to be a number"),
        ("overrides.1.when", "column 11: recipient has no field contry (did you mean country?)"),
        ("overrides.2.when", "column 1: settings is only known in a mapping's templates"),
        ("overrides.3.settings", "at least one setting"),
        ("codes.mods", "did you mean modes?"),
        ("codes.modes.E", "has to be a text"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (key, detail) in expected {
        assert!(told.iter().any(|fault| fault.starts_with(&format!("{key}: ")) && fault.contains(detail)), "{key}: {told:#?}");
    }
    for (text, place) in [
        ("[[overrides]]\nwhen = 'true'", "overrides"),
        ("[codes]\nmodes = 1", "codes"),
        ("[[rates]]\nfrom = 'EUR'\nto = 'GBP'\nvalid_from = '2026-01-01'\nrate = '1,2'", "rates.0.rate"),
        ("[[rates]]\nfrom = 'EUR'\nto = 'GBP'\nvalid_from = '2026-01-01'\nrate = '1.2'\nrat = 1", "rates.0.rat"),
    ] {
        let told = CaseContext::read(text).expect_err(place);
        assert!(told.contains(place), "{told}");
    }
}
