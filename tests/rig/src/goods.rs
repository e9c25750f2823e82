//! Declarations that a Korean post would send, each told apart by its contents, and what the broker has to get of them.

use serde_json::{Value, json};

/// The part of a declaration that the judge's format carries, made from either side and compared.
pub type Content = String;

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

/// The id of the item with this number.
pub fn item_id(serial: u32) -> String {
    s10("EE", serial, "KR")
}

/// A faultless sale from Seoul to London; `nonce` goes into the description, so that no two runs look alike.
pub fn parcel(serial: u32, nonce: &str, posted_on: &str) -> Value {
    json!({
        "item_id": item_id(serial), "posted_on": posted_on, "mail_class": "E", "channel": "postal", "category": "sale_of_goods",
        "sender": { "kind": "organisation", "name": "Kim Minji", "company": "Hanok Goods", "street": ["12 Jong-ro"],
                    "city": "Seoul", "postcode": "03187", "country": "KR", "phone": "+82 2 555 0100" },
        "recipient": { "kind": "person", "name": "Ada Byron", "street": ["1 Park Lane"], "city": "London", "postcode": "W1K 1AA",
                       "country": "GB", "phone": "+44 20 7946 0000", "email": "ada@example.org" },
        "gross_weight_g": 400 + serial % 1000, "transaction": { "type": "b2c" }, "duty": { "payer": "sender" },
        "contents": [{ "description": format!("Cotton shirt {nonce} {serial}"), "quantity": 1 + serial % 3, "net_weight_g": 360,
                       "value": { "amount": format!("{}.50", 10 + serial % 90), "currency": "GBP" }, "hs_code": "610910",
                       "origin_country": "KR" }]
    })
}

/// What the broker has to get of a declaration.
pub fn content_of_declaration(declaration: &Value) -> Content {
    let line = &declaration["contents"][0];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values =
        [&declaration["item_id"], &declaration["posted_on"], &declaration["gross_weight_g"], &line["description"], &line["quantity"]];
    let values: Vec<String> = values.into_iter().chain([&line["value"]["amount"]]).map(text).collect();
    values.join("|")
}

/// The text of the first element of a name; empty without one.
pub fn element<'a>(message: &'a str, name: &str) -> &'a str {
    let open = format!("<{name}>");
    let Some(start) = message.find(&open).map(|at| at + open.len()) else { return "" };
    message[start..].find('<').map_or("", |length| &message[start..start + length])
}

/// What the broker got.
pub fn content_of_message(message: &str) -> Content {
    ["Item", "Posted", "Weight", "What", "Quantity", "Amount"].map(|name| element(message, name)).join("|")
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids printed in public.
    #[test]
    fn check_digits() {
        assert_eq!(item_id(12_345_678), "EE123456785KR");
        assert_eq!(s10("RR", 47_312_482, "GB"), "RR473124829GB");
    }

    #[test]
    fn both_sides_are_compared_by_the_same_fields() {
        let declaration = parcel(7, "n", "2026-11-20");
        let message = format!(
            "<Declaration><Lrn>L</Lrn><Item>{}</Item><Posted>2026-11-20</Posted><Weight>407</Weight><Line><What>Cotton shirt n 7</What>\
             <Quantity>2</Quantity><Amount>17.50</Amount></Line></Declaration>",
            item_id(7)
        );
        assert_eq!(content_of_declaration(&declaration), content_of_message(&message));
    }
}
