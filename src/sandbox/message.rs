//! What the simulated broker demands of a message before it takes it, and the few fields it needs from it.
//!
//! Why it exists: a simulator that takes anything proves nothing. This is the outer check of a customs authority's trader
//! interface (HMRC CDS): XML of the WCO shape, safe to parse, with a usable reference. The official schema is checked
//! beside it by `xmllint` (`schema.rs`) where the user has one.
//!
//! Invariants: no DOCTYPE, no entity but the five of XML and character references; depth, nodes and attributes are bounded;
//! a refusal names the rule and never repeats the message. It shares no code with the gateway's own reading or writing of
//! XML: a mistake made on both sides would otherwise cancel out.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

const METADATA: &str = "urn:wco:datamodel:WCO:DocumentMetaData-DMS:2";
const DECLARATION: &str = "urn:wco:datamodel:WCO:DEC-DMS:2";
/// Deepest nesting taken; the official schema needs less than 20.
const MAX_DEPTH: usize = 64;
/// Most nodes (tags, texts, comments) of one message.
const MAX_NODES: usize = 500_000;
/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 64;
/// Longest LRN: an..22 (CDS data element 2/5).
const MAX_LRN_CHARS: usize = 22;
/// Longest value of interest that is kept while reading.
const MAX_VALUE_BYTES: usize = 256;

/// What the broker reads from a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The sender's own reference (`FunctionalReferenceID`), 1 to 22 characters.
    pub lrn: String,
    /// `TypeCode`: `IMA`, `IMD` (pre-lodged) and the like; `GPR`, `INV`, `COR` of an additional message.
    pub type_code: String,
    /// `ID` of the declaration that an additional message (`FunctionCode` 13) is about.
    pub mrn: Option<String>,
    /// Whether it is about an earlier declaration.
    pub is_additional: bool,
}

impl Message {
    /// Whether it declares goods that have not arrived (additional declaration type D).
    pub(super) fn is_pre_lodged(&self) -> bool {
        !self.is_additional && self.type_code.starts_with("IM") && self.type_code.ends_with('D')
    }
}

/// Reads and checks a message.
///
/// # Errors
/// The broken rule, in words that repeat nothing of the message.
pub(super) fn read(body: &[u8]) -> Result<Message, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the message is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains(|c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err("the message holds a character that XML forbids");
    }
    let fields = Walk::new(text).run()?;
    let lrn = fields.lrn.trim().to_owned();
    if lrn.is_empty() || lrn.chars().count() > MAX_LRN_CHARS {
        return Err("FunctionalReferenceID must have 1 to 22 characters");
    }
    let is_additional = match fields.function.trim() {
        "9" => false,
        "13" => true,
        _ => return Err("FunctionCode must be 9 or 13"),
    };
    let mrn = Some(fields.id.trim().to_owned()).filter(|id| !id.is_empty());
    if is_additional && mrn.is_none() {
        return Err("an additional message must name its declaration in ID");
    }
    Ok(Message { lrn, type_code: fields.type_code.trim().to_owned(), mrn, is_additional })
}

#[derive(Default)]
struct Fields {
    lrn: String,
    function: String,
    id: String,
    type_code: String,
}

/// One pass over the document.
struct Walk<'a> {
    reader: NsReader<&'a [u8]>,
    depth: usize,
    roots: usize,
    declarations: usize,
    /// The field of `Declaration` that is open, if it is one of ours.
    open: Option<String>,
    fields: Fields,
}

const MALFORMED: &str = "the message is not well-formed XML";

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        let reader = NsReader::from_str(text);
        Self { reader, depth: 0, roots: 0, declarations: 0, open: None, fields: Fields::default() }
    }

    fn run(mut self) -> Result<Fields, &'static str> {
        for _ in 0..MAX_NODES {
            let event = self.reader.read_event().map_err(|_| MALFORMED)?;
            match event {
                Event::Start(tag) => {
                    self.enter(&tag)?;
                    self.depth += 1;
                }
                Event::Empty(tag) => {
                    self.enter(&tag)?;
                    self.open = self.open.take().filter(|_| self.depth != 2);
                }
                Event::End(_) => {
                    self.depth = self.depth.checked_sub(1).ok_or(MALFORMED)?;
                    self.open = self.open.take().filter(|_| self.depth != 2);
                }
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(text) => self.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => self.text(&resolve(&reference)?)?,
                Event::DocType(_) => return Err("a DOCTYPE is not allowed"),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof => return self.finish(),
            }
        }
        Err("the message has too many nodes")
    }

    fn finish(self) -> Result<Fields, &'static str> {
        match (self.depth, self.roots, self.declarations) {
            (0, 1, 1) => Ok(self.fields),
            (0, 1, _) => Err("MetaData must hold exactly one Declaration"),
            _ => Err(MALFORMED),
        }
    }

    fn enter(&mut self, tag: &BytesStart<'_>) -> Result<(), &'static str> {
        if self.depth >= MAX_DEPTH {
            return Err("the message is nested too deeply");
        }
        for (index, attribute) in tag.attributes().enumerate() {
            attribute.map_err(|_| MALFORMED)?;
            if index >= MAX_ATTRIBUTES {
                return Err("an element has too many attributes");
            }
        }
        let (namespace, local) = self.reader.resolver().resolve_element(tag.name());
        let is = |wanted: &str| namespace == ResolveResult::Bound(Namespace(wanted));
        let local: &str = local.as_ref();
        match self.depth {
            0 => {
                self.roots += 1;
                if local != "MetaData" || !is(METADATA) {
                    return Err("the root must be MetaData of the WCO document meta data");
                }
            }
            1 if local == "Declaration" && is(DECLARATION) => self.declarations += 1,
            2 if is(DECLARATION) => self.open = Some(local.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), &'static str> {
        if self.depth == 0 && !text.trim().is_empty() {
            return Err(MALFORMED);
        }
        let Some(open) = self.open.as_deref().filter(|_| self.depth == 3) else { return Ok(()) };
        let field = match open {
            "FunctionalReferenceID" => &mut self.fields.lrn,
            "FunctionCode" => &mut self.fields.function,
            "ID" => &mut self.fields.id,
            "TypeCode" => &mut self.fields.type_code,
            _ => return Ok(()),
        };
        field.push_str(text);
        if field.len() > MAX_VALUE_BYTES {
            return Err("a reference or code is too long");
        }
        Ok(())
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, &'static str> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| MALFORMED)? {
        return Ok(character.to_string());
    }
    let text = match reference.xml10_content().as_ref() {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "apos" => "'",
        "quot" => "\"",
        _ => return Err("an entity other than the five of XML is not allowed"),
    };
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(inner: &str) -> String {
        format!("<md:MetaData xmlns:md=\"{METADATA}\" xmlns=\"{DECLARATION}\"><Declaration>{inner}</Declaration></md:MetaData>")
    }

    #[test]
    fn reads_the_declarations_own_fields_and_not_those_of_its_children() {
        let inner = "<FunctionCode>9</FunctionCode><FunctionalReferenceID>EE1&amp;A</FunctionalReferenceID>\
            <TypeCode>IMD</TypeCode><ID/><Agent><ID>GB1</ID><FunctionCode>2</FunctionCode></Agent>";
        let message = read(wrap(inner).as_bytes()).expect("valid");
        assert!(message.is_pre_lodged());
        assert_eq!((message.lrn.as_str(), message.mrn), ("EE1&A", None));
    }

    #[test]
    fn refuses_what_a_customs_interface_refuses() {
        let good = wrap("<FunctionCode>9</FunctionCode><FunctionalReferenceID>L</FunctionalReferenceID>");
        assert!(read(good.as_bytes()).is_ok());
        let long = "<FunctionCode>9</FunctionCode><FunctionalReferenceID>12345678901234567890123</FunctionalReferenceID>";
        let deep = format!("{}{}", "<a>".repeat(70), "</a>".repeat(70));
        let table = [
            good.replace("</Declaration>", ""),
            good[..good.len() - 5].to_owned(),
            format!("{good}{good}"),
            format!("{good}x"),
            format!("<!DOCTYPE a>{good}"),
            good.replace('L', "&own;"),
            good.replace(DECLARATION, "urn:other"),
            good.replace("MetaData", "Metadata"),
            good.replace("<Declaration>", "<Declaration a='1' a='2'>"),
            good.replace(">9<", ">1<"),
            good.replace(">9<", ">13<"),
            good.replace('L', ""),
            good.replace('L', "\u{1}"),
            wrap(long),
            wrap(&deep),
            String::new(),
        ];
        for bad in table {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(b"\xff").is_err());
    }
}
