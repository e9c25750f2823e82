//! The item as a whole: its S10 identifier, its dates, its category, its offices, its weight.
//!
//! The post is never derived from an office code: the code names a place, not an operator.

use super::IntakePolicy;
use super::findings::{At, Findings};
use super::shapes;
use crate::domain::codes::{self, IndicatorUse};
use crate::domain::declaration::{Category, Declaration, MailClass, Piece, ReturnOf};
use crate::domain::fault;
use crate::domain::time::Date;

const ROOT: At<'static> = At::Root;

pub(super) fn check(declaration: &Declaration, policy: &IntakePolicy, item_countries: &[String], today: Date, findings: &mut Findings<'_>) {
    check_digit(declaration, policy, findings);
    check_indicator(declaration, findings);
    check_issuer(declaration, item_countries, findings);
    check_posting_date(declaration, policy, today, findings);
    check_category(declaration, findings);
    check_return(declaration, findings);
    check_territories(declaration, findings);
    check_weight(declaration, policy, findings);
    for (index, piece) in declaration.pieces.iter().enumerate() {
        check_piece(piece, ROOT.name("pieces").index(index), findings);
    }
}

const CHECK_DIGIT: &str = "the ninth digit has to be the check digit of the eight before it (UPU S10)";

fn check_digit(declaration: &Declaration, policy: &IntakePolicy, findings: &mut Findings<'_>) {
    if declaration.item_id.check_digit_holds() {
        return;
    }
    let at = ROOT.name("item_id");
    if policy.s10_check_digit_is_fault {
        findings.fault(at, fault::S10_CHECK_DIGIT, CHECK_DIGIT);
    } else {
        findings.warn(at, fault::S10_CHECK_DIGIT, CHECK_DIGIT);
    }
}

fn check_indicator(declaration: &Declaration, findings: &mut Findings<'_>) {
    let at = ROOT.name("item_id");
    let Some(range) = codes::service_indicator(declaration.item_id.service_indicator()) else {
        findings.warn(at, fault::S10_INDICATOR, "the service indicator is not assigned in UPU S10-12");
        return;
    };
    let class = declaration.mail_class;
    match range.usage {
        IndicatorUse::Class(allowed) if allowed != class => {
            let detail = match allowed {
                MailClass::Ems => "this service indicator belongs to mail class E (EMS)",
                MailClass::Parcel => "this service indicator belongs to mail class C (parcels)",
                MailClass::Letter => "this service indicator belongs to mail class U (letter post)",
            };
            findings.fault_because(ROOT.name("mail_class"), at, fault::S10_INDICATOR, detail);
        }
        IndicatorUse::Class(_) | IndicatorUse::ByAgreement => {}
        IndicatorUse::Domestic => {
            findings.fault(at, fault::S10_INDICATOR, "a service indicator of domestic items cannot be declared abroad");
        }
        IndicatorUse::Reserved => {
            findings.fault(at, fault::S10_INDICATOR, "service indicators JA to JZ and KA to KZ are reserved and never valid");
        }
    }
}

/// A country that the operator lists by name is allowed even when ISO has dropped it.
fn check_issuer(declaration: &Declaration, item_countries: &[String], findings: &mut Findings<'_>) {
    let issuer = declaration.item_id.country();
    let listed = item_countries.iter().any(|country| country == issuer);
    let any = item_countries.iter().any(|country| country == "*");
    if listed || (any && codes::is_country(issuer)) {
        return;
    }
    let detail = if codes::is_country(issuer) {
        "this post may not declare items of this issuing country"
    } else {
        "the last two letters have to be an ISO 3166-1 country code"
    };
    findings.fault(ROOT.name("item_id"), fault::S10_COUNTRY, detail);
}

fn check_posting_date(declaration: &Declaration, policy: &IntakePolicy, today: Date, findings: &mut Findings<'_>) {
    let days_ahead = declaration.posted_on().duration_since(today).as_hours() / 24;
    if (-i64::from(policy.oldest_posting_days)..=i64::from(policy.furthest_posting_days)).contains(&days_ahead) {
        return;
    }
    let detail = format!("at most {} days back and {} days ahead", policy.oldest_posting_days, policy.furthest_posting_days);
    findings.fault(ROOT.name("posted_on"), fault::OUT_OF_RANGE, detail);
}

fn check_category(declaration: &Declaration, findings: &mut Findings<'_>) {
    let category = ROOT.name("category");
    let explanation = ROOT.name("category_explanation");
    match (declaration.category == Category::Other, &declaration.category_explanation) {
        (true, None) => {
            findings.fault_because(category, explanation, fault::CONDITION, "has to be given because category is other");
        }
        (false, Some(_)) => {
            findings.fault_because(category, explanation, fault::CONFLICT, "only category other has an explanation");
        }
        (true, Some(_)) | (false, None) => {}
    }
    let return_of = ROOT.name("return_of");
    match (declaration.category == Category::ReturnedGoods, &declaration.return_of) {
        (true, None) => {
            findings.fault_because(category, return_of, fault::CONDITION, "has to be given because category is returned_goods");
        }
        (false, Some(_)) => {
            findings.fault_because(category, return_of, fault::CONFLICT, "only category returned_goods comes back from an outward item");
        }
        (true, Some(_)) | (false, None) => {}
    }
}

/// The outward item was often posted elsewhere, so its identifier is doubted, not refused.
fn check_return(declaration: &Declaration, findings: &mut Findings<'_>) {
    let Some(ReturnOf { item_id, posted_on, .. }) = &declaration.return_of else {
        return;
    };
    let at = ROOT.name("return_of");
    if !item_id.check_digit_holds() {
        findings.warn(at.name("item_id"), fault::S10_CHECK_DIGIT, CHECK_DIGIT);
    }
    if posted_on.is_some_and(|outward| outward.0 > declaration.posted_on()) {
        findings.fault_because(
            ROOT.name("posted_on"),
            at.name("posted_on"),
            fault::CONFLICT,
            "the outward item was posted before posted_on, the day of its return",
        );
    }
}

fn check_territories(declaration: &Declaration, findings: &mut Findings<'_>) {
    for (name, office) in [("origin_office", &declaration.origin_office), ("destination_office", &declaration.destination_office)] {
        if office.as_ref().is_some_and(|office| !shapes::is_impc(office.as_str())) {
            findings.fault(ROOT.name(name), fault::BAD_FORMAT, "an IMPC code: five capital letters, then a capital letter or digit");
        }
    }
    let Some(territory) = &declaration.destination_territory else {
        return;
    };
    let at = ROOT.name("destination_territory");
    if !codes::is_territory(territory.as_str()) {
        findings.fault(at, fault::UNKNOWN_COUNTRY, "an ISO 3166-1 alpha-2 country code, or XI");
    } else if territory.as_str() == "XI" && declaration.recipient.country.as_str() != "GB" {
        let country = ROOT.name("recipient");
        findings.fault_because(country.name("country"), at, fault::CONFLICT, "XI is a territory of GB, which /recipient/country is not");
    }
}

fn check_weight(declaration: &Declaration, policy: &IntakePolicy, findings: &mut Findings<'_>) {
    let at = ROOT.name("gross_weight_g");
    let gross = declaration.gross_weight_g;
    if gross == 0 || gross > policy.max_gross_weight_g {
        let detail = format!("more than 0 and at most {} grams", policy.max_gross_weight_g);
        findings.fault(at, fault::OUT_OF_RANGE, detail);
    }
    let net: u64 = declaration.contents.iter().filter_map(|line| line.net_weight_g).fold(0, u64::saturating_add);
    if gross > 0 && net > gross {
        findings.fault(at, fault::WEIGHT_SUM, "at least the sum of the lines' net_weight_g");
    }
}

fn check_piece(piece: &Piece, at: At<'_>, findings: &mut Findings<'_>) {
    let measures = [
        ("gross_weight_g", piece.gross_weight_g),
        ("length_mm", piece.length_mm),
        ("width_mm", piece.width_mm),
        ("height_mm", piece.height_mm),
    ];
    for (name, measure) in measures {
        if measure == Some(0) {
            findings.fault(at.name(name), fault::OUT_OF_RANGE, "more than 0");
        }
    }
}
