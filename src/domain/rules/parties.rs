//! Sender, recipient and the other parties: who they are, where they live, how they are reached.
//!
//! Names and addresses are personal: only their presence and their form are judged, and no detail
//! tells anything of them.

use super::findings::{At, Findings};
use super::{identifiers, shapes};
use crate::domain::codes;
use crate::domain::declaration::{Declaration, Party};
use crate::domain::fault;

const ROOT: At<'static> = At::Root;

pub(super) fn check(declaration: &Declaration, findings: &mut Findings<'_>) {
    for (name, party) in [("sender", &declaration.sender), ("recipient", &declaration.recipient)] {
        let at = ROOT.name(name);
        if party.name.is_none() && party.company.is_none() {
            findings.fault(at.name("name"), fault::REQUIRED, "a name or a company has to be given");
        }
        if party.street.is_empty() {
            findings.fault(at.name("street"), fault::REQUIRED, "at least one line has to be given");
        }
        check_party(party, at, findings);
    }
    for (name, party) in [("seller", &declaration.seller), ("buyer", &declaration.buyer), ("importer", &declaration.importer)] {
        let Some(party) = party else { continue };
        let at = ROOT.name(name);
        if party.name.is_none() && party.company.is_none() && party.identifiers.is_empty() {
            findings.fault(at.name("name"), fault::REQUIRED, "a name, a company or an identifier has to be given");
        }
        check_party(party, at, findings);
    }
    identifiers::check(&declaration.identifiers, ROOT.name("identifiers"), findings);
}

fn check_party(party: &Party, at: At<'_>, findings: &mut Findings<'_>) {
    let country = party.country.as_str();
    if !codes::is_country(country) {
        let detail = if country == "XI" {
            "in an address Northern Ireland is GB; XI is for destination_territory"
        } else {
            "an ISO 3166-1 alpha-2 country code, like KR or GB"
        };
        findings.fault(at.name("country"), fault::UNKNOWN_COUNTRY, detail);
    }
    if let Some(postcode) = &party.postcode {
        let postcode = postcode.expose();
        if !shapes::is_postcode(postcode) {
            findings.fault(at.name("postcode"), fault::BAD_FORMAT, "letters A to Z and digits, with blanks or hyphens between them");
        } else if country == "GB" && !shapes::is_gb_postcode(postcode) {
            findings.fault(at.name("postcode"), fault::BAD_FORMAT, "a postcode of the United Kingdom, like SW1A 1AA");
        }
    }
    if party.phone.as_ref().is_some_and(|phone| !shapes::is_phone(phone.expose())) {
        findings.fault(at.name("phone"), fault::BAD_FORMAT, "a telephone number of 4 to 20 digits, like +44 20 7946 0000");
    }
    if party.email.as_ref().is_some_and(|email| !shapes::is_email(email.expose())) {
        findings.fault(at.name("email"), fault::BAD_FORMAT, "an e-mail address, like name@example.org");
    }
    let language = party.local.as_ref().and_then(|local| local.language.as_ref());
    if language.is_some_and(|language| !shapes::is_language(language.as_str())) {
        findings.fault(at.name("local").name("language"), fault::BAD_FORMAT, "a BCP 47 language tag, like ko or zh-Hant");
    }
    identifiers::check(&party.identifiers, at.name("identifiers"), findings);
}
