//! Reading: paths, forms of time, hostile input.

use proptest::prelude::*;

use super::*;
use crate::mapping::dom::Builder;
use crate::mapping::find::{Finder, Found};
use crate::mapping::instants::{TimeForm, instant};
use crate::mapping::xpath;

fn cds() -> (std::sync::Arc<Mapping>, std::sync::Arc<Files>) {
    let (registry, _) = Registry::load(&Source::Embedded);
    (registry.get("hmrc-cds").expect("loaded"), registry.files("hmrc-cds").expect("loaded"))
}

#[test]
fn paths_find_what_xpath_finds() {
    let xml = r#"<?xml version="1.0"?><r:a xmlns:r="urn:r" xmlns="urn:n" k="v"><b n="1">one</b><b n="2"><c>x</c><c>y &amp; z</c></b><r:b/><d> 7 </d></r:a>"#;
    let mut namespaces = xpath::Prefixes::default();
    namespaces.add("q", "urn:r");
    namespaces.add("n", "urn:n");
    let mut builder = Builder::new(&namespaces.uris, xml.len());
    crate::mapping::xml::read(&mut builder, xml).expect("reads");
    let dom = builder.finish();
    for (path, count, text) in [
        ("/q:a", 1, Some("onexy & z 7")),
        ("/a", 0, None),
        ("/q:a/n:b", 2, Some("one")),
        ("/q:a/q:b", 1, None),
        ("//n:c", 2, Some("x")),
        ("/q:a/n:b[2]/n:c[2]", 1, Some("y & z")),
        ("/q:a/n:b[n:c]/@n", 1, Some("2")),
        ("/q:a/n:b[@n='1']", 1, Some("one")),
        ("/q:a/n:b[not(n:c)]", 1, Some("one")),
        ("/q:a/n:b[n:c='y & z' and @n!='3' or n:q]", 1, Some("xy & z")),
        ("/q:a/n:d | /q:a/n:b[1]", 2, Some("one")),
        ("//n:c/..", 1, Some("xy & z")),
        ("/*/*", 4, Some("one")),
        ("/q:a/n:d[.='7']", 1, Some("7")),
        ("/q:a/@k", 1, Some("v")),
        ("/q:a/n:b/text()", 1, Some("one")),
        ("'literal'", 0, Some("literal")),
    ] {
        let compiled = xpath::parse(path, &namespaces).expect(path);
        let mut finder = Finder::new(&dom);
        assert_eq!(finder.find(&compiled, Found::Node(0)).expect("within budget").len(), count, "{path}");
        assert_eq!(finder.text(&compiled, Found::Node(0)).expect("within budget").as_deref(), text, "{path}");
    }
}

#[test]
fn instants_are_read_in_their_forms() {
    for (text, form, expected) in [
        ("20261122061500Z", TimeForm::Form304, Some("2026-11-22T06:15:00Z")),
        ("20260722061500+01", TimeForm::Form304, Some("2026-07-22T05:15:00Z")),
        ("20260722061500+0130", TimeForm::Form304, Some("2026-07-22T04:45:00Z")),
        ("20261122", TimeForm::Form102, Some("2026-11-22T00:00:00Z")),
        ("2026-11-22T06:15:00+01:00", TimeForm::Iso, Some("2026-11-22T05:15:00Z")),
        ("2026-11-22T06:15:00", TimeForm::Iso, Some("2026-11-22T06:15:00Z")),
        ("2026112206150", TimeForm::Form304, None),
        ("20261322061500Z", TimeForm::Form304, None),
        ("2026é122061500Z", TimeForm::Form304, None),
        ("", TimeForm::Iso, None),
    ] {
        assert_eq!(instant(text, &form, &jiff::tz::TimeZone::UTC).map(|at| at.to_string()).as_deref(), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let (mapping, _) = cds();
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    let wide = format!("<a>{}</a>", "<b/>".repeat(200_000));
    let attributes: String = (0..300).map(|n| format!(" a{n}=\"\"")).collect();
    for (body, expected) in [
        ("", "empty"),
        (" \n", "empty"),
        ("OK", "not_xml"),
        ("{\"status\": \"ok\"}", "unknown_format"),
        ("<html><body><p>Bad gateway<br></body></html>", "not_xml"),
        ("<a>&b;</a>", "bad_reference"),
        ("<a b='&#0;'/>", "bad_reference"),
        ("<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>", "doctype"),
        ("<a><b>", "cut_off"),
        ("<a x=\"", "cut_off"),
        ("<x:a/>", "not_xml"),
        ("<a/><a/>", "not_xml"),
        ("<a x='1' x='2'/>", "not_xml"),
        ("<a/>", "unknown_format"),
        (&deep, "too_complex"),
        (&wide, "too_complex"),
        (&format!("<a{attributes}/>"), "too_complex"),
        (&" ".repeat(MAX_NOTICE_BYTES).replacen(' ', "<a/>", 1), "too_large"),
    ] {
        let shown: String = body.chars().take(60).collect();
        assert_eq!(mapping.read(body.as_bytes()).expect_err(&shown).reason.as_str(), expected, "{shown}");
    }
}

#[test]
fn a_reply_is_read_like_a_notice_and_an_empty_one_means_delivered() {
    let (mapping, files) = cds();
    assert_eq!(mapping.reply(b"", Some("c-1")), Ok(Vec::new()));
    assert!(mapping.reply(b"<html/>", None).is_err());
    let notice = files.get("notices/01-accepted/notice.xml").expect("case");
    let facts = mapping.reply(notice, Some("c-1")).expect("reads");
    assert_eq!(facts[0].conversation.as_deref(), Some("c-1"));
}

#[test]
fn a_notice_cut_off_anywhere_is_unreadable_and_never_something_else() {
    let (mapping, files) = cds();
    for (path, bytes) in files.below("notices", "notice.xml") {
        let whole = bytes.trim_ascii_end().len();
        for end in 0..whole {
            let reason = mapping.read(&bytes[..end]).expect_err(path).reason;
            let fits = matches!(reason, UnreadableReason::CutOff | UnreadableReason::Empty | UnreadableReason::NotXml);
            assert!(fits, "{path} at {end}: {reason}");
        }
        assert!(mapping.read(&bytes[..whole]).is_ok(), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes changed anywhere give facts or a reason, never a panic.
    #[test]
    fn mangled_notices_never_panic(at in 0usize..3000, byte: u8, cut in 0usize..3000, with in "\\PC{0,10}") {
        let (mapping, files) = cds();
        let mut bytes = files.get("notices/03-rejected/notice.xml").expect("case").to_vec();
        let place = at % bytes.len();
        bytes[place] = byte;
        let place = cut % bytes.len();
        bytes.splice(place..place, with.bytes());
        let _ = mapping.read(&bytes);
    }
}
