//! What a value of a sample probably is, by its name, the names around it and its own form.
//!
//! A name proposes, the value disposes: digits are no description, a single digit is no amount, a country has two
//! letters. What only half fits is left to be decided, for a wrong proposal is read over.

use super::names::Name;

/// A value of a sample and where it stands.
pub(super) struct Context<'a> {
    /// Names of the elements around it, its own included.
    pub path: &'a [Name],
    /// The name of its element or attribute.
    pub name: &'a Name,
    /// The value.
    pub value: &'a str,
    /// Whether it stands in what is repeated for each line of the contents.
    pub in_line: bool,
    /// Whether it is 1, 2, 3 … over what is repeated.
    pub counts: bool,
    /// Whether the address around it has a second line.
    pub two_lines: bool,
}

/// Parties by the words in names around a value; the nearest name decides.
const PARTIES: &[(&[&str], &str)] = &[
    (&["declarant", "agent", "representative", "representation", "broker", "carrier", "office"], ""),
    (&["seller", "supplier"], "seller"),
    (&["buyer"], "buyer"),
    (&["importer"], "importer"),
    (&["exporter", "consignor", "shipper", "sender", "traconco"], "sender"),
    (&["consignee", "recipient", "addressee", "receiver", "traconce"], "recipient"),
];

/// What a value of a party's field looks like.
type Form = fn(&str) -> bool;

/// Fields of a party by words in the value's own name: the first that fits, when the value looks like it.
const PARTY_FIELDS: &[(&[&str], Form, &str)] = &[
    (&["post code", "postal code", "zip", "zip code", "plz"], has_digit, "P.postcode"),
    (&["city", "city name", "town", "place"], has_letters, "P.city"),
    (&["region", "state", "province", "subdivision"], has_letters, "P.region"),
    (&["country", "country code"], is_country, "P.country"),
    (&["phone", "telephone", "mobile"], has_digit, "P.phone"),
    (&["email", "e mail", "mail"], is_mail, "P.email"),
    (&["house number", "street number"], has_digit, "P.street | join(', ') | street_part('number')"),
    (SECOND_LINES, has_letters, "entry(P.street, 2)"),
    (&["street", "street name", "street and number", "line", "address line", "address"], has_letters, "P.street | join(', ')"),
    (&["company", "company name", "name"], has_letters, "P.company or P.name"),
];

const SECOND_LINES: &[&str] =
    &["line 2", "address 2", "street 2", "address line 2", "address supplement", "additional address", "supplement"];
/// Words of what is paid for the way, not for the goods.
const CARRIAGE: &[&str] = &["freight", "postage", "carriage", "transport charge", "transport charges", "transport cost", "transport costs"];
const AMOUNTS: &[&str] = &["amount", "value", "price"];
/// Amounts that are worked out, not declared.
const TAXES: &[&str] = &["vat", "tax", "duty", "fee", "tariff"];
const PACKAGES: &[&str] = &["pack", "package", "packages", "packaging", "piece", "pieces", "packs"];
const INCOTERMS: &[&str] = &["EXW", "FCA", "FAS", "FOB", "CPT", "CIP", "CFR", "CIF", "DAP", "DPU", "DAT", "DDP"];

/// Whether a name is one of a description of goods or of their commodity code.
pub(super) fn describes_goods(name: &Name) -> bool {
    name.has(&["description", "goods description", "goo des", "goods name", "gname", "item name"]) || is_commodity(name)
}

/// Whether a name is one of a line of goods.
pub(super) fn names_a_line(name: &Name) -> bool {
    name.has(&["item", "items", "line", "lines", "article", "articles", "goods", "position", "goods item", "goo ite gds"])
        && !name.has(&["shipment", "declaration", "declarations", "measure", "location", "collection"])
}

/// Whether a name is one of the second line of an address.
pub(super) fn names_second_line(name: &Name) -> bool {
    name.has(SECOND_LINES)
}

fn is_commodity(name: &Name) -> bool {
    name.has(&["commodity", "tariff", "hs", "hs code", "gcode", "classification", "taric", "harmonised", "harmonized"])
        || name.has(&["harmonised system", "harmonized system", "com cod", "harmonization code"])
}

/// An expression for a value, when it is recognised.
pub(super) fn propose(context: &Context<'_>) -> Option<String> {
    by_form(context.value)
        .map(str::to_owned)
        .or_else(|| by_party(context))
        .or_else(|| if context.in_line { by_line(context) } else { by_item(context) })
        .or_else(|| if context.in_line { None } else { by_moment(context) })
}

fn around(context: &Context<'_>, words: &[&str]) -> bool {
    context.name.has(words) || context.path.iter().any(|name| name.has(words))
}

/// What only one thing looks like.
fn by_form(value: &str) -> Option<&'static str> {
    if crate::domain::ids::S10::parse(value).is_some() {
        return Some("item_id");
    }
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if value.strip_prefix("IM").is_some_and(|number| digits(number, 10)) {
        return Some("pick(identifiers, 'ioss').value");
    }
    if value.split_once('-').is_some_and(|(airline, serial)| digits(airline, 3) && digits(serial, 8)) {
        return Some("transport.mawb");
    }
    uuid::Uuid::try_parse(value).is_ok().then_some("message.id")
}

fn by_party(context: &Context<'_>) -> Option<String> {
    let names = context.path.iter().rev().chain([context.name]);
    let party = names.into_iter().find_map(|name| PARTIES.iter().find(|(words, _)| name.has(words)).map(|(_, party)| *party))?;
    if party.is_empty() {
        return None;
    }
    let (_, _, field) = PARTY_FIELDS.iter().find(|(words, ..)| context.name.has(words)).filter(|(_, fits, _)| fits(context.value))?;
    let field = if context.two_lines && *field == "P.street | join(', ')" { "first(P.street)" } else { field };
    Some(field.replace('P', party))
}

fn has_letters(value: &str) -> bool {
    value.chars().filter(|c| c.is_alphabetic()).count() > 1
}

fn has_digit(value: &str) -> bool {
    value.bytes().any(|b| b.is_ascii_digit())
}

fn is_mail(value: &str) -> bool {
    value.contains('@')
}

fn decimals(value: &str) -> Option<usize> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    (!whole.is_empty() && digits(whole) && digits(fraction)).then_some(fraction.len())
}

/// The decimals of an amount. One or two digits are rather a code.
fn amount(value: &str) -> Option<usize> {
    decimals(value).filter(|fraction| *fraction > 0 || value.len() > 2)
}

fn is_currency(value: &str) -> bool {
    iso_currency::Currency::from_code(value).is_some()
}

fn is_country(value: &str) -> bool {
    value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase()) && rust_iso3166::from_alpha2(value).is_some()
}

/// Grams as kilograms. A sample with few decimals left zeros away rather than grams.
fn weight(field: &str, decimals: usize) -> String {
    format!("{field} | kg({})", if decimals < 2 { 3 } else { decimals })
}

/// Whether a value counts the lines: it is the first of the sample, so 1 (or 001).
fn is_place(context: &Context<'_>) -> bool {
    let first = context.value.len() <= 5 && context.value.trim_start_matches('0') == "1";
    let numbers = &["sequence", "number", "line no", "gnum", "position", "ite num", "seq", "item no", "item id", "line id", "line item"];
    first && (context.counts || context.name.is(&["no", "id"]) || context.name.has(numbers)) && !around(context, PACKAGES)
}

/// A commodity code in the form of the sample: six digits, all of them, or groups of digits with points between.
fn commodity(value: &str) -> Option<String> {
    let groups: Vec<&str> = value.split('.').collect();
    let digits: usize = groups.iter().map(|group| group.len()).sum();
    let plain = groups.iter().all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if !plain || !(6..=14).contains(&digits) {
        return None;
    }
    if groups.len() == 1 {
        return Some(if digits == 6 { "line.hs_code | substring(0, 6)" } else { "line.hs_code" }.to_owned());
    }
    let mut at = 0;
    let parts: Vec<String> = groups
        .iter()
        .map(|group| {
            at += group.len();
            format!("(line.hs_code | substring({}, {at}))", at - group.len())
        })
        .collect();
    Some(parts.join(" ~ '.' ~ "))
}

fn by_line(context: &Context<'_>) -> Option<String> {
    let Context { name, value, .. } = context;
    let is_code = is_commodity(name) || name.has(&["id"]) && context.path.iter().any(is_commodity);
    if let Some(code) = is_code.then(|| commodity(value)).flatten() {
        return Some(code);
    }
    if is_place(context) {
        return Some("position".to_owned());
    }
    if around(context, PACKAGES) {
        return None;
    }
    let declared = name.has(AMOUNTS) && !name.has(TAXES);
    Some(match decimals(value) {
        // What one line weighs with its packaging nobody declares.
        Some(n) if name.has(&["weight", "mass", "mas"]) && !name.has(&["gross", "gro"]) => weight("line.net_weight_g", n),
        Some(_) if name.has(&["quantity", "qty"]) => "line.quantity".to_owned(),
        Some(_) if declared => format!("line.value.amount | decimals({})", amount(value)?),
        Some(_) => return None,
        None if is_currency(value) => "line.value.currency".to_owned(),
        None if is_country(value) && name.has(&["country", "origin", "country code"]) => "line.origin_country".to_owned(),
        None if describes_goods(name) && value.chars().filter(|c| c.is_alphabetic()).count() > 2 => "line.description".to_owned(),
        None => return None,
    })
}

fn by_item(context: &Context<'_>) -> Option<String> {
    const OWN_REFERENCE: &[&str] = &[
        "functional reference",
        "local reference",
        "lrn",
        "reference number",
        "declaration number",
        "ref num hea",
        "functional reference id",
    ];
    let Context { name, value, .. } = context;
    let carriage = around(context, CARRIAGE);
    let number = decimals(value);
    let referred = around(context, &["previous", "additional", "document", "invoice", "package", "packaging", "account", "office"]);
    Some(match number {
        Some(_) if carriage => format!("postage.amount | decimals({})", amount(value)?),
        None if carriage && is_currency(value) => "postage.currency".to_owned(),
        Some(n) if name.has(&["net weight", "net mass"]) => weight("contents | sum('net_weight_g')", n),
        Some(n) if name.has(&["weight", "mass", "mas"]) => weight("gross_weight_g", n),
        Some(n) if n > 0 && name.has(AMOUNTS) && !name.has(TAXES) => format!("contents | sum('value.amount') | decimals({n})"),
        Some(0) if name.has(&["number of items", "item quantity", "item count", "tot num of ite", "items quantity"]) => {
            "contents | count".to_owned()
        }
        _ if name.has(OWN_REFERENCE) && !referred && value.len() > 3 && has_digit(value) => "message.lrn".to_owned(),
        None if is_currency(value) && around(context, &["currency", "amount", "value", "price", "invoice"]) => {
            "first(contents).value.currency".to_owned()
        }
        None if is_country(value) && name.has(&["destination"]) => "recipient.country".to_owned(),
        None if is_country(value) && name.has(&["dispatch", "export", "departure"]) => "sender.country".to_owned(),
        None if name.has(&["incoterm", "incoterms", "delivery terms", "terms of delivery", "trade terms"]) && INCOTERMS.contains(value) => {
            "delivery_terms".to_owned()
        }
        None if is_flight(value) && carries(context) => "transport.flight".to_owned(),
        _ => return None,
    })
}

/// Two characters of an airline, one to four digits.
fn is_flight(value: &str) -> bool {
    let plain: Vec<u8> = value.bytes().filter(|b| *b != b' ').collect();
    let Some((airline, number)) = plain.split_at_checked(2) else { return false };
    let letters = airline.iter().filter(|b| b.is_ascii_uppercase()).count();
    letters > 0
        && airline.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && (1..=4).contains(&number.len())
        && number.iter().all(u8::is_ascii_digit)
}

fn carries(context: &Context<'_>) -> bool {
    let means = &["transport means", "means of transport", "transportation", "transport", "conveyance"];
    context.name.has(&["flight", "voyage", "conveyance"])
        || around(context, means) && context.name.has(&["number", "identity", "id", "identification", "reference"])
}

/// Moments by their form. The time of the message is the likeliest; digits alone have to be called a date or a time.
fn by_moment(context: &Context<'_>) -> Option<String> {
    const FORMS: [(&str, &str); 5] = [
        ("%Y-%m-%dT%H:%M:%SZ", "iso"),
        ("%Y%m%d%H%M%SZ", "304"),
        ("%Y%m%d%H%M%S", "%Y%m%d%H%M%S"),
        ("%Y-%m-%d", "%Y-%m-%d"),
        ("%Y%m%d", "102"),
    ];
    let digits = context.value.bytes().all(|b| b.is_ascii_digit());
    let called = &["date", "time", "day", "at", "moment", "timestamp", "issue", "issued", "created", "prepared", "dat", "tim"];
    if digits && !around(context, called) || around(context, &["birth", "expiry", "valid", "arrival", "departure", "invoice"]) {
        return None;
    }
    let fits = |form: &str| {
        jiff::fmt::strtime::parse(form, context.value).is_ok_and(|parsed| parsed.year().is_some_and(|year| (2000..2100).contains(&year)))
    };
    let (_, form) = FORMS.into_iter().find(|(form, _)| fits(form))?;
    Some(format!("message.created_at | date('{form}')"))
}
