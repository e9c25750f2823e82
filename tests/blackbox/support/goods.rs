//! Declarations that a Korean post would send, with ids whose check digit is computed here from the standard.

use serde_json::{Value, json};

/// An S10 id: service indicator, eight digits, check digit (weights 8 6 4 2 3 5 9 7, modulo 11), issuing country.
pub fn s10(service: &str, serial: u32, country: &str) -> String {
    let digits = format!("{serial:08}");
    let sum: u32 = digits.bytes().zip([8, 6, 4, 2, 3, 5, 9, 7]).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = match 11 - sum % 11 {
        10 => 0,
        11 => 5,
        digit => digit,
    };
    format!("{service}{digits}{check}{country}")
}

/// The id that [`parcel`] gives to a serial number.
pub fn item_id(serial: u32) -> String {
    s10("EE", serial, "KR")
}

/// A day relative to today, in UTC.
pub fn day(offset: i64) -> String {
    let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * offset);
    moment.to_string()[..10].to_owned()
}

/// A low-value sale from Seoul to London, posted today; complete and without fault.
pub fn parcel(serial: u32) -> Value {
    json!({
        "item_id": item_id(serial), "posted_on": day(0), "mail_class": "E", "channel": "postal", "category": "sale_of_goods",
        "origin_office": "KRSELB", "destination_office": "GBLALA",
        "references": [{ "type": "order", "value": format!("HG-{serial}") }],
        "sender": { "kind": "organisation", "name": "Kim Minji", "company": "Hanok Goods", "street": ["12 Jong-ro", "Jongno-gu"],
                    "city": "Seoul", "postcode": "03187", "country": "KR", "phone": "+82 2 555 0100" },
        "recipient": { "kind": "person", "name": "Ada Byron", "street": ["1 Park Lane"], "city": "London", "postcode": "W1K 1AA",
                       "country": "GB", "phone": "+44 20 7946 0000", "email": "ada@example.org" },
        "gross_weight_g": 840,
        "postage": { "amount": "23500", "currency": "KRW" },
        "transaction": { "type": "b2c" }, "duty": { "payer": "sender" }, "delivery_terms": "DDP",
        "contents": [{ "description": "Cotton T-shirt, men's", "quantity": 2, "net_weight_g": 360,
                       "value": { "amount": "24.00", "currency": "GBP" }, "hs_code": "610910", "origin_country": "KR",
                       "tariff_codes": [{ "country": "GB", "code": "6109100010" }] }],
        "documents": [{ "type": "invoice", "number": format!("INV-{serial}") }],
        "transport": { "mode": "air", "carrier": "KE", "flight": "KE907", "from": "KRICN", "to": "GBLHR" }
    })
}

/// The same with the recipient in another city, which the routes of some tests look at.
pub fn parcel_to(serial: u32, city: &str) -> Value {
    let mut parcel = parcel(serial);
    parcel["recipient"]["city"] = city.into();
    parcel
}

/// The judge's own arithmetic, against ids printed in public.
#[test]
fn check_digits() {
    assert_eq!(item_id(12_345_678), "EE123456785KR");
    assert_eq!(s10("RR", 47_312_482, "GB"), "RR473124829GB");
}
