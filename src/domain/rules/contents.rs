//! The lines of contents: what the goods are, how many, where from (CN23 fields 1 to 8).

use super::IntakePolicy;
use super::findings::{At, Findings};
use super::vague::is_vague;
use super::{money, shapes};
use crate::domain::codes;
use crate::domain::declaration::{Category, Declaration, Line, ProductId, ProductIdType};
use crate::domain::fault;

const ROOT: At<'static> = At::Root;

pub(super) fn check(declaration: &Declaration, policy: &IntakePolicy, findings: &mut Findings<'_>) {
    let at = ROOT.name("contents");
    if declaration.contents.is_empty() && declaration.category != Category::Documents {
        let detail = "at least one line has to be given, unless category is documents";
        // Without a readable category too: documents are the exception, and the sender shall hear all at once.
        findings.fault(at, fault::REQUIRED, detail);
    }
    if declaration.contents.len() > policy.max_lines {
        findings.fault(at, fault::TOO_MANY, format!("at most {} lines", policy.max_lines));
    }
    for (index, line) in declaration.contents.iter().enumerate() {
        let at = at.index(index);
        if declaration.category.is_commercial() {
            check_commercial(line, at, findings);
        }
        check_line(line, at, findings);
        if declaration.category != Category::Documents && is_vague(line.description.expose()) {
            let detail = "a general word; name the goods and their use, like \"brake discs for passenger cars\"";
            findings.warn(at.name("description"), fault::VAGUE_DESCRIPTION, detail);
        }
    }
}

/// Goods of a commercial nature name their HS code (UPU Convention Regulations, since 1 September
/// 2025) and their origin on each line.
fn check_commercial(line: &Line, at: At<'_>, findings: &mut Findings<'_>) {
    let category = ROOT.name("category");
    if line.hs_code.is_none() {
        findings.fault_because(category, at.name("hs_code"), fault::CONDITION, "has to be given because of category: 6 to 10 digits");
    }
    if line.origin_country.is_none() {
        let detail = "has to be given because of category: an ISO 3166-1 alpha-2 country code";
        findings.fault_because(category, at.name("origin_country"), fault::CONDITION, detail);
    }
}

fn check_line(line: &Line, at: At<'_>, findings: &mut Findings<'_>) {
    if line.quantity.0.is_zero() {
        findings.fault(at.name("quantity"), fault::OUT_OF_RANGE, "more than 0");
    }
    if line.unit.as_ref().is_some_and(|unit| !shapes::is_unit(unit.as_str())) {
        findings.fault(at.name("unit"), fault::BAD_FORMAT, UNIT);
    }
    for (index, supplementary) in line.supplementary.iter().enumerate() {
        let at = at.name("supplementary");
        let at = at.index(index);
        if supplementary.quantity.0.is_zero() {
            findings.fault(at.name("quantity"), fault::OUT_OF_RANGE, "more than 0");
        }
        if !shapes::is_unit(supplementary.unit.as_str()) {
            findings.fault(at.name("unit"), fault::BAD_FORMAT, UNIT);
        }
    }
    if line.net_weight_g == Some(0) {
        findings.fault(at.name("net_weight_g"), fault::OUT_OF_RANGE, "more than 0; leave it out when it is not known");
    }
    money::check_money(&line.value, at.name("value"), findings);
    if let Some(unit_price) = &line.unit_price {
        money::check_money(unit_price, at.name("unit_price"), findings);
    }
    for (index, tariff_code) in line.tariff_codes.iter().enumerate() {
        if !codes::is_territory(tariff_code.country.as_str()) {
            findings.fault(at.name("tariff_codes").index(index).name("country"), fault::UNKNOWN_COUNTRY, TERRITORY);
        }
    }
    if line.origin_country.as_ref().is_some_and(|country| !codes::is_territory(country.as_str())) {
        findings.fault(at.name("origin_country"), fault::UNKNOWN_COUNTRY, TERRITORY);
    }
    for (index, product_id) in line.product_ids.iter().enumerate() {
        if !is_product_id(product_id) {
            let at = at.name("product_ids");
            let at = at.index(index);
            findings.fault_because(at.name("type"), at.name("value"), fault::BAD_FORMAT, "a GTIN: 8, 12, 13 or 14 digits");
        }
    }
}

const UNIT: &str = "a unit of UN/ECE Recommendation 20: two or three capital letters or digits, like H87";
const TERRITORY: &str = "an ISO 3166-1 alpha-2 country code, or XI";

fn is_product_id(product_id: &ProductId) -> bool {
    let value = product_id.value.as_str();
    product_id.r#type != ProductIdType::Gtin || (matches!(value.len(), 8 | 12..=14) && value.bytes().all(|b| b.is_ascii_digit()))
}
