//! Planted faults: all found in one load, each with its place.

use proptest::prelude::*;

use super::*;

fn faults(files: &Files) -> Vec<String> {
    Mapping::load(files).expect_err("has faults").iter().map(ToString::to_string).collect()
}

#[test]
fn all_faults_of_a_mapping_are_told_at_once_with_their_places() {
    let template = r#"<R xmlns:p="urn:preclear:mapping:1" xmlns="urn:x">
  <A>{sender.nmae}</A>
  <B p:iff="true">{settings.ofice}</B>
  <C>{item_id | uper}</C>
  <D>{contents}</D>
  <E p:each="line in sender">{line}</E>
  <F>{mail_class | code('mode')}</F>
  <q:G x="1">{gross_weight_g &lt; sender.name}</q:G>
  <H>{category == 'gifts'}</H>
  <I p:let-name="1 +">{namee}</I>
  <J>{gross_weight_g | decimals('2')}</J>
  <p:check that="true" code="X!" field="contents[].hscode">text</p:check>
  <K>{message.lnr}{item_id</K>
  <p:grup/>
  <L>{posted_on == 'soon'}{pick(identifiers, 'iosss').value}</L>
</R>"#;
    let mut files = files(template);
    files.files.insert("codes/bad.csv".to_owned(), b"key,value\na,1\na,2\n,3\n".to_vec());
    files.files.insert("amendmant.xml".to_owned(), b"<a/>".to_vec());
    files.files.insert("notices.toml".to_owned(), NOTICES.as_bytes().to_vec());
    files.files.insert("mapping.toml".to_owned(), MANIFEST.replace("content_type", "contenttype").into_bytes());
    let found = faults(&files);
    let expected = [
        "test/mapping.toml:5:1: content_type is missing",
        "test/mapping.toml:6:1: unknown key contenttype (did you mean content_type?)",
        "test/codes/bad.csv:3:1: the key \"a\" stands twice",
        "test/codes/bad.csv:4:1: the key is empty",
        "test/declaration.xml:2:14: sender has no field nmae (did you mean name?)",
        "test/declaration.xml:3:6: there is no attribute p:iff (did you mean if?)",
        "test/declaration.xml:3:29: mapping.toml has no setting ofice (did you mean office?)",
        "test/declaration.xml:4:17: unknown function uper (did you mean upper?)",
        "test/declaration.xml:5:7: a list is not a text: use join, first(…) or p:each, or name a field of it",
        "test/declaration.xml:6:22: a repeat needs a list, not a record",
        "test/declaration.xml:6:31: unknown name line",
        "test/declaration.xml:7:25: there is no code list codes/mode.csv (did you mean modes?)",
        "test/declaration.xml:8:4: the prefix q has no namespace: declare xmlns:q",
        "test/declaration.xml:8:35: a whole number cannot be compared with a text",
        "test/declaration.xml:9:19: \"gifts\" is not one of: sale_of_goods, gift, documents, commercial_sample, returned_goods, mixed, other (did you mean gift?)",
        "test/declaration.xml:10:20: syntax: unexpected end of input, expected expression",
        "test/declaration.xml:10:24: unknown name namee (did you mean name?)",
        "test/declaration.xml:11:33: has to be written out here: `number | decimals(n)`",
        "test/declaration.xml:12:30: a code has small letters, digits and _",
        "test/declaration.xml:12:52: Line has no field hscode (did you mean hs_code?)",
        "test/declaration.xml:13:15: message has no lnr (did you mean lrn?)",
        "test/declaration.xml:13:19: this { is not closed; {{ writes a brace",
        "test/declaration.xml:14:4: there is no element p:grup (did you mean group?)",
        "test/declaration.xml:15:20: \"soon\" is no date like 2026-11-20",
        "test/declaration.xml:15:46: \"iosss\" is not one of: eori, vat, ioss, voec, gst, arn, abn, pccc, cpf, cnpj, national_id, passport, nif, ein, importer_code, tax_id, other (did you mean ioss?)",
        "test/notices.toml:7:9: [namespaces] has no prefix rr (did you mean r?)",
        "test/notices.toml:8:1: unknown key lnr (did you mean lrn?)",
        "test/notices.toml:9:21: a ] is expected",
        "test/notices.toml:10:41: a form of an instant is 304, 102, iso, epoch_s, epoch_ms, or parts like %Y%m%d%H%M (did you mean 304?)",
        "test/notices.toml:13:11: one of: pending, submitted, registered, accepted, documents_required, duties_due, held, detained, released, cleared, rejected, returned, seized, destroyed, cancelled (did you mean accepted?)",
        "test/notices.toml:17:1: this row is never used: a row before it fits whenever it does",
        "test/amendmant.xml:0:0: a mapping has no such file (did you mean amendment.xml?)",
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

const NOTICES: &str = r#"[namespaces]
r = "urn:r"

[[notice]]
name = "n"
each = "/r:R"
code = "rr:Code"
lnr = "r:Lrn"
mrn = "r:Mrn[r:X='1'"
occurred_at = { path = "r:T", format = "305" }
[[notice.status]]
code = "1"
status = "acepted"
[[notice.status]]
code = "2"
note = "n"
[[notice.status]]
code = "2"
note = "m"
"#;

#[test]
fn what_is_no_template_is_refused_where_it_breaks() {
    for (template, expected) in [
        ("<R><A></R>", "test/declaration.xml:1:"),
        ("<R>", "test/declaration.xml:1:4: <R> at 1:2 is not closed"),
        ("", "test/declaration.xml:1:1: a template has one root element"),
        ("<R/><S/>", "a message has one root element"),
        ("<!DOCTYPE R [<!ENTITY a \"b\">]>\n<R>&a;</R>", "test/declaration.xml:1:1: DOCTYPE is not allowed"),
        ("<R>&a;</R>", "test/declaration.xml:1:4: only &lt; &gt; &amp; &quot; &apos; and character references are known"),
        ("<R a=\"1\" a=\"2\"/>", "test/declaration.xml:1:1: attributes: "),
        ("<R xmlns:a=\"u\" xmlns:b=\"u\" a:x=\"1\" b:x=\"2\"/>", "test/declaration.xml:1:36: the attribute b:x stands twice"),
        ("<R xmlns:p=\"urn:preclear:mapping:1\" p:if=\"true\"/>", "test/declaration.xml:1:37: the root element is always written, once"),
        ("<R>{mrn}</R>", "mrn is only known in templates of messages that follow a declaration"),
        ("<R>{'a' {% x</R>", "this { is not closed"),
        ("<R>a } b</R>", "test/declaration.xml:1:6: this } closes nothing"),
    ] {
        let found = faults(&files(template)).join("\n");
        assert!(found.contains(expected), "{template}: {found}");
    }
    let deep = format!("{}{}", "<a>".repeat(70), "</a>".repeat(70));
    assert!(faults(&files(&deep)).join("").contains("at most 64 levels"));
    let nested = format!("<R>{{{}1{}}}</R>", "(".repeat(300), ")".repeat(300));
    assert!(!faults(&files(&nested)).is_empty());
    let chain = format!("<R>{{{}}}</R>", vec!["1"; 200].join("+"));
    assert!(faults(&files(&chain)).join("").contains("nested too deep"));
    let long = format!("<R>{{{}}}</R>", vec!["item_id"; 100].join(" == item_id or "));
    assert!(faults(&files(&long)).join("").contains("1024 bytes at most"));
    for (expression, expected) in [
        ("sender.name is defined", "1:20: there are no tests"),
        ("item_id[:2]", "there are no slices"),
        ("1 &lt; 2 &lt; 3", "compare two values at a time"),
        ("2 ** 3", "numbers have + - * / only"),
        ("item_id.upper()", "only functions of the table can be called"),
        ("cut(item_id, n=3)", "arguments are given by place"),
        ("category = 'gift'", "1:14: values are compared with =="),
        ("category in ['a = b'] = 2", "1:27: values are compared with =="),
        ("gross_weight_g | round(2)", "unknown function round (did you mean decimals?)"),
        ("contents[0].value.amonut", "Money has no field amonut (did you mean amount?)"),
        ("recipient.local.nmae", "recipient.local has no field nmae (did you mean name?)"),
        ("[a, b", "syntax"),
    ] {
        let found = faults(&files(&format!("<R>{{{expression}}}</R>"))).join("\n");
        assert!(found.contains(expected), "{expression}: {found}");
    }
}

#[test]
fn a_broken_mapping_harms_only_itself() {
    let folder = std::env::temp_dir().join(format!("preclear-registry-{}", std::process::id()));
    for (name, template) in [("good", "<R/>"), ("bad", "<R>")] {
        for (path, bytes) in files(template).files {
            let path = folder.join(name).join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, bytes).expect("written");
        }
    }
    let (registry, broken) = Registry::load(&Source::Folder(folder.clone()));
    std::fs::remove_dir_all(folder).expect("removed");
    assert_eq!(registry.names().collect::<Vec<_>>(), ["good"]);
    assert_eq!(broken.iter().map(|broken| broken.name.as_str()).collect::<Vec<_>>(), ["bad"]);
    assert!(registry.get("good").expect("loaded").version.starts_with("1.2.3+"));
}

#[test]
fn an_archive_gives_back_what_makes_messages_and_nothing_cut() {
    let mut files = files("<R/>");
    files.files.insert("cases/one/declaration.json".to_owned(), b"{}".to_vec());
    files.files.insert("codes/odd.csv".to_owned(), Vec::new());
    let archive = files.archive();
    let back = Files::from_archive(&files.name, &archive).expect("an archive");
    assert_eq!((back.digest(), back.hash()), (files.digest(), files.hash()));
    assert!(back.get("cases/one/declaration.json").is_none(), "cases make no messages");
    files.files.remove("cases/one/declaration.json");
    assert_eq!(back.files, files.files);
    for end in 1..archive.len() {
        let cut = Files::from_archive(&files.name, &archive[..end]);
        assert!(cut.is_none_or(|cut| cut.digest() != files.digest()), "cut at {end}");
    }
    assert!(Files::from_archive("x", &[0xff; 40]).is_none());
}

#[test]
fn the_built_in_set_loads() {
    let (registry, broken) = Registry::load(&Source::Embedded);
    assert!(broken.is_empty(), "{broken:?}");
    assert!(registry.get("hmrc-cds").is_some());
}

#[test]
fn settings_are_checked_all_at_once() {
    let manifest = MANIFEST.replace("required = false\nexample = \"1.50\"", "required = true\nexample = \"1.50\"");
    let mut files = files("<R/>");
    files.files.insert("mapping.toml".to_owned(), manifest.into_bytes());
    let mapping = Mapping::load(&files).expect("loads");
    let table: toml::Table = toml::from_str("offce = \"x\"\noffice = 7").expect("TOML");
    let faults = mapping.settings(&table).expect_err("faults");
    let found: Vec<(&str, &str)> = faults.iter().map(|fault| (fault.key.as_str(), fault.message.as_str())).collect();
    assert_eq!(
        found,
        [
            ("offce", "the mapping has no such setting; did you mean office?"),
            ("office", "has to be a text of 1 to 500 characters without control characters, for example \"A1\""),
            ("limit", "has to be set: a limit (for example \"1.50\")"),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is no mapping is refused or means something, but never ends the process.
    #[test]
    fn no_text_of_an_author_panics(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "item_id", "contents", "sender", ".", "name", "[", "]", "0", "1.5", "(", ")", "|", "join", "sum", "'value.amount'", "'x'", ",", "+", "-", "*",
                "/", "~", "==", "<", "in", "not", "and", "or", "if", "else", "is", "defined", ":", "{", "}", "\u{e9}", "\\", "'", "date", "'%Y%'", "code", "none",
            ]),
            0..25,
        ),
        at in 0usize..20_000,
        junk in "[<>&;'\"{}a\u{e9} ]{0,4}",
    ) {
        let declaration = declaration();
        if let Ok(condition) = Condition::compile(&tokens.join(" ")) {
            let _ = condition.matches(&declaration, PostContext::default());
        }
        let shipped = include_str!("../../../mappings/hmrc-cds/declaration.xml");
        let mut place = at % shipped.len();
        while !shipped.is_char_boundary(place) {
            place -= 1;
        }
        let _ = Mapping::load(&files(&format!("{}{junk}{}", &shipped[..place], &shipped[place..])));
    }
}

#[test]
fn a_pipe_behind_an_operator_says_what_it_takes() {
    for (expression, at, written) in [
        (
            "sender.company or sender.name | cut(8)",
            30,
            "write `(sender.company or sender.name) | cut(8)`, or `sender.company or (sender.name | cut(8))`",
        ),
        ("1 + 2.5 | decimals(0)", 8, "write `(1 + 2.5) | decimals(0)`, or `1 + (2.5 | decimals(0))`"),
        ("[1, 2 - -3 | kg(1)]", 11, "write `(2 - -3) | kg(1)`, or `2 - (-3 | kg(1))`"),
        (
            "item_id ~ sender.name | upper | cut(3)",
            22,
            "write `(item_id ~ sender.name) | upper | cut(3)`, or `item_id ~ (sender.name | upper | cut(3))`",
        ),
        ("item_id == sender.name | upper", 23, "write `item_id == (sender.name | upper)`"),
        ("item_id in (sender.name) | trim", 25, "write `item_id in ((sender.name) | trim)`"),
        ("1 if item_id else 2 | kg(1)", 20, "write `(1 if item_id else 2) | kg(1)`, or `1 if item_id else (2 | kg(1))`"),
        (
            "sender.name | trim or sender.city | trim",
            34,
            "write `(sender.name | trim or sender.city) | trim`, or `sender.name | trim or (sender.city | trim)`",
        ),
        ("1 + 2 | decimals(0) == 3", 6, "write `(1 + 2) | decimals(0)`"),
        ("sender.company and sender.name | cut(8) ~ 'x'", 31, "write `(sender.company and sender.name) | cut(8)`"),
    ] {
        let found = faults(&files(&format!("<R>{{{expression}}}</R>"))).join("\n");
        let place = format!("test/declaration.xml:1:{}: this | takes only what stands directly before it: {written}", at + 5);
        assert!(found.contains(&place), "{expression}: {found}");
    }
    for sound in [
        "(sender.company or sender.name) | cut(8)",
        "sender.company or (sender.name | cut(8))",
        "contents | count + 1",
        "cut(sender.company or 'a | or', 8) | trim",
        "sender.company and contents | count > 2",
        "'a' if contents | count > 2 else 'b'",
        "-1 | decimals(2)",
        "not contents | count",
        "contents | where('quantity', 1 + 1) | count",
    ] {
        let template = format!("<R>{{{}}}</R>", sound.replace('>', "&gt;"));
        assert!(Mapping::load(&files(&template)).is_ok(), "{sound}: {:?}", Mapping::load(&files(&template)).err());
    }
}

#[test]
fn what_looks_like_the_mapping_language_but_is_not_is_told() {
    for (template, expected) in [
        ("<R xmlns:p=\"urn:preclear:mapping\"/>", "1:13: this is not the namespace of mappings (did you mean urn:preclear:mapping:1?)"),
        ("<R xmlns:p=\"urn:preclear:maping:1\"/>", "1:13: this is not the namespace of mappings (did you mean urn:preclear:mapping:1?)"),
        ("<R xmlns=\"urn:Preclear:mapping:2\"/>", "1:11: this is not the namespace of mappings (did you mean urn:preclear:mapping:1?)"),
        ("<R a=\"b < c\"/>", "1:9: a < in an attribute's value is written &lt;"),
    ] {
        assert_eq!(faults(&files(template)), [format!("test/declaration.xml:{expected}")], "{template}");
    }
    let template =
        "<R xmlns:p=\"urn:preclear:mapping:1\"><A optional=\"true\">{item_id}</A><B x:each=\"a\" xmlns:x=\"urn:x\" let-a=\"1\"/></R>";
    let warnings: Vec<String> = Mapping::load(&files(template)).expect("loads").warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "test/declaration.xml:1:40: optional without a prefix is an attribute of the message; of the mapping language it is p:optional",
        "test/declaration.xml:1:99: let-a without a prefix is an attribute of the message; of the mapping language it is p:let-a",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn what_is_still_to_be_decided_is_named_with_the_value_of_the_sample() {
    let mut files = files("<R>\n<Office no=\"{todo('7')}\">{todo('CH004351') | upper}</Office></R>");
    let told = |list: &[MappingFault]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = told(&Mapping::load(&files).expect_err("no draft"));
    let expected = [
        "test/declaration.xml:2:14: Office/@no (sample 7) is still to be decided: write the expression or the fixed text that belongs here",
        "test/declaration.xml:2:27: Office (sample CH004351) is still to be decided: write the expression or the fixed text that belongs here",
    ];
    assert_eq!(found, expected);
    files.files.insert("mapping.toml".to_owned(), format!("draft = true\n{MANIFEST}").into_bytes());
    let mapping = Mapping::load(&files).expect("a draft may be undecided");
    assert_eq!(
        told(&mapping.warnings),
        [
            "test/declaration.xml:2:14: Office/@no (sample 7) is still to be decided",
            "test/declaration.xml:2:27: Office (sample CH004351) is still to be decided"
        ]
    );
}

#[test]
fn paths_that_find_nothing_and_facts_that_lead_nowhere_are_told() {
    let mut files = files("<R/>");
    let rules = |reply: &str| {
        format!(
            "[[notice]]\nname = \"n\"\neach = \"/R\"\n{reply}code = \"Code\"\nlrn = \"Lnr\"\noccurred_at = {{ path = \"At\", format = \"iso\" }}\n\
             reasons = {{ each = \"Why\", text = \".\" }}\n[[notice.status]]\ncode = \"1\"\nmrn = \"Mrn\"\nstatus = \"accepted\"\n"
        )
    };
    let notice = b"<R><Code>1</Code><Lrn>A</Lrn><Why>so</Why><At>20.11.2026</At></R>";
    files.files.insert("notices/one/notice.xml".to_owned(), notice.to_vec());
    let mut coverage = |reply: &str| {
        files.files.insert("notices.toml".to_owned(), rules(reply).into_bytes());
        let mapping = Mapping::load(&files).expect("loads");
        cases::run(&mapping, &files, &schema::Schemas::default()).1
    };
    let found = coverage("");
    let told: Vec<String> = found.path_gaps.iter().map(ToString::to_string).collect();
    let expected = [
        "test/notices.toml:5:1: lrn finds nothing in any notice case",
        "test/notices.toml:6:1: occurred_at finds nothing in any notice case",
        "test/notices.toml:10:1: mrn finds nothing in any notice case",
    ];
    assert_eq!(told, expected);
    assert!(found.loose[0].to_string().starts_with("test/notices/one: a fact without lrn, mrn, conversation or job"));
    assert_eq!(coverage("reply = true\n").loose, []);
}
