//! Notifications as HMRC sends them (WCO response, three namespaces, times in format 304), written from their description.

use jiff::{SignedDuration, Timestamp};

/// One notification to be rendered.
#[derive(Clone)]
pub struct Notice {
    code: String,
    lrn: Option<String>,
    mrn: Option<String>,
    issued: Timestamp,
    before_declaration: String,
}

impl Notice {
    /// A notification of a function code about a local reference, issued now.
    pub fn new(code: &str, lrn: &str) -> Notice {
        Notice { code: code.to_owned(), lrn: Some(lrn.to_owned()), mrn: None, issued: Timestamp::now(), before_declaration: String::new() }
    }

    /// With the authority's reference.
    pub fn mrn(mut self, mrn: &str) -> Notice {
        self.mrn = Some(mrn.to_owned());
        self
    }

    /// Without our reference: only the authority's is there to find the item by.
    pub fn without_lrn(mut self) -> Notice {
        self.lrn = None;
        self
    }

    /// Issued so many seconds from now (the authority's clock has whole seconds).
    pub fn after(mut self, seconds: i64) -> Notice {
        self.issued = Timestamp::now() + SignedDuration::from_secs(seconds);
        self
    }

    /// With an error of a declaration's rejection.
    pub fn error(mut self, validation_code: &str) -> Notice {
        self.before_declaration = format!(
            "<r:Error><r:ValidationCode>{validation_code}</r:ValidationCode><r:Pointer><r:DocumentSectionCode>42A</r:DocumentSectionCode></r:Pointer></r:Error>"
        );
        self
    }

    /// With free text of the authority's, which must reach nobody but the post.
    pub fn text(mut self, text: &str) -> Notice {
        self.before_declaration = format!(
            "<r:AdditionalInformation><r:StatementCode>A1</r:StatementCode><r:StatementDescription>{text}</r:StatementDescription><r:StatementTypeCode>AFB</r:StatementTypeCode></r:AdditionalInformation>"
        );
        self
    }

    /// The bytes on the wire.
    pub fn xml(&self) -> String {
        let issued: String = self.issued.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let time = |name: &str| format!(r#"<r:{name}><t:DateTimeString formatCode="304">{issued}Z</t:DateTimeString></r:{name}>"#);
        let element =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("<r:{name}>{value}</r:{name}>")).unwrap_or_default();
        let accepted = if self.code == "01" { time("AcceptanceDateTime") } else { String::new() };
        let rejected = if self.code == "03" { time("RejectionDateTime") } else { String::new() };
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<h:MetaData xmlns:h="urn:wco:datamodel:WCO:DocumentMetaData-DMS:2" xmlns:r="urn:wco:datamodel:WCO:RES-DMS:2" xmlns:t="urn:wco:datamodel:WCO:Response_DS:DMS:2">
  <h:WCODataModelVersionCode>3.6</h:WCODataModelVersionCode>
  <h:WCOTypeName>RES</h:WCOTypeName>
  <r:Response>
    <r:FunctionCode>{code}</r:FunctionCode>
    <r:FunctionalReferenceID>{own}</r:FunctionalReferenceID>
    {issue}
    {extra}
    <r:Declaration>{accepted}{lrn}{mrn}{rejected}<r:VersionID>1</r:VersionID></r:Declaration>
  </r:Response>
</h:MetaData>
"#,
            code = self.code,
            own = uuid::Uuid::new_v4().simple(),
            issue = time("IssueDateTime"),
            extra = self.before_declaration,
            lrn = element("FunctionalReferenceID", &self.lrn),
            mrn = element("ID", &self.mrn),
        )
    }
}

/// The local reference of a declaration message: its first `FunctionalReferenceID`, whatever the prefix.
pub fn lrn_of(message: &[u8]) -> String {
    let text = std::str::from_utf8(message).expect("a message is UTF-8");
    let start = text.find("FunctionalReferenceID>").expect("a declaration has a local reference") + "FunctionalReferenceID>".len();
    let end = start + text[start..].find('<').expect("closed element");
    text[start..end].to_owned()
}

/// A made-up reference of the authority's, of the right shape.
pub fn mrn(serial: u32) -> String {
    format!("26GB{serial:013}A")
}
