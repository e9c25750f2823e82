//! Payloads inside an element, read in their place: `[[unwrap]]`.
//!
//! Exchanges carry a message inside a message: as escaped text, in base64, or compressed. What
//! comes out is bounded together: never more than a notice may have, so that a few bytes that
//! would become gigabytes are refused while they grow.

use std::borrow::Cow;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::dom::{Buffers, Builder, Content, Dom, NodeId};
use super::find::{Finder, Found};
use super::program::Encoding;
use super::reading::{MAX_NOTICE_BYTES, Unreadable, UnreadableReason as Reason};
use super::rules::Unwrap;
use super::{json_body, xml};

/// Most payloads of one notice.
const MAX_PAYLOADS: usize = 1000;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// What payloads may still become in one notice.
pub(super) struct Allowance {
    bytes: usize,
    payloads: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { bytes: MAX_NOTICE_BYTES, payloads: MAX_PAYLOADS }
    }
}

/// Reads the payloads that a rule finds in their places.
pub(super) fn apply<'a>(dom: Dom<'a>, rule: &Unwrap, buffers: &'a Buffers, left: &mut Allowance) -> Result<Dom<'a>, Unreadable> {
    let mut wrapped: Vec<NodeId> = Vec::new();
    for found in Finder::new(&dom).find(&rule.path, Found::Node(0))? {
        if let Found::Node(id) = found
            && let Some(text) = only_text(&dom, id)
        {
            wrapped.push(text);
        }
    }
    if wrapped.is_empty() { Ok(dom) } else { rebuild(dom, &wrapped, rule.encoding, buffers, left) }
}

/// The text of an element that holds a text and nothing else.
fn only_text(dom: &Dom<'_>, id: NodeId) -> Option<NodeId> {
    let mut children = dom.children(id);
    let only = children.next().filter(|_| children.next().is_none())?;
    let is_text = matches!(dom.node(only).map(|node| &node.content), Some(Content::Text(_)));
    let in_element = matches!(dom.node(id).map(|node| &node.content), Some(Content::Element(..)));
    (is_text && in_element).then_some(only)
}

/// The document once more, with payloads in place of their texts. Nodes stand in document order,
/// so they can be taken over one after another.
fn rebuild<'a>(
    dom: Dom<'a>,
    wrapped: &[NodeId],
    encoding: Encoding,
    buffers: &'a Buffers,
    left: &mut Allowance,
) -> Result<Dom<'a>, Unreadable> {
    let count = dom.len();
    let (nodes, mut attributes, namespaces) = dom.into_parts();
    let mut builder = Builder::with(namespaces, count);
    let mut open: Vec<NodeId> = vec![0];
    for (node, id) in nodes.into_iter().zip(0..) {
        if id == 0 {
            continue;
        }
        while open.last().is_some_and(|last| *last != node.parent) {
            open.pop();
            builder.close();
        }
        match node.content {
            Content::Document => {}
            Content::Element(name, from, number) => {
                let place = builder.attributes_from();
                for attribute in attributes.get_mut(from as usize..(from + number) as usize).unwrap_or_default() {
                    builder.attribute(attribute.0, std::mem::take(&mut attribute.1));
                }
                builder.open(name, place, node.offset as usize)?;
                open.push(id);
            }
            Content::Text(text) if wrapped.binary_search(&id).is_ok() => payload(&mut builder, text, encoding, buffers, left)?,
            Content::Text(text) => builder.text(text, node.offset as usize)?,
        }
    }
    Ok(builder.finish())
}

fn payload<'a>(
    builder: &mut Builder<'a>,
    text: Cow<'a, str>,
    encoding: Encoding,
    buffers: &'a Buffers,
    left: &mut Allowance,
) -> Result<(), Unreadable> {
    left.payloads = left.payloads.checked_sub(1).ok_or(Reason::TooComplex)?;
    let text = match encoding {
        Encoding::Escaped => match text {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => buffers.keep(text),
        },
        Encoding::Base64 => buffers.keep(utf8(decoded(&text)?)?),
        Encoding::GzipBase64 => buffers.keep(utf8(inflated(&decoded(&text)?, left.bytes)?)?),
    };
    left.bytes = left.bytes.checked_sub(text.len()).ok_or(Reason::TooLarge)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if xml::is_json(text.as_bytes()) { json_body::read(builder, text, buffers) } else { xml::read(builder, text) }
}

fn decoded(text: &str) -> Result<Vec<u8>, Unreadable> {
    let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(packed).map_err(|_| Reason::BadEncoding.into())
}

fn inflated(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Unreadable> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match flate2::read::GzDecoder::new(bytes).take(most).read_to_end(&mut out) {
        Ok(_) if out.len() > limit => Err(Reason::TooLarge.into()),
        Ok(_) => Ok(out),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Reason::CutOff.into()),
        Err(_) => Err(Reason::BadEncoding.into()),
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, Unreadable> {
    String::from_utf8(bytes).map_err(|_| Reason::BadEncoding.into())
}
