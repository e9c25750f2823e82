//! The functions of the table: what they give, what they refuse at load, what they tell a sender.

use super::expressions::value;
use super::*;
use crate::mapping::cases::CaseContext;

/// Rates of a case: EUR to GBP changes on the posting date, GBP to KRW has no inverse row.
const RATES: &str = r#"
[[rates]]
from = "EUR"
to = "GBP"
valid_from = "2026-11-01"
valid_until = "2026-11-19"
rate = "0.5"
source = "HMRC"
[[rates]]
from = "EUR"
to = "GBP"
valid_from = 2026-11-20
rate = 0.8750
source = "HMRC"
[[rates]]
from = "GBP"
to = "KRW"
valid_from = "2026-11-01"
rate = "1800"
source = "BOK"
"#;

/// What the root holds with these settings; faults as `pointer code`.
fn with(settings: &str, inner: &str, declaration: &Declaration) -> Result<Rendered, Vec<String>> {
    let context = CaseContext::read(settings).expect("settings");
    let told = |faults: Vec<Fault>| faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect();
    context.render(&mapping(inner), declaration, None).map_err(told)
}

fn text(rendered: &Rendered) -> String {
    String::from_utf8_lossy(&rendered.bytes).trim_start_matches("<R>").trim_end_matches("</R>").to_owned()
}

#[test]
fn numbers_dates_and_texts() {
    for (expression, expected) in [
        ("2.500 | max_decimals(2)", "2.5"),
        ("100 | max_decimals(2)", "100"),
        ("2.345 | max_decimals(2, 'down')", "2.34"),
        ("gross_weight_g | kg(0, 'down')", "1"),
        ("min(3, 2.5) ~ max(3, 2.5)", "2.53"),
        ("max(posted_on, transport.departs_at) or 'none'", "none"),
        ("min(posted_on, transport.arrives_at)", "2026-11-20"),
        ("posted_on | add_days(-20)", "2026-10-31"),
        ("posted_on | add_days(contents | count)", "2026-11-23"),
        ("message.created_at | add_days(1) | date('iso')", "2026-11-21T12:00:00Z"),
        ("posted_on | add_days(99999999999)", " mapping_value"),
        ("posted_on | add_days(gross_weight_g / 7)", "/gross_weight_g mapping_value"),
        ("message.created_at | date('iso', 'Asia/Seoul')", "2026-11-20T21:00:00+09:00"),
        ("message.created_at | date('304', '-03:30')", "20261120083000-0330"),
        ("message.created_at | date('304', 'Europe/Amsterdam')", "20261120130000+01"),
        ("message.created_at | date('304', 'UTC')", "20261120120000Z"),
        ("message.created_at | date('%d.%m. %H:%M', 'Asia/Kathmandu')", "20.11. 17:45"),
        // Summer time is known.
        ("message.created_at | add_days(200) | date('iso', 'Europe/Amsterdam')", "2027-06-08T14:00:00+02:00"),
        ("posted_on | date('iso', 'Asia/Seoul')", "2026-11-20"),
        ("message.created_at | date('iso', sender.city)", "/sender/city mapping_value"),
        ("item_id | street_part('name')", "EE123456785KR"),
        ("sender.street[0] | street_part('number')", "12"),
        ("sender.street[0] | street_part('name')", "Jong-ro"),
        ("wrap('one two  three, four', 9) | join('|')", "one two|three,|four"),
        ("wrap('abcdefgh ij', 3) | join('|')", "abc|def|gh|ij"),
        ("wrap('가나다 라', 5) | count", "1"),
        ("entry(wrap('one two', 3), 2)", "two"),
        ("split(' a ,, b', ',') | join('|')", "a|b"),
        ("split('a b', ';') | count", "1"),
        ("pad_left(contents | count, 3, '0')", "003"),
        ("pad_left('1234', 3, '0')", "1234"),
        ("'é' | alphabet('latin1')", "é"),
        ("'a–b' | alphabet('latin1', '-')", "a-b"),
        ("'A + B' | alphabet('A-Z ')", "A B"),
        ("'김' | alphabet('ascii') or 'nothing'", "nothing"),
        ("guid('line')", "46a5beb3-f923-52b2-9e28-89a48ad25da8"),
        ("guid('line') == guid('lines')", "false"),
        ("entry(contents, 2).description", "Tea"),
        ("entry(contents, 4).description or 'none'", "none"),
        ("entry(contents, 1.5).description or 'none'", "none"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn a_text_in_another_script_is_written_in_latin_letters_and_the_sender_is_told() {
    let declaration = declaration_with(|json| {
        json["sender"]["name"] = "김민지".into();
        json["sender"]["city"] = "Zürich".into();
        json["recipient"]["name"] = "Łukasz 🯄".into();
    });
    let inner =
        "<A>{sender.name | latin}</A><B>{sender.city | latin}</B><C>{sender.city | ascii}</C><D>{recipient.name | alphabet('latin1')}</D>";
    let rendered = with("", inner, &declaration).expect("renders");
    assert_eq!(text(&rendered), "<A>Gimminji</A><B>Zürich</B><C>Zurich</C><D>ukasz</D>");
    let told: Vec<_> = rendered.warnings.iter().map(|fault| (fault.pointer.as_str(), &*fault.code)).collect();
    assert_eq!(told, [("/sender/name", "transliterated"), ("/sender/city", "transliterated"), ("/recipient/name", "replaced")]);
}

#[test]
fn amounts_are_converted_by_the_rate_of_the_posting_date_which_is_kept() {
    let inner = "<A>{(contents[1].value | convert('GBP')).amount}</A><B>{contents | total('GBP', 'value', 2)}</B>\
                 <C>{contents | total('GBP', 'value')}</C><D>{(contents[0].value | convert('KRW')).currency}</D>\
                 <E>{(contents[0].value | convert('GBP')).amount}</E><F>{costs | total('GBP', '', 2)}</F>\
                 <G p:optional=\"true\"><H p:if=\"false\">{(contents[0].value | convert('KRW')).amount}</H></G>";
    let rendered = with(RATES, inner, &declaration()).expect("renders");
    // 0.20 EUR at 0.875 is 0.175: rounded to 0.18 before it is added, or not.
    assert_eq!(text(&rendered), "<A>0.175</A><B>15.33</B><C>15.325</C><D>KRW</D><E>10.10</E><F>0.00</F>");
    let used = serde_json::to_value(&rendered.conversions).expect("JSON");
    let expected = serde_json::json!([
        {"from": "EUR", "to": "GBP", "rate": "0.875", "date": "2026-11-20", "source": "HMRC"},
        {"from": "GBP", "to": "KRW", "rate": "1800", "date": "2026-11-01", "source": "BOK"},
    ]);
    assert_eq!(used, expected);

    // A day earlier another rate held.
    let earlier = declaration_with(|json| json["posted_on"] = "2026-11-19".into());
    assert_eq!(text(&with(RATES, "<A>{(contents[1].value | convert('GBP')).amount}</A>", &earlier).expect("renders")), "<A>0.1</A>");
    // The inverse stands in: 1800 KRW are 1 GBP.
    let won = declaration_with(|json| json["postage"] = serde_json::json!({"amount": "4500", "currency": "KRW"}));
    assert_eq!(text(&with(RATES, "<A>{(postage | convert('GBP')).amount}</A>", &won).expect("renders")), "<A>2.5</A>");
    // A rate that was only needed in what was left out is not kept.
    let left_out = "<A p:optional=\"true\" c=\"{(contents[1].value | convert('GBP')).amount}\">{sender.company}</A>";
    assert_eq!(with(RATES, left_out, &declaration()).expect("renders").conversions, []);
    for (inner, expected) in [
        ("<A>{(contents[1].value | convert('USD')).amount}</A>", vec!["/contents/1/value/currency mapping_value"]),
        ("<A>{contents | where('value.currency', 'EUR') | total('KRW', 'value')}</A>", vec!["/contents/1/value/currency mapping_value"]),
        (
            "<A p:each=\"l in contents\">{(l.value | convert('USD')).amount}</A>",
            vec![
                "/contents/0/value/currency mapping_value",
                "/contents/1/value/currency mapping_value",
                "/contents/2/value/currency mapping_value",
            ],
        ),
    ] {
        assert_eq!(with(RATES, inner, &declaration()).expect_err(inner), expected, "{inner}");
    }
    assert_eq!(with("", "<A>{contents | total('GBP', 'value')}</A>", &declaration()).expect_err("no table").len(), 1);
}

#[test]
fn a_fixed_currency_takes_what_can_be_converted() {
    let mut fixed = files("<R><A>{contents | total('GBP', 'value', 2)}</A></R>");
    fixed.files.insert("mapping.toml".to_owned(), format!("currency = \"GBP\"\n{MANIFEST}").into_bytes());
    let mapping = Mapping::load(&fixed).expect("loads");
    assert!(mapping.converts());
    let render = |settings: &str| CaseContext::read(settings).expect("settings").render(&mapping, &declaration(), None);
    assert_eq!(text(&render(RATES).expect("renders")), "<A>15.33</A>");
    let faults = render("").expect_err("no rate");
    assert!(faults.iter().all(|fault| fault.pointer == "/contents/1/value/currency"), "{faults:?}");
    assert!(!self::mapping("<A/>").converts());
}

#[test]
fn shares_add_up_to_the_amount() {
    for (expression, expected) in [
        // Net weights 200, none, 300.
        ("apportion(100, contents, 'net_weight_g', 2) | join(' ')", "40.00 0.00 60.00"),
        ("apportion(gross_weight_g, contents, 'quantity', 0) | join(' ')", "857 429 214"),
        ("apportion(1.005, contents, 'net_weight_g', 2) | sum", "1.01"),
        ("apportion(-1, contents, 'quantity', 1) | join(' ')", "-0.6 -0.3 -0.1"),
        ("apportion(5, pieces, 'gross_weight_g', 1) | count", "0"),
        ("apportion(settings.limit, contents, 'quantity', 1) | count", "0"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    let many = |count: usize| {
        declaration_with(|json| {
            let line = json["contents"][1].clone();
            json["contents"] = (0..count).map(|_| line.clone()).collect();
        })
    };
    let shares = |amount: &str, count: usize| {
        let inner = format!("<A>{{apportion({amount}, contents, 'net_weight_g', 2) | join(' ')}}</A>");
        text(&with("", &inner, &many(count)).expect("renders"))
    };
    // No weights: equal shares. Rounding half up would leave less than nothing to the last of nine.
    assert_eq!(shares("200", 3), "<A>66.67 66.67 66.66</A>");
    assert_eq!(shares("0.05", 9), "<A>0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.05</A>");
}

#[test]
fn lines_are_grouped_in_the_order_of_their_first() {
    let declaration = declaration_with(|json| {
        let (mut a, mut b) = (json["contents"][0].clone(), json["contents"][2].clone());
        a["hs_code"] = "61159500".into();
        b["value"]["currency"] = "EUR".into();
        json["contents"].as_array_mut().expect("lines").extend([a, b]);
    });
    for (grouping, expected) in [
        ("contents | group_by('hs_code')", "611595:1 :1 691110:2 61159500:1 "),
        ("contents | group_by('hs_code:6')", "611595:2 :1 691110:2 "),
        ("contents | group_by('hs_code:6', 'value.currency')", "611595:2 :1 691110:1 691110:1 "),
        ("contents | ungrouped", "611595:1 :1 691110:1 61159500:1 691110:1 "),
        (
            "(contents | group_by('hs_code:6')) if settings.office == 'x' else (contents | ungrouped)",
            "611595:1 :1 691110:1 61159500:1 691110:1 ",
        ),
    ] {
        let inner =
            format!("<p:group p:each=\"g in {grouping}\"><A p:empty=\"keep\">{{first(g).hs_code}}</A><B>{{g | count}}</B></p:group>");
        let made = text(&with("", &inner, &declaration).expect("renders"));
        let made = made.replace("<A>", "").replace("</A><B>", ":").replace("</B>", " ");
        assert_eq!(made, expected, "{grouping}");
    }
    let sums = "<A p:each=\"g in contents | group_by('hs_code:6')\" n=\"{position}/{last}\">{g | sum('quantity')}</A>";
    assert_eq!(text(&with("", sums, &declaration).expect("renders")), "<A n=\"1/3\">4</A><A n=\"2/3\">1</A><A n=\"3/3\">1.0</A>");
}

#[test]
fn faults_of_calls_are_told_when_a_mapping_is_loaded() {
    for (expression, expected) in [
        ("contents[0].value | convert('EUX')", "a currency is a current ISO 4217 code"),
        ("sender | convert('EUR')", "convert needs a record with amount and currency, not a record"),
        ("gross_weight_g | convert('EUR')", "convert needs a record with amount and currency, not a whole number"),
        ("contents[0].value | convert('EUR')", "a record is not a text"),
        ("contents | total('EUR')", "total adds records with amount and currency, not a record"),
        ("contents | total('EUR', 'hs_code')", "total adds records with amount and currency, not a text"),
        ("contents | total('EUR', 'vlue')", "did you mean value?"),
        ("contents | total('EUR', 'value', 11)", "a whole number from 0 to 10"),
        ("apportion(1, contents, 'hs_code', 2) | sum", "an amount is apportioned by a number, not by a text"),
        ("contents | group_by('hs_cod') | count", "did you mean hs_code?"),
        ("contents | group_by('hs_code:0') | count", "from 1 to 100"),
        ("contents | group_by('quantity:2') | count", "only a text has first characters"),
        ("contents | group_by('value') | count", "entries are grouped by a single value"),
        ("contents | group_by() | count", "group_by is written"),
        ("entry(contents, 0).hs_code", "places are counted from 1"),
        ("message.created_at | date('iso', 'Europe/Amsterdm')", "did you mean Europe/Amsterdam?"),
        ("message.created_at | date('iso', '+25:00')", "or an offset like '+09:00'"),
        ("sender.name | alphabet('latin2')", "did you mean latin"),
        ("sender.name | alphabet('A-Z', '?')", "has to be allowed itself"),
        ("sender.street[0] | street_part('numbr')", "did you mean number?"),
        ("wrap(sender.name, 0) | count", "a whole number from 1"),
        ("pad_left(item_id, 20, '00')", "one character fills up"),
        ("min(gross_weight_g, posted_on)", "cannot be compared with"),
        ("min('a', 'b')", "min needs a number, date or instant"),
        ("add_days(item_id, 1)", "add_days needs a date or instant"),
        ("2 | max_decimals(sender.name)", "has to be written out here"),
    ] {
        let found = Mapping::load(&files(&format!("<R>{{{expression}}}</R>"))).expect_err(expression);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expression}: {found:?}");
        assert!(found.iter().all(|fault| fault.contains("declaration.xml:1:")), "{expression}: {found:?}");
    }
    for call in ["(contents | total('GBP', 'value')) < 5", "guid('x') == 'y'"] {
        let found = Condition::compile(call).expect_err(call);
        assert!(found[0].message.contains("only known in a mapping's templates"), "{found:?}");
    }
}

/// Each line costs the same, however many there are.
#[test]
fn rendering_grows_with_the_lines_and_not_with_their_square() {
    let inner = "<p:group p:let-shares=\"apportion(gross_weight_g, contents, 'net_weight_g', 3)\">\
                 <L p:each=\"l in contents\"><A>{entry(shares, position)}</A><B>{l.description | latin | cut(4)}</B>\
                 <C>{(l.value | convert('GBP')).amount | decimals(2)}</C></L>\
                 <G p:each=\"g in contents | group_by('description', 'hs_code:4')\"><L p:each=\"l in g\">{l.description | ascii}</L></G></p:group>";
    let mapping = mapping(inner);
    let context = CaseContext::read(RATES).expect("settings");
    let lines = |count: usize| {
        declaration_with(|json| {
            let line = json["contents"][1].clone();
            let described = |at: usize| {
                let mut line = line.clone();
                line["description"] = format!("홍차 {at}").into();
                line
            };
            json["contents"] = (0..count).map(described).collect();
        })
    };
    let time = |declaration: &Declaration| {
        let begun = std::time::Instant::now();
        context.render(&mapping, declaration, None).expect("renders");
        begun.elapsed()
    };
    let (few, many) = (lines(99), lines(990));
    let best = |declaration: &Declaration| (0..7).map(|_| time(declaration)).min().expect("runs");
    let (few, many) = (best(&few), best(&many));
    assert!(many < few * 30, "99 lines take {few:?}, 990 lines take {many:?}");
}

#[test]
fn what_hangs_on_a_failed_conversion_is_no_fault_of_its_own() {
    let check = |that: &str| format!("<p:check that=\"{that}\" code=\"value_limit\" field=\"contents\">At most 135.</p:check>");
    let of = |inner: &str| {
        let mut told = made(inner).expect_err("there is no rate");
        told.dedup();
        told
    };
    for inner in [
        format!("<A>{{contents | total('GBP', 'value')}}</A>{}", check("contents | total('GBP', 'value') &lt;= 135")),
        format!("<A p:let-total=\"contents | total('GBP', 'value')\">{{total}}{}</A>", check("total &lt;= 135")),
        format!(
            "<A p:let-total=\"contents | total('GBP', 'value')\" p:let-half=\"total / 2\"><B>{{half}}</B>{}</A>",
            check("half &lt;= 67")
        ),
    ] {
        assert_eq!(of(&inner), ["/contents/1/value/currency mapping_value"], "{inner}");
    }
    // What was computed is still held to its rule.
    let inner = check("contents | count &lt; 3");
    let told = of(&format!("<A p:let-total=\"contents | total('GBP', 'value')\">{{total}}</A>{inner}"));
    assert_eq!(told, ["/contents/1/value/currency mapping_value", "/contents value_limit"]);
}
