//! Encoded documents, explicit empties, changes; and the traced program: places, coverage.

use base64::Engine as _;

use super::*;
use crate::mapping::cases::CaseContext;
use crate::mapping::coverage::Tally;

#[test]
fn what_is_empty_is_written_as_the_template_says() {
    for (inner, expected) in [
        ("<A p:empty=\"null\">{sender.company}</A>", "<A><null/></A>"),
        ("<A p:empty=\"null\">{sender.city}</A>", "<A>Seoul</A>"),
        ("<A p:empty=\"null\"><B p:optional=\"true\">{sender.company}</B></A>", "<A><null/></A>"),
        ("<A p:empty=\"keep\"/>", "<A></A>"),
    ] {
        assert_eq!(made(inner).as_deref(), Ok(expected), "{inner}");
    }
}

#[test]
fn a_document_inside_an_element_is_written_as_text() {
    let document = "<d:D xmlns:d=\"urn:d\"><d:E>{sender.city} &amp; more</d:E></d:D>";
    let plain = "<d:D xmlns:d=\"urn:d\"><d:E>Seoul &amp; more</d:E></d:D>";
    let encoded = |how: &str| made(&format!("<A p:encode=\"{how}\">{document}</A>")).expect("renders");
    assert_eq!(encoded("escaped"), "<A>&lt;d:D xmlns:d=\"urn:d\"&gt;&lt;d:E&gt;Seoul &amp;amp; more&lt;/d:E&gt;&lt;/d:D&gt;</A>");
    let decode = |text: &str| {
        let inside = text.trim_start_matches("<A>").trim_end_matches("</A>");
        base64::engine::general_purpose::STANDARD.decode(inside).expect("base64")
    };
    assert_eq!(decode(&encoded("base64")), plain.as_bytes());
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*decode(&encoded("gzip base64"))), &mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain);
    // A fault inside is a fault of the sender as anywhere else.
    let missing = made("<A p:encode=\"base64\"><D xmlns=\"\"><E>{sender.company}</E></D></A>");
    assert_eq!(missing, Err(vec!["/sender/company mapping_missing".to_owned()]));
}

#[test]
fn an_encoded_document_stands_on_its_own() {
    for (inner, expected) in [
        ("<A p:encode=\"base64\"><D/></A>", "an encoded document declares its namespaces itself: xmlns=\"…\", or xmlns=\"\" for none"),
        (
            "<A p:encode=\"base64\"><q:D xmlns:q=\"urn:q\"><r:E/></q:D></A>",
            "an encoded document declares its namespaces itself: xmlns:r is missing inside it",
        ),
        ("<A p:encode=\"base64\">text</A>", "p:encode needs exactly one element in it, which is the document that is encoded"),
        ("<A p:encode=\"base46\"><D xmlns=\"\"/></A>", "p:encode is \"escaped\", \"base64\" or \"gzip base64\" (did you mean base64?)"),
        ("<A p:empty=\"nul\"/>", "p:empty is \"keep\" (an empty element) or \"null\" (<null/> in it) (did you mean null?)"),
    ] {
        let template = format!("<R xmlns:r=\"urn:r\" xmlns:p=\"urn:preclear:mapping:1\">{inner}</R>");
        let faults = Mapping::load(&files(&template)).expect_err(inner);
        assert!(faults.iter().any(|fault| fault.to_string().ends_with(expected)), "{inner}: {faults:?}");
    }
}

#[test]
fn an_amendment_sees_what_changed() {
    let template = "<R xmlns:p=\"urn:preclear:mapping:1\"><C p:each=\"change in changes\" kind=\"{change.kind}\" line=\"{change.line}\" \
        p:optional-attributes=\"line\">{change.field}</C><W>{previous.gross_weight_g}</W></R>";
    let mut files = files("<R/>");
    files.files.insert("amendment.xml".to_owned(), template.as_bytes().to_vec());
    let mapping = Mapping::load(&files).expect("loads");
    let after = declaration_with(|json| {
        json["gross_weight_g"] = 1600.into();
        json["contents"][1]["description"] = "Green tea".into();
    });
    let context = CaseContext::read("[context]\nkind = \"amendment\"").expect("context");
    let rendered = context.render(&mapping, &after, Some(&declaration())).expect("renders");
    let expected = "<R><C kind=\"changed\">gross_weight_g</C><C kind=\"changed\" line=\"2\">contents.description</C><W>1500</W></R>";
    assert_eq!(String::from_utf8(rendered.bytes).expect("UTF-8"), expected);
    let outside = Mapping::load(&super::files("<R>{first(changes).field}</R>")).expect_err("only in what follows a declaration");
    assert!(outside[0].message.contains("changes is only known in templates of messages that follow a declaration"));
}

#[test]
fn each_element_knows_the_line_that_made_it_and_its_field() {
    let template = "<R xmlns:p=\"urn:preclear:mapping:1\">\n  <Head><Id>{item_id}</Id></Head>\n  <Line p:each=\"line in contents | where('value.currency', 'GBP')\">\n    \
        <Text p:optional=\"true\" u=\"x\">{line.description}</Text>\n    <Fixed>7</Fixed>\n  </Line>\n</R>";
    let mapping = Mapping::load(&files(template)).expect("loads");
    let (declaration, context) = (declaration(), CaseContext::read("").expect("context"));
    let message = String::from_utf8(context.render(&mapping, &declaration, None).expect("renders").bytes).expect("UTF-8");
    let at = |part: &str| {
        let offset = message.find(part).expect(part);
        let made_by = context.with_input(&mapping, &declaration, None, |input| mapping.made_by(MessageKind::Declaration, input, offset));
        let made_by = made_by.expect("settings").expect("an element");
        (made_by.line, made_by.column, made_by.element, made_by.pointer)
    };
    assert_eq!(at("<Id>"), (2, 10, "Head/Id".to_owned(), Some("/item_id".to_owned())));
    assert_eq!(at("<Text u=\"x\">Socks"), (4, 6, "Line/Text".to_owned(), Some("/contents/0/description".to_owned())));
    // The second line of the message is the third of the declaration.
    assert_eq!(at("<Text u=\"x\">Cup"), (4, 6, "Line/Text".to_owned(), Some("/contents/2/description".to_owned())));
    assert_eq!(at("<Fixed>"), (5, 6, "Line/Fixed".to_owned(), None));
    assert_eq!(at("<R>"), (1, 2, "R".to_owned(), None));
}

#[test]
fn coverage_counts_both_ways_of_every_decision() {
    let mapping = mapping(
        "<A p:if=\"sender.company\"/><B p:optional=\"true\">{recipient.company}</B><C>{'x' if mail_class == 'E' else 'y'}</C>\
         <D>{mail_class | code('modes')}</D><p:check that=\"contents\" code=\"c\" field=\"contents\">No.</p:check>",
    );
    let mut tally = Tally::new(&mapping);
    let context = CaseContext::read("").expect("context");
    let add = |tally: &mut Tally<'_>, declaration: &Declaration| {
        let traced = context.with_input(&mapping, declaration, None, |input| tally.add(MessageKind::Declaration, input));
        let plain = context.render(&mapping, declaration, None).expect("renders");
        assert_eq!(traced.expect("settings").expect("a template").expect("renders"), plain.bytes);
    };
    add(&mut tally, &declaration());
    let once = tally.finish();
    let gaps: Vec<_> = once.gaps.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!((once.branches, once.all_branches, once.rows, once.all_rows), (4, 8, 1, 2));
    assert_eq!(
        gaps,
        [
            "no case where p:if is true: A (sender.company)",
            "no case where p:optional is written: B (B)",
            "no case where the second value of `if … else`: C ('x' if mail_class == 'E' else 'y')",
            "no case where p:check fails: p:check (contents)",
        ]
    );
    let mut tally = Tally::new(&mapping);
    add(&mut tally, &declaration());
    add(
        &mut tally,
        &declaration_with(|json| {
            json["mail_class"] = "U".into();
            json["sender"]["company"] = "K".into();
            json["recipient"]["company"] = "L".into();
        }),
    );
    let twice = tally.finish();
    assert_eq!((twice.branches, twice.rows), (7, 2));
}
