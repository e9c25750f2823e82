//! The closed code lists that a declaration is judged by: countries, currencies, S10 service indicators.
//!
//! Countries and currencies come from crates that follow ISO; what the trade uses beside or against
//! the letter of the ISO lists (Kosovo, Northern Ireland, the bolívar) is decided here, once, with
//! its reason. The lists are laid out as tables at first use, so that a look-up is one or two memory
//! reads: the rules ask many times per declaration. Nothing here may know a post, a broker or a
//! destination; their own lists belong to configuration and mappings.

use std::sync::LazyLock;

use iso_currency::{Currency, Flag};

use super::declaration::MailClass;

const LETTERS: usize = 26;
const PAIRS: usize = LETTERS * LETTERS;
const TRIPLES: usize = PAIRS * LETTERS;

/// The number of a word of capital letters; `None` when it has another length or other characters.
fn number<const LENGTH: usize>(word: &str) -> Option<usize> {
    let bytes: &[u8; LENGTH] = word.as_bytes().try_into().ok()?;
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_uppercase().then(|| sum * LETTERS + usize::from(byte - b'A')))
}

static COUNTRIES: LazyLock<[bool; PAIRS]> = LazyLock::new(|| {
    let mut known = [false; PAIRS];
    for code in rust_iso3166::ALL_ALPHA2.iter().chain(&["XK"]) {
        if let Some(place) = number::<2>(code) {
            known[place] = true;
        }
    }
    known
});

/// Whether a text is an ISO 3166-1 alpha-2 country code. `XK` counts as one: ISO leaves it to its
/// users, and customs, banks and posts use it for Kosovo.
pub fn is_country(code: &str) -> bool {
    number::<2>(code).is_some_and(|place| COUNTRIES[place])
}

/// Whether a text names a customs territory: a country, or `XI` (Northern Ireland under the Windsor
/// Framework; used for territory, origin, tariffs and EORI/VAT numbers, never in an address).
pub fn is_territory(code: &str) -> bool {
    code == "XI" || is_country(code)
}

const NO_CURRENCY: u8 = u8::MAX;

/// Decimals by currency. Left out: metals, test and "no currency" codes, fund codes, withdrawn codes:
/// no goods are sold in them.
static DECIMALS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut decimals = vec![NO_CURRENCY; TRIPLES];
    for currency in (0..1000).filter_map(Currency::from_numeric) {
        // ISO 4217 lists both codes of the bolívar as current; the crate thinks VES withdrawn.
        let current = currency.code() == "VES" || currency.flags().iter().all(|flag| !excluded(flag));
        let exponent = currency.exponent().and_then(|exponent| u8::try_from(exponent).ok());
        if let (true, Some(place), Some(exponent)) = (current, number::<3>(currency.code()), exponent) {
            decimals[place] = exponent;
        }
    }
    decimals
});

const fn excluded(flag: &Flag) -> bool {
    matches!(flag, Flag::Fund | Flag::Special | Flag::Superseded(_))
}

/// Whether a text is a current ISO 4217 code of a currency that goods can be paid in.
pub fn is_currency(code: &str) -> bool {
    currency_decimals(code).is_some()
}

/// Decimals of a currency's minor unit (ISO 4217): 2 for GBP, 0 for KRW, 3 for BHD; `None` when it
/// is no current currency.
pub fn currency_decimals(code: &str) -> Option<u32> {
    let decimals = number::<3>(code).map(|place| DECIMALS[place])?;
    (decimals != NO_CURRENCY).then_some(u32::from(decimals))
}

/// What the first two letters of an S10 identifier may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndicatorUse {
    /// Items of one mail class.
    Class(MailClass),
    /// Any class, by agreement between posts.
    ByAgreement,
    /// Domestic items, or items of posts that agreed on it; never an item that is declared abroad.
    Domestic,
    /// Not given out; never valid.
    Reserved,
}

/// A range of service indicators, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct IndicatorRange {
    /// First indicator.
    pub from: &'static str,
    /// Last indicator.
    pub to: &'static str,
    /// What it may be used for.
    pub usage: IndicatorUse,
    /// What it stands for.
    pub meaning: &'static str,
}

const fn range(from: &'static str, to: &'static str, usage: IndicatorUse, meaning: &'static str) -> IndicatorRange {
    IndicatorRange { from, to, usage, meaning }
}

/// The service indicators of UPU S10-12, in order. What lies between the ranges is not assigned: an
/// edition after ours may assign it, so it is doubtful and not wrong. Sources differ on AA to AZ
/// (all unassigned, or AV to AZ for RFID-tagged e-commerce items by agreement): those are taken.
pub const SERVICE_INDICATORS: &[IndicatorRange] = &[
    range("AV", "AZ", IndicatorUse::ByAgreement, "e-commerce items with RFID tags"),
    range("BA", "BZ", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
    range("CA", "CZ", IndicatorUse::Class(MailClass::Parcel), "parcel post (CV insured, CZ bilateral)"),
    range("DA", "DZ", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
    range("EA", "EZ", IndicatorUse::Class(MailClass::Ems), "EMS (EX to EZ bilateral)"),
    range("GA", "GA", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
    range("GD", "GD", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
    range("HA", "HZ", IndicatorUse::Class(MailClass::Parcel), "e-commerce parcels (HX to HY multilateral, HZ bilateral)"),
    range("JA", "JZ", IndicatorUse::Reserved, "reserved"),
    range("KA", "KZ", IndicatorUse::Reserved, "reserved"),
    range("LA", "LZ", IndicatorUse::Class(MailClass::Letter), "letter post, tracked"),
    range("MA", "MZ", IndicatorUse::Class(MailClass::Letter), "M bags"),
    range("NA", "NZ", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
    range("PA", "PZ", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
    range("QA", "QM", IndicatorUse::Class(MailClass::Letter), "international business reply"),
    range("RA", "RZ", IndicatorUse::Class(MailClass::Letter), "letter post, registered"),
    range("UA", "UZ", IndicatorUse::Class(MailClass::Letter), "letter post, other"),
    range("VA", "VZ", IndicatorUse::Class(MailClass::Letter), "letter post, insured"),
    range("ZA", "ZZ", IndicatorUse::Domestic, "domestic, bilateral, multilateral"),
];

/// The range of a service indicator; `None` when it is not assigned.
pub fn service_indicator(indicator: &str) -> Option<&'static IndicatorRange> {
    SERVICE_INDICATORS.iter().find(|range| (range.from..=range.to).contains(&indicator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_isos_and_kosovo() {
        for code in ["KR", "JP", "FR", "TH", "GB", "US", "XK", "TW", "HK", "IM"] {
            assert!(is_country(code) && is_territory(code), "{code}");
        }
        for code in ["", "G", "GBR", "gb", "XX", "ZZ", "UK", "EU", "XI", "G1", "Ä"] {
            assert!(!is_country(code), "{code}");
        }
        assert!(is_territory("XI") && !is_territory("XX"));
        assert_eq!(COUNTRIES.iter().filter(|known| **known).count(), 250, "249 of ISO and XK");
    }

    #[test]
    fn currencies_are_those_that_goods_are_paid_in() {
        for (code, decimals) in
            [("GBP", 2), ("EUR", 2), ("KRW", 0), ("JPY", 0), ("THB", 2), ("BHD", 3), ("VES", 2), ("XOF", 0), ("ISK", 0), ("XCG", 2)]
        {
            assert_eq!(currency_decimals(code), Some(decimals), "{code}");
        }
        for code in ["", "GB", "gbp", "GBQ", "GBPX", "XXX", "XTS", "XAU", "XDR", "BOV", "CLF", "HRK", "DEM", "€€"] {
            assert!(!is_currency(code), "{code}");
        }
    }

    #[test]
    fn indicators_are_in_order_and_found() {
        assert!(SERVICE_INDICATORS.windows(2).all(|pair| pair[0].to < pair[1].from));
        assert!(SERVICE_INDICATORS.iter().all(|range| range.from <= range.to));
        let usage = |indicator| service_indicator(indicator).map(|range| range.usage);
        for (indicator, expected) in [
            ("EE", Some(IndicatorUse::Class(MailClass::Ems))),
            ("CP", Some(IndicatorUse::Class(MailClass::Parcel))),
            ("HX", Some(IndicatorUse::Class(MailClass::Parcel))),
            ("LK", Some(IndicatorUse::Class(MailClass::Letter))),
            ("RR", Some(IndicatorUse::Class(MailClass::Letter))),
            ("QM", Some(IndicatorUse::Class(MailClass::Letter))),
            ("QN", None),
            ("GA", Some(IndicatorUse::Domestic)),
            ("GB", None),
            ("GD", Some(IndicatorUse::Domestic)),
            ("ZZ", Some(IndicatorUse::Domestic)),
            ("JA", Some(IndicatorUse::Reserved)),
            ("KZ", Some(IndicatorUse::Reserved)),
            ("AV", Some(IndicatorUse::ByAgreement)),
            ("AA", None),
            ("XX", None),
        ] {
            assert_eq!(usage(indicator), expected, "{indicator}");
        }
    }
}
