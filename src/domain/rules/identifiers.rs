//! Numbers of parties and tax schemes, as far as their issuers publish a form.
//!
//! Only the form is judged, never a register. Numbers whose form differs by country without a list
//! that we could follow (national ids, importer codes, other tax numbers) are taken as they are.

use super::findings::{At, Findings};
use super::shapes::{has_digits, is_capital_alphanumeric};
use crate::domain::codes;
use crate::domain::declaration::{Identifier, IdentifierType};
use crate::domain::fault;

pub(super) fn check(identifiers: &[Identifier], at: At<'_>, findings: &mut Findings<'_>) {
    for (index, identifier) in identifiers.iter().enumerate() {
        let at = at.index(index);
        if let Some(expected) = missed_form(identifier.r#type, identifier.value.expose()) {
            findings.fault_because(at.name("type"), at.name("value"), fault::BAD_FORMAT, expected);
        }
        if identifier.country.as_ref().is_some_and(|country| !codes::is_territory(country.as_str())) {
            findings.fault(at.name("country"), fault::UNKNOWN_COUNTRY, "an ISO 3166-1 alpha-2 country code, or XI");
        }
    }
}

/// The form that a number should have and has not.
fn missed_form(kind: IdentifierType, value: &str) -> Option<&'static str> {
    let (holds, expected) = match kind {
        // Implementing Regulation (EU) 2020/194: `IM`, member state, serial, check digit.
        IdentifierType::Ioss => (after(value, "IM").is_some_and(|rest| has_digits(rest, 10, b"")), "IM and ten digits"),
        // Delegated Regulation (EU) 2015/2446, Annex 12-01; GB and XI numbers follow it.
        IdentifierType::Eori => (is_eori(value), "two capital letters and 1 to 15 capital letters or digits"),
        IdentifierType::Vat => (is_tax_number(value, 4, 20), "4 to 20 letters, digits and points, some of them digits"),
        IdentifierType::Gst => (is_tax_number(value, 7, 20), "7 to 20 letters, digits and points, some of them digits"),
        // Norwegian Tax Administration: seven digits, often written behind the word.
        IdentifierType::Voec => {
            (has_digits(after(value, "VOEC").unwrap_or(value).trim_start(), 7, b""), "seven digits, with or without VOEC before them")
        }
        IdentifierType::Arn => (has_digits(value, 12, b" "), "twelve digits"),
        IdentifierType::Abn => (has_digits(value, 11, b" "), "eleven digits"),
        // Korea Customs Service: `P` and twelve digits.
        IdentifierType::Pccc => (after(value, "P").is_some_and(|rest| has_digits(rest, 12, b"")), "P and twelve digits"),
        IdentifierType::Cpf => (has_digits(value, 11, b".-"), "eleven digits"),
        IdentifierType::Cnpj => (is_cnpj(value), "fourteen digits; letters may stand among the first twelve"),
        IdentifierType::Ein => (has_digits(value, 9, b"-"), "nine digits"),
        IdentifierType::Nif => (is_nif(value), "nine capital letters or digits, with or without ES or PT before them"),
        IdentifierType::Passport => {
            ((5..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric()), "5 to 20 letters or digits")
        }
        IdentifierType::NationalId | IdentifierType::ImporterCode | IdentifierType::TaxId | IdentifierType::Other => return None,
    };
    (!holds).then_some(expected)
}

fn after<'a>(value: &'a str, prefix: &str) -> Option<&'a str> {
    value.strip_prefix(prefix)
}

fn is_eori(value: &str) -> bool {
    (3..=17).contains(&value.len()) && value.bytes().take(2).all(|b| b.is_ascii_uppercase()) && is_capital_alphanumeric(value)
}

/// Tax numbers of many countries: `GB999999973`, `CHE-123.456.788 MWST`, Irish ones with `+` and `*`.
fn is_tax_number(value: &str, least: usize, most: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b" .-/+*".contains(&b);
    (least..=most).contains(&value.len()) && value.bytes().all(allowed) && value.bytes().any(|b| b.is_ascii_digit())
}

/// Since July 2026 the first twelve places may hold letters (Receita Federal, IN 2.229/2024).
fn is_cnpj(value: &str) -> bool {
    let places = || value.bytes().filter(|b| !b"./-".contains(b));
    places().count() == 14
        && places().take(12).all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && places().skip(12).all(|b| b.is_ascii_digit())
}

fn is_nif(value: &str) -> bool {
    let own = after(value, "ES").or_else(|| after(value, "PT")).filter(|rest| rest.len() == 9).unwrap_or(value);
    own.len() == 9 && is_capital_alphanumeric(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_numbers_are_those_of_their_issuers() {
        use IdentifierType as T;
        let table: &[(T, &[&str], &[&str])] = &[
            (T::Ioss, &["IM3720000224"], &["IM372000022", "3720000224", "im3720000224", "IM37200002245"]),
            (T::Eori, &["GB999999973000", "FR99999999900014", "XI1"], &["GB", "gb999999973000", "1B999", "GB1234567890123456", "GB 123"]),
            (T::Vat, &["GB999999973", "CHE-123.456.788 MWST", "IE1234567WA"], &["GB", "ABCDEF", "GB99_999", "GB9999999739999999999"]),
            (T::Gst, &["M90123456X", "123-456-789", "27AAPFU0939F1ZV"], &["123", "ABCDEFGH"]),
            (T::Voec, &["2000123", "VOEC2000123", "VOEC 2000123"], &["200012", "VOEC"]),
            (T::Arn, &["123456789012"], &["12345678901"]),
            (T::Abn, &["51824753556", "51 824 753 556"], &["5182475355", "51-824"]),
            (T::Pccc, &["P123456789012"], &["123456789012", "P12345678901", "p123456789012"]),
            (T::Cpf, &["11144477735", "111.444.777-35"], &["1114447773", "111 444 777 35"]),
            (T::Cnpj, &["11222333000181", "11.222.333/0001-81", "12ABC34501DE35"], &["1122233300018", "12ABC34501DEA5"]),
            (T::Ein, &["12-3456789", "123456789"], &["12-345678", "12 3456789"]),
            (T::Nif, &["B12345678", "ESB12345678", "PT501964843", "501964843"], &["12345678", "FRB12345678"]),
            (T::Passport, &["M12345678", "533401372"], &["1234", "M-1234567"]),
            (T::NationalId, &["9001011234567"], &[]),
            (T::Other, &["?"], &[]),
        ];
        for (kind, good, bad) in table {
            good.iter().for_each(|value| assert_eq!(missed_form(*kind, value), None, "{kind}: {value}"));
            bad.iter().for_each(|value| assert!(missed_form(*kind, value).is_some(), "{kind}: {value}"));
        }
    }
}
