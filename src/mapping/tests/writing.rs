//! Templates: what is written, what is left out, what is a fault of the sender.

use proptest::prelude::*;

use super::*;
use crate::mapping::dom::Dom;

#[test]
fn templates_write_what_the_page_says() {
    for (inner, expected) in [
        ("<A>x</A> <!-- no --> <B a='1 &lt; \"2\"'/><?no?>", "<A>x</A><B a=\"1 &lt; &quot;2&quot;\"/>"),
        ("<A>{{{item_id}}}</A>", "<A>{EE123456785KR}</A>"),
        ("<A p:optional=\"true\">{sender.company}</A>", ""),
        ("<A p:optional=\"true\" u=\"{sender.region}\">{sender.company}</A>", ""),
        ("<A p:optional=\"true\"><B p:optional=\"true\">{sender.company}</B><C p:if=\"false\"/></A>", ""),
        ("<A p:optional=\"true\" u=\"1\"><B p:optional=\"true\">{sender.city}</B></A>", "<A u=\"1\"><B>Seoul</B></A>"),
        ("<A p:optional=\"true\">no {sender.company}</A>", ""),
        ("<A p:empty=\"keep\">{sender.company}</A>", "<A></A>"),
        ("<A b=\"{sender.company}\" c=\"{sender.city}\" p:optional-attributes=\"b\"/>", "<A c=\"Seoul\"/>"),
        ("<A p:if=\"pieces\"/><A p:if=\"not pieces\">1</A>", "<A>1</A>"),
        (
            "<L p:each=\"l in contents\" p:let-d=\"l.description\" p:if=\"l.net_weight_g\" n=\"{position}/{last}\">{d}</L>",
            "<L n=\"1/3\">Socks</L><L n=\"3/3\">Cup</L>",
        ),
        (
            "<p:group p:each=\"s in sender.street\"><A>{s}</A><B>{position}</B></p:group>",
            "<A>12 Jong-ro</A><B>1</B><A>Jongno-gu</A><B>2</B>",
        ),
        (
            "<p:group p:each=\"l in contents\"><p:group p:each=\"t in l.tariff_codes\" p:if=\"position == last\"><A>{t.code}</A></p:group></p:group>",
            "<A>0902300090</A>",
        ),
        ("<a:A xmlns:a=\"urn:a\"><a:B/></a:A>", "<a:A xmlns:a=\"urn:a\"><a:B/></a:A>"),
        ("<A><![CDATA[a < {b}]]></A>", "<A>a &lt; {b}</A>"),
    ] {
        assert_eq!(made(inner).as_deref(), Ok(expected), "{inner}");
    }
}

#[test]
fn what_is_missing_is_told_with_the_field_of_the_declaration() {
    let check = "<p:check that=\"l.net_weight_g\" code=\"net\" field=\"contents[].net_weight_g\">Weigh it.</p:check>";
    for (inner, expected) in [
        ("<A>{sender.company}</A>", vec!["/sender/company mapping_missing"]),
        ("<A>{seller.company or seller.region}</A>", vec!["/sender/region mapping_missing"]),
        ("<A p:let-p=\"buyer\"><B>{p.region}</B></A>", vec!["/recipient/region mapping_missing"]),
        ("<A b=\"{return_of.mrn}\"/>", vec!["/return_of/mrn mapping_missing"]),
        ("<A p:each=\"l in contents\">{l.hs_code}</A>", vec!["/contents/1/hs_code mapping_missing"]),
        // The index is that of the declaration, not of what was left of the list.
        (
            "<A p:each=\"l in contents | where('value.currency', 'GBP')\">{l.origin_country}</A>",
            vec!["/contents/0/origin_country mapping_missing", "/contents/2/origin_country mapping_missing"],
        ),
        ("<A>{first(contents).origin_country}</A>", vec!["/contents/0/origin_country mapping_missing"]),
        ("<A>{pick(identifiers, 'eori').value}</A>", vec!["/identifiers mapping_missing"]),
        ("<A>{'x' ~ sender.region ~ sender.city}</A>", vec!["/sender/region mapping_missing"]),
        ("<A>{gross_weight_g + contents[1].net_weight_g}</A>", vec!["/contents/1/net_weight_g mapping_missing"]),
        ("<A>{channel | code('modes')}</A>", vec!["/channel mapping_code"]),
        ("<A>{settings.limit}</A>", vec![" mapping_missing"]),
        ("<p:check that=\"gross_weight_g &lt; 1000\" code=\"heavy\" field=\"gross_weight_g\">No.</p:check>", vec!["/gross_weight_g heavy"]),
        (&format!("<p:group p:each=\"l in contents\">{check}</p:group>"), vec!["/contents/1/net_weight_g net"]),
        (
            "<p:check that=\"false\" code=\"all\" field=\"contents[].value.amount\">No.</p:check>",
            vec!["/contents/0/value/amount all", "/contents/1/value/amount all", "/contents/2/value/amount all"],
        ),
        (
            "<A>{sender.company}</A><B>{recipient.company}</B>",
            vec!["/sender/company mapping_missing", "/recipient/company mapping_missing"],
        ),
    ] {
        assert_eq!(made(inner).expect_err(inner), expected, "{inner}");
    }
    let faults = render(&mapping("<A><B c=\"{sender.company}\"/></A>"), &declaration()).expect_err("fault");
    assert_eq!(faults[0].detail, "A/B/@c needs a value: a text");
    let faults = render(&mapping("<A>{sender.region or (settings.limit | decimals(2))}</A>"), &declaration()).expect_err("fault");
    assert_eq!(faults[0].detail, "A needs a value: a value, the operator's setting limit");
}

#[test]
fn a_shortened_text_is_told() {
    let mapping = mapping("<A>{sender.street | join(', ') | cut(12)}</A>");
    let rendered = render(&mapping, &declaration()).expect("renders");
    assert_eq!(String::from_utf8(rendered.bytes).expect("UTF-8"), "<R><A>12 Jong-ro,</A></R>");
    assert_eq!(rendered.warnings.len(), 1);
    assert_eq!((rendered.warnings[0].pointer.as_str(), &*rendered.warnings[0].code), ("/sender/street", "shortened"));
}

#[test]
fn rendering_is_the_same_every_time() {
    let mapping = mapping("<A p:each=\"l in contents\">{l.value.amount | decimals(2)}</A>");
    let first = render(&mapping, &declaration()).expect("renders");
    assert_eq!(first, render(&mapping, &declaration()).expect("renders"));
}

#[test]
fn a_control_character_in_a_setting_cannot_be_set() {
    let mapping = mapping("<A>{settings.office}</A>");
    let table: toml::Table = toml::from_str("office = \"a\\u0001b\"").expect("TOML");
    assert!(mapping.settings(&table).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a sender writes comes back as that text from that element, and nothing else does.
    #[test]
    fn no_text_leaves_its_element(
        name in "(<|>|&|'|\"|\\]\\]>|<!--|-->|</A>|&#0;|\\{|\\}|&lt;|<\\?x|[ -~]|\\PC){1,20}",
        city in "[<>&'\"a-z =/]{1,20}",
    ) {
        let name = name.trim();
        let city = city.trim();
        prop_assume!(!name.is_empty() && !city.is_empty() && name.chars().count() <= 70 && city.chars().count() <= 35);
        prop_assume!(name.chars().all(crate::domain::text::is_xml_character));
        let declaration = declaration_with(|json| {
            json["sender"]["name"] = name.into();
            json["sender"]["city"] = city.into();
        });
        let rendered = render(&mapping("<A b=\"{sender.city}\">{sender.name}</A><C>{'[' ~ sender.name ~ ']'}</C>"), &declaration).expect("renders");
        let dom = Dom::read(&rendered.bytes, 1 << 20).expect("well-formed");
        let root = dom.children(0).next().expect("root");
        let children: Vec<_> = dom.children(root).collect();
        let [a, c] = children.as_slice() else { panic!("two elements") };
        prop_assert_eq!(dom.text(*a).0, name);
        prop_assert_eq!(dom.text(*c).0, format!("[{name}]"));
        prop_assert_eq!(&*dom.attributes(*a)[0].1, city);
    }
}
