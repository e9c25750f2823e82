//! What goes with the item: documents, references, transport.

use super::findings::{At, Findings};
use super::shapes;
use crate::domain::codes;
use crate::domain::declaration::{Declaration, Document, Reference, ReferenceType, Transport};
use crate::domain::fault;

const ROOT: At<'static> = At::Root;

pub(super) fn check(declaration: &Declaration, findings: &mut Findings<'_>) {
    for (index, document) in declaration.documents.iter().enumerate() {
        check_document(document, declaration.contents.len(), ROOT.name("documents").index(index), findings);
    }
    for (index, reference) in declaration.references.iter().enumerate() {
        check_reference(reference, ROOT.name("references").index(index), findings);
    }
    if let Some(transport) = &declaration.transport {
        check_transport(transport, ROOT.name("transport"), findings);
    }
}

fn check_document(document: &Document, lines: usize, at: At<'_>, findings: &mut Findings<'_>) {
    if document.country.as_ref().is_some_and(|country| !codes::is_territory(country.as_str())) {
        findings.fault(at.name("country"), fault::UNKNOWN_COUNTRY, "an ISO 3166-1 alpha-2 country code, or XI");
    }
    for (index, line) in document.lines.iter().enumerate() {
        if usize::try_from(*line).is_ok_and(|line| (1..=lines).contains(&line)) {
            continue;
        }
        // Lines that could not be read as a list are not known to be missing.
        let detail = "the number of a line in contents; the first is 1";
        findings.fault_because(ROOT.name("contents"), at.name("lines").index(index), fault::OUT_OF_RANGE, detail);
    }
    if document.document_id.as_ref().is_some_and(|id| uuid::Uuid::try_parse(id.as_str()).is_err()) {
        findings.fault(at.name("document_id"), fault::BAD_FORMAT, "the id that the upload of the document was answered with");
    }
}

fn check_reference(reference: &Reference, at: At<'_>, findings: &mut Findings<'_>) {
    if reference.r#type == ReferenceType::Sscc && !shapes::has_digits(reference.value.as_str(), 18, b"") {
        findings.fault_because(at.name("type"), at.name("value"), fault::BAD_FORMAT, "an SSCC: eighteen digits");
    }
}

fn check_transport(transport: &Transport, at: At<'_>, findings: &mut Findings<'_>) {
    for (name, place) in [("from", &transport.from), ("to", &transport.to)] {
        if place.as_ref().is_some_and(|place| !shapes::is_locode(place.as_str())) {
            let detail = "a UN/LOCODE: two capital letters of the country, then three capital letters or digits 2 to 9";
            findings.fault(at.name(name), fault::BAD_FORMAT, detail);
        }
    }
    if let (Some(departs_at), Some(arrives_at)) = (transport.departs_at, transport.arrives_at)
        && arrives_at < departs_at
    {
        findings.fault_because(at.name("departs_at"), at.name("arrives_at"), fault::CONFLICT, "not before departs_at");
    }
}
