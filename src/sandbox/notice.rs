//! The XML of a notice, in the shape of the CDS notifications (WCO RES of the DMS data model).
//!
//! Why it exists: callbacks must be as real as the messages they answer, or the gateway would be tried on a format that
//! exists nowhere. What is written here is valid against the official notification schema; a test validates it where the
//! schema is present. Element order is the schema's.
//!
//! Pure: references and times come in as values. Text from outside (the LRN) is escaped here and nowhere else.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::steps::Kind;

/// Days that customs gives to present documents.
const DOCUMENTS_DAYS: i64 = 30;
/// Days that customs gives to pay.
const PAYMENT_DAYS: i64 = 10;
const DAY_S: i64 = 86_400;

/// Everything that one notice says.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    /// What it says.
    pub kind: Kind,
    /// The notice's own identifier; a repeat carries the same.
    pub id: Uuid,
    /// Reference of the message or declaration that it is about.
    pub lrn: String,
    /// The authority's reference; unknown for a message about an unknown declaration.
    pub mrn: Option<String>,
    /// The authority's version of the declaration.
    pub version: u32,
    /// When customs says it issued the notice.
    pub issued: Timestamp,
}

impl Notice {
    /// The notice as XML.
    pub(super) fn to_xml(&self) -> String {
        let mut xml = Xml(String::with_capacity(2048));
        xml.raw(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:MetaData xmlns:md=\"urn:wco:datamodel:WCO:DocumentMetaData-DMS:2\" \
             xmlns=\"urn:wco:datamodel:WCO:RES-DMS:2\" xmlns:ds=\"urn:wco:datamodel:WCO:Response_DS:DMS:2\">\
             <md:WCODataModelVersionCode>3.6</md:WCODataModelVersionCode><md:WCOTypeName>RES</md:WCOTypeName>\
             <md:ResponsibleCountryCode>GB</md:ResponsibleCountryCode><md:ResponsibleAgencyName>HMRC</md:ResponsibleAgencyName>\
             <md:AgencyAssignedCustomizationVersionCode>v2.1</md:AgencyAssignedCustomizationVersionCode>",
        );
        xml.open("Response");
        xml.leaf("FunctionCode", self.kind.code());
        xml.leaf("FunctionalReferenceID", &self.id.simple().to_string());
        xml.moment("IssueDateTime", self.issued);
        self.response_details(&mut xml);
        self.declaration(&mut xml);
        xml.close("Response");
        xml.raw("</md:MetaData>\n");
        xml.0
    }

    /// What stands beside the declaration: statements, errors, status.
    fn response_details(&self, xml: &mut Xml) {
        match self.kind {
            Kind::Documents => {
                xml.open("AdditionalInformation");
                xml.leaf("StatementCode", "ACA");
                xml.moment("LimitDateTime", later(self.issued, DOCUMENTS_DAYS));
                xml.leaf("StatementTypeCode", "ACA");
                xml.close("AdditionalInformation");
            }
            Kind::Released => statement(xml, Some("A1"), None),
            Kind::Cleared => statement(xml, Some("A2"), None),
            Kind::Cancelled => statement(xml, None, Some("Cancelled as requested")),
            Kind::Granted => {
                statement(xml, None, None);
                status(xml, "39");
            }
            Kind::TaxIndicative => status(xml, "67"),
            Kind::TaxFinal | Kind::TaxPayable => status(xml, "4"),
            Kind::Rejected if self.mrn.is_none() => error(xml, "CDS12015", &[("42A", None, Some("D014"))]),
            Kind::Rejected => {
                // The declaration, its first goods item, and there the commodity code and the origin.
                let item = [("42A", None, None), ("67A", None, None), ("68A", Some("1"), None)];
                let at = |section, tag| [item[0], item[1], item[2], (section, Some("1"), Some(tag))];
                error(xml, "CDS12056", &at("21A", "145"));
                error(xml, "CDS10001", &at("42B", "063"));
            }
            _ => {}
        }
    }

    fn declaration(&self, xml: &mut Xml) {
        xml.open("Declaration");
        match self.kind {
            Kind::Accepted => xml.moment("AcceptanceDateTime", self.issued),
            Kind::Cancelled => xml.moment("CancellationDateTime", self.issued),
            _ => {}
        }
        xml.leaf("FunctionalReferenceID", &self.lrn);
        if let Some(mrn) = &self.mrn {
            xml.leaf("ID", mrn);
        }
        if self.kind == Kind::Rejected {
            xml.moment("RejectionDateTime", self.issued);
        }
        xml.leaf("VersionID", &self.version.to_string());
        match self.kind {
            Kind::TaxPayable => {
                // The reference is what a payer quotes; without one nobody has to pay.
                let reference = format!("CDSI{:012}", self.id.as_u128() % 1_000_000_000_000);
                xml.open("DutyTaxFee");
                xml.open("Payment");
                xml.leaf("ReferenceID", &reference);
                xml.amount("TaxAssessedAmount", "28.56");
                xml.moment("DueDateTime", later(self.issued, PAYMENT_DAYS));
                xml.amount("PaymentAmount", "28.56");
                xml.close("Payment");
                xml.close("DutyTaxFee");
            }
            Kind::BalanceShort => {
                xml.open("DutyTaxFee");
                xml.open("Payment");
                xml.amount("PaymentAmount", "28.56");
                xml.open("ObligationGuarantee");
                xml.leaf("ReferenceID", "9900001");
                xml.close("ObligationGuarantee");
                xml.close("Payment");
                xml.close("DutyTaxFee");
            }
            _ => {}
        }
        if matches!(self.kind, Kind::TaxIndicative | Kind::TaxFinal | Kind::TaxPayable) {
            xml.open("GoodsShipment");
            xml.open("GovernmentAgencyGoodsItem");
            xml.leaf("SequenceNumeric", "1");
            xml.open("Commodity");
            tax(xml, "A00", "119.00", "2.50", "2.98");
            tax(xml, "B00", "127.90", "20.00", "25.58");
            xml.close("Commodity");
            xml.close("GovernmentAgencyGoodsItem");
            xml.close("GoodsShipment");
        }
        xml.close("Declaration");
    }
}

/// A new MRN in the United Kingdom's shape: two digits of the year, `GB`, 14 letters and digits.
pub(super) fn new_mrn(now: Timestamp) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let year = now.to_zoned(TimeZone::UTC).year().rem_euclid(100);
    let mut mrn = format!("{year:02}GB");
    for _ in 0..13 {
        mrn.push(char::from(LETTERS[fastrand::usize(..LETTERS.len())]));
    }
    mrn.push(fastrand::digit(10));
    mrn
}

fn later(moment: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_second(moment.as_second().saturating_add(days * DAY_S)).unwrap_or(moment)
}

fn statement(xml: &mut Xml, code: Option<&str>, text: Option<&str>) {
    xml.open("AdditionalInformation");
    if let Some(code) = code {
        xml.leaf("StatementCode", code);
    }
    if let Some(text) = text {
        xml.leaf("StatementDescription", text);
    }
    xml.leaf("StatementTypeCode", "AFB");
    xml.close("AdditionalInformation");
}

fn status(xml: &mut Xml, code: &str) {
    xml.open("Status");
    xml.leaf("NameCode", code);
    xml.close("Status");
}

/// An error with its chain of pointers (section, sequence, tag).
fn error(xml: &mut Xml, code: &str, pointers: &[(&str, Option<&str>, Option<&str>)]) {
    xml.open("Error");
    xml.leaf("ValidationCode", code);
    for (section, sequence, tag) in pointers {
        xml.open("Pointer");
        if let Some(sequence) = sequence {
            xml.leaf("SequenceNumeric", sequence);
        }
        xml.leaf("DocumentSectionCode", section);
        if let Some(tag) = tag {
            xml.leaf("TagID", tag);
        }
        xml.close("Pointer");
    }
    xml.close("Error");
}

fn tax(xml: &mut Xml, kind: &str, base: &str, rate: &str, due: &str) {
    xml.open("DutyTaxFee");
    xml.amount("AdValoremTaxBaseAmount", base);
    xml.amount("DeductAmount", "0.00");
    xml.leaf("DutyRegimeCode", "100");
    xml.leaf("TaxRateNumeric", rate);
    xml.leaf("TypeCode", kind);
    xml.open("Payment");
    xml.amount("TaxAssessedAmount", due);
    xml.amount("PaymentAmount", due);
    xml.close("Payment");
    xml.close("DutyTaxFee");
}

/// A string that XML is appended to; only [`Xml::leaf`] takes text from outside, and escapes it.
struct Xml(String);

impl Xml {
    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn open(&mut self, name: &str) {
        for part in ["<", name, ">"] {
            self.raw(part);
        }
    }

    fn close(&mut self, name: &str) {
        for part in ["</", name, ">"] {
            self.raw(part);
        }
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        self.raw(&escape(text));
        self.close(name);
    }

    fn amount(&mut self, name: &str, pounds: &str) {
        for part in ["<", name, " currencyID=\"GBP\">", pounds, "</", name, ">"] {
            self.raw(part);
        }
    }

    /// A date and time with UN/EDIFACT format code 304 and the zone `Z`, as customs writes it.
    fn moment(&mut self, name: &str, moment: Timestamp) {
        let text = moment.strftime("%Y%m%d%H%M%SZ").to_string();
        for part in ["<", name, "><ds:DateTimeString formatCode=\"304\">", &text, "</ds:DateTimeString></", name, ">"] {
            self.raw(part);
        }
    }
}

/// `text` safe inside an element.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_well_formed_and_escapes_the_reference() {
        let notice = Notice {
            kind: Kind::TaxPayable,
            id: Uuid::nil(),
            lrn: "A&B<C".to_owned(),
            mrn: Some("26GBAAAAAAAAAAAAA0".to_owned()),
            version: 1,
            issued: Timestamp::from_second(1_763_800_000).expect("in range"),
        };
        let xml = notice.to_xml();
        let mut reader = quick_xml::Reader::from_str(&xml);
        while reader.read_event().expect("well-formed") != quick_xml::events::Event::Eof {}
        assert!(xml.contains("A&amp;B&lt;C") && xml.contains("<ds:DateTimeString formatCode=\"304\">20251122082640Z<"));
    }

    #[test]
    fn mrns_have_the_british_shape() {
        let mrn = new_mrn(Timestamp::from_second(1_763_800_000).expect("in range"));
        assert_eq!(mrn.len(), 18);
        assert!(mrn.starts_with("25GB") && mrn.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()));
    }
}
