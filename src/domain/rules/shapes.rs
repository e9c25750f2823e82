//! Forms of codes and contact data: pure questions about a text, none of which allocates.
//!
//! They are lenient where people write (phone, postcode, e-mail) and strict where machines do
//! (offices, places, units): a fault here refuses a declaration.

/// IMPC code of an office of exchange (UPU S34): country, place, and a qualifier.
pub(super) fn is_impc(text: &str) -> bool {
    matches!(text.as_bytes(), [place @ .., qualifier] if place.len() == 5
        && place.iter().all(u8::is_ascii_uppercase)
        && (qualifier.is_ascii_uppercase() || qualifier.is_ascii_digit()))
}

/// UN/LOCODE (UN/ECE Recommendation 16): two letters of the country, three letters or digits 2 to 9.
pub(super) fn is_locode(text: &str) -> bool {
    text.len() == 5
        && text.bytes().take(2).all(|b| b.is_ascii_uppercase())
        && text.bytes().skip(2).all(|b| b.is_ascii_uppercase() || matches!(b, b'2'..=b'9'))
}

/// Unit of UN/ECE Recommendation 20: two or three capital letters or digits.
pub(super) fn is_unit(text: &str) -> bool {
    (2..=3).contains(&text.len()) && is_capital_alphanumeric(text)
}

/// Only capital ASCII letters and digits.
pub(super) fn is_capital_alphanumeric(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Exactly `count` digits beside the given punctuation.
pub(super) fn has_digits(text: &str, count: usize, punctuation: &[u8]) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits == count && text.bytes().all(|b| b.is_ascii_digit() || punctuation.contains(&b))
}

/// A postcode of any country: ASCII letters and digits, with blanks and hyphens between them.
pub(super) fn is_postcode(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-')) && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

/// A postcode of the United Kingdom: area, district, sector and unit (`W1K 1AA`), with or without its
/// blank and in any case; or a number of the British Forces Post Office.
pub(super) fn is_gb_postcode(text: &str) -> bool {
    let mut compact = [0u8; 8];
    let mut length = 0;
    for byte in text.bytes().filter(|b| *b != b' ') {
        let Some(place) = compact.get_mut(length) else {
            return false;
        };
        *place = byte.to_ascii_uppercase();
        length += 1;
    }
    let compact = &compact[..length];
    if let Some(number) = compact.strip_prefix(b"BFPO") {
        return !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    }
    let Some((outward, [sector, unit @ ..])) = compact.split_last_chunk::<3>() else {
        return false;
    };
    if !sector.is_ascii_digit() || !unit.iter().all(u8::is_ascii_uppercase) {
        return false;
    }
    let letters = outward.iter().take_while(|b| b.is_ascii_uppercase()).count();
    match &outward[letters..] {
        [] => outward == b"GIR",
        [district] => (1..=2).contains(&letters) && district.is_ascii_digit(),
        [district, more] => (1..=2).contains(&letters) && district.is_ascii_digit() && (more.is_ascii_digit() || more.is_ascii_uppercase()),
        _ => false,
    }
}

/// A telephone number as people write it: 4 to 20 digits, and what stands between them or before an extension.
pub(super) fn is_phone(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_digit() || b" +-().,/#;*extEXT".contains(&b);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (4..=20).contains(&digits) && text.bytes().all(allowed)
}

/// An e-mail address: a local part, one `@`, a domain of at least two labels (RFC 5321, RFC 6531).
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '@' | '<' | '>' | ',' | ';');
    let label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let local_holds = (1..=64).contains(&local.len()) && local.chars().all(plain);
    local_holds && domain.contains('.') && domain.split('.').all(label)
}

/// The form of a BCP 47 language tag: `ko`, `zh-Hant-TW`.
pub(super) fn is_language(text: &str) -> bool {
    text.split('-').enumerate().all(|(index, part)| {
        let sound =
            if index == 0 { part.bytes().all(|b| b.is_ascii_alphabetic()) } else { part.bytes().all(|b| b.is_ascii_alphanumeric()) };
        sound && (if index == 0 { 2 } else { 1 }..=8).contains(&part.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        type Form = fn(&str) -> bool;
        let table: [(&str, Form, &[&str], &[&str]); 8] = [
            ("impc", is_impc, &["KRSELB", "GBLALA", "USLAX1"], &["", "KRSEL", "KRSE1B", "krselb", "KRSELBB", "ÄÄSEL"]),
            ("locode", is_locode, &["KRICN", "GBLHR", "US2AB"], &["", "ICN", "KRIC1", "KRIC0", "krICN", "K2ICN"]),
            ("unit", is_unit, &["H87", "NPR", "C62", "KG", "5B"], &["", "K", "h87", "H8-", "ÄB"]),
            ("postcode", is_postcode, &["03187", "111-0051", "K1A 0B1", "NL-1012 AB"], &["-", " ", "〒111-0051", "12_3"]),
            (
                "gb postcode",
                is_gb_postcode,
                &["W1K 1AA", "w1k1aa", "SW15 1RT", "N1 8PT", "BT9 6QT", "EC1A 1BB", "M1 1AE", "GIR 0AA", "BFPO 57", "CR2 6XH"],
                &["", "1AA", "03187", "W1K-1AA", "WWW1 1AA", "SW15 RT1", "SW151 1RT", "BFPO", "SW15 1RTX 99"],
            ),
            (
                "phone",
                is_phone,
                &["+82 2 555 0100", "(020) 7946-0000", "5550100 ext. 12"],
                &["", "12", "call me", "+44 20 7946 0000 office"],
            ),
            (
                "email",
                is_email,
                &["ada@example.org", "o.adeyemi+x@mail.example.net", "김@예시.한국"],
                &["", "ada", "@example.org", "ada@", "ada@example", "ada@@example.org", "a b@example.org", "ada@.org", "ada@-a.org"],
            ),
            ("language", is_language, &["ko", "zh-Hant-TW", "th-TH"], &["", "k", "ko_KR", "ko-", "12"]),
        ];
        for (name, form, good, bad) in table {
            good.iter().for_each(|text| assert!(form(text), "{name}: {text}"));
            bad.iter().for_each(|text| assert!(!form(text), "{name}: {text}"));
        }
    }
}
