//! Expressions: what they give, and that minijinja itself gives the same.

use minijinja::{Environment, UndefinedBehavior, Value};

use super::*;

/// The value of an expression as text; `-` when missing.
pub(super) fn value(expression: &str) -> String {
    let escaped = expression.replace('<', "&lt;");
    made(&format!("<V p:empty=\"keep\">{{{escaped}}}</V>")).map_or_else(
        |faults| faults.join(", "),
        |text| text.trim_start_matches("<V>").trim_end_matches("</V>").replace("&gt;", ">").to_owned(),
    )
}

#[test]
fn expressions_give_what_the_page_says() {
    for (expression, expected) in [
        ("item_id", "EE123456785KR"),
        ("sender.company or sender.name", "Kim Minji"),
        ("seller.name ~ '/' ~ buyer.name", "Kim Minji/Ann Lee"),
        ("stated.seller.name or 'none'", "none"),
        ("contents | count", "3"),
        ("contents | sum('value.amount')", "15.35"),
        ("contents | where('value.currency', 'GBP') | sum('value.amount')", "15.15"),
        ("contents | sum('net_weight_g')", "500"),
        ("pieces | sum('gross_weight_g')", "0"),
        ("contents[1].description", "Tea"),
        ("first(contents).description", "Socks"),
        ("pick(identifiers, 'ioss').value", "IM3720000224"),
        ("pick(identifiers, 'eori').value or 'no EORI'", "no EORI"),
        ("gross_weight_g | kg(3)", "1.500"),
        ("gross_weight_g | kg(0)", "2"),
        ("0.5 + 0.25", "0.75"),
        ("0.1 + 0.2 == 0.3", "true"),
        ("gross_weight_g * 200 / 500", "600"),
        ("2.345 | decimals(2)", "2.35"),
        ("2.345 | decimals(2, 'down')", "2.34"),
        ("2.345 | decimals(2, 'half_even')", "2.34"),
        ("2.341 | decimals(2, 'up')", "2.35"),
        ("10000000000 * 10000000000", "100000000000000000000"),
        ("-gross_weight_g", "-1500"),
        ("sender.street | join(', ')", "12 Jong-ro, Jongno-gu"),
        ("sender.name | upper | substring(0, 3)", "KIM"),
        ("recipient.postcode | cut(4)", "N1 1"),
        ("' a ' | trim | default('x')", "a"),
        ("sender.company | default('x')", "x"),
        ("'a1b2' | digits", "12"),
        ("mail_class | code('modes')", "1"),
        ("channel | code('modes', 'none')", "none"),
        ("tariff_code(contents[1], 'GB')", "0902300090"),
        ("'0902' | starts_with('09')", "true"),
        ("'abc' | replace('b', 'x') | length", "3"),
        ("posted_on | date('102')", "20261120"),
        ("posted_on | date('%y%m%d')", "261120"),
        ("message.created_at | date('304')", "20261120120000Z"),
        ("message.created_at | date('iso')", "2026-11-20T12:00:00Z"),
        ("transport.arrives_at > message.created_at", "true"),
        ("posted_on >= '2026-11-20' and posted_on < '2026-11-21'", "true"),
        ("'C' if category == 'gift' else 'D'", "C"),
        ("category in ['gift', 'documents']", "true"),
        ("'ig' in category", "false"),
        ("1 < 2 and not 3 < 2", "true"),
        ("settings.office ~ post.code ~ broker", "A1KRAuk-broker"),
        ("settings.limit or 7", "7"),
        // What is missing stays missing; it equals nothing, and orders with nothing.
        ("'x' ~ sender.company", ""),
        ("settings.limit + 1", ""),
        ("sender.company == 'x' or settings.limit < 5", "false"),
        ("sender.company != 'x'", "true"),
        ("transport.mode", ""),
        ("return_of.mrn or 'none'", "none"),
        // A fault of the sender.
        ("channel | code('modes')", "/channel mapping_code"),
        ("gross_weight_g / (pieces | count)", "/gross_weight_g mapping_value"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

/// The operators that we run ourselves mean what they mean in minijinja.
#[test]
fn both_ways_of_running_agree() {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    let context = Value::from(minijinja::value::Serde(&serde_json::json!({
        "item_id": "EE123456785KR", "category": "gift", "gross_weight_g": 1500, "origin_office": null,
        "sender": {"name": "Kim Minji", "street": ["12 Jong-ro", "Jongno-gu"], "city": "Seoul", "country": "KR"},
        "contents": [{"net_weight_g": 200}, {}, {"net_weight_g": 300}], "pieces": [],
    })));
    let operands = ["item_id", "category", "sender.name", "sender.city", "'gift'", "''", "sender.region"];
    let numbers = ["gross_weight_g", "7", "0", "2", "contents[0].net_weight_g"];
    let mut expressions = Vec::new();
    for a in operands {
        for b in operands {
            expressions.extend(["==", "!=", "or", "and"].map(|op| format!("{a} {op} {b}")));
            expressions.push(format!("not {a} or {b} and {a}"));
            expressions.push(format!("'y' if {a} else {b}"));
            if a != "sender.region" && b != "sender.region" {
                expressions.extend(["<", "<=", ">", ">=", "~", "in"].map(|op| format!("{a} {op} {b}")));
                expressions.push(format!("{a} in [{b}, 'Seoul']"));
            }
        }
    }
    for a in numbers {
        for b in numbers {
            expressions.extend(["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "or", "and"].map(|op| format!("{a} {op} {b}")));
            expressions.push(format!("{a} + {b} * 2 - -{a} if {a} < {b} else {b} in [2, 7]"));
        }
    }
    expressions.extend(["pieces or 'none'", "contents and 'some'", "sender.street[1]", "sender.street[7] or 'none'"].map(str::to_owned));
    assert!(expressions.len() > 500);
    for expression in expressions {
        // What a comparison with a word outside its closed list means is a fault at load.
        if expression.contains("category") && (expression.contains("==") || expression.contains("!=") || expression.contains(" in [")) {
            continue;
        }
        let theirs = environment.compile_expression(&expression).expect("compiles").eval(&context).expect("runs");
        let theirs = if theirs.is_undefined() || theirs.is_none() {
            String::new()
        } else if theirs.kind() == minijinja::value::ValueKind::Bool {
            theirs.is_true().to_string()
        } else {
            theirs.to_string()
        };
        assert_eq!(value(&expression), theirs, "{expression}");
    }
}

#[test]
fn routes_see_the_declaration_and_the_post() {
    let declaration = declaration();
    let post = PostContext { code: "KRA", name: "Korea Post" };
    for (text, expected) in [
        ("recipient.country == 'GB'", true),
        ("recipient.country in ['FR', 'DE']", false),
        ("post.code == 'KRA' and contents | sum('value.amount') < 135", true),
        ("destination_territory == 'XI'", false),
        ("gross_weight_g / (pieces | count) > 1 or true", false),
    ] {
        assert_eq!(Condition::compile(text).expect("compiles").matches(&declaration, post), expected, "{text}");
    }
    let faults = Condition::compile("recipient.contry == 'GB' and settings.x").expect_err("faults");
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["column 11: recipient has no field contry (did you mean country?)", "column 30: settings is only known in a mapping's templates"]
    );
}
