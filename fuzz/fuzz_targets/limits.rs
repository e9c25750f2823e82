//! Documents of any depth and width: whatever exceeds a bound is unreadable, whatever does not is read as far as its format is known.
#![no_main]

use std::fmt::Write as _;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use preclear::mapping::{Registry, Source, UnreadableReason};

static SHIPPED: LazyLock<Registry> = LazyLock::new(|| Registry::load(&Source::Embedded).0);

/// What `docs/MAPPING.md` says of documents.
const MAX_DEPTH: usize = 64;
const MAX_ATTRIBUTES: usize = 256;
const MAX_NODES: usize = 100_000;

#[derive(Debug, Arbitrary)]
struct Shape {
    depth: u8,
    siblings: u32,
    attributes: u16,
    text: u16,
    reference: u8,
    doctype: bool,
    cut: Option<u16>,
}

fn document(shape: &Shape) -> (String, bool) {
    let (depth, siblings) = (usize::from(shape.depth % 160), shape.siblings as usize % 120_000);
    let attributes = usize::from(shape.attributes % 400);
    let mut text = String::from("<?xml version=\"1.0\"?>");
    if shape.doctype {
        text.push_str("<!DOCTYPE r [<!ENTITY e \"x\">]>");
    }
    text.push_str("<r");
    for number in 0..attributes {
        let _ = write!(text, " a{number}=\"v\"");
    }
    text.push('>');
    for _ in 0..depth {
        text.push_str("<d>");
    }
    for _ in 0..siblings {
        text.push_str("<s/>");
    }
    text.extend(std::iter::repeat_n('x', usize::from(shape.text)));
    text.push_str(match shape.reference % 8 {
        0 => "&amp;",
        1 => "&#65;",
        2 => "&#x10FFFF;",
        3 => "&e;",
        4 => "&#0;",
        5 => "&#xD800;",
        _ => "",
    });
    for _ in 0..depth {
        text.push_str("</d>");
    }
    text.push_str("</r>");
    let bad_reference = matches!(shape.reference % 8, 3..=5);
    let exceeds = depth >= MAX_DEPTH + 1 || attributes > MAX_ATTRIBUTES || siblings > MAX_NODES || shape.doctype || bad_reference;
    (text, exceeds)
}

fuzz_target!(|shape: Shape| {
    let (mut text, exceeds) = document(&shape);
    let cut = shape.cut.is_some_and(|cut| usize::from(cut) < text.len());
    if let Some(cut) = shape.cut.filter(|_| cut) {
        text.truncate(usize::from(cut));
    }
    for mapping in SHIPPED.iter() {
        let reason = mapping.read(text.as_bytes()).expect_err("no mapping knows this root").reason;
        if exceeds && !cut {
            assert_ne!(reason, UnreadableReason::UnknownFormat, "{} exceeds a bound: {shape:?}", mapping.name);
        }
    }
});
