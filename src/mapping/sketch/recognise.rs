//! What a value of a sample probably is, by its name, the names around it and its own form.

/// A value of a sample and where it stands.
pub(super) struct Context<'a> {
    /// Names of the elements around it, its own included, without prefixes.
    pub path: &'a [String],
    /// The name of its element or attribute.
    pub name: &'a str,
    /// The value.
    pub value: &'a str,
    /// Whether it stands in what is repeated for each line of the contents.
    pub in_line: bool,
}

/// Parties by the words in names around a value; the nearest name decides.
const PARTIES: &[(&[&str], &str)] = &[
    (&["declarant", "agent", "represent", "broker", "carrier", "office"], ""),
    (&["seller", "supplier"], "seller"),
    (&["buyer"], "buyer"),
    (&["importer"], "importer"),
    (&["exporter", "consignor", "shipper", "sender", "traconco"], "sender"),
    (&["consignee", "recipient", "addressee", "receiver", "tracone"], "recipient"),
];

/// Fields of a party by words in the value's own name: the first that fits.
const PARTY_FIELDS: &[(&[&str], &str)] = &[
    (&["postcode", "postalcode", "zip", "plz"], "P.postcode"),
    (&["city", "town", "place"], "P.city"),
    (&["region", "state", "province", "subdivision"], "P.region"),
    (&["country"], "P.country"),
    (&["phone", "telephone", "mobile"], "P.phone"),
    (&["mail"], "P.email"),
    (&["housenumber", "streetnumber"], "P.street | join(', ') | street_part('number')"),
    (&["street", "line", "address"], "P.street | join(', ')"),
    (&["company", "name"], "P.company or P.name"),
];

/// Whether a name is one of a description of goods or of their commodity code.
pub(super) fn describes_goods(name: &str) -> bool {
    let name = plain(name);
    has(&name, &["description", "gooddes", "goodsname", "gname", "itemname"]) || is_commodity(&name)
}

/// Whether a name is one of a line of goods.
pub(super) fn names_a_line(name: &str) -> bool {
    let name = plain(name);
    has(&name, &["item", "line", "article", "goods", "position"])
        && !has(&name, &["shipment", "declaration", "measure", "location", "collection"])
}

fn is_commodity(name: &str) -> bool {
    has(name, &["harmoni", "commodity", "tariff", "hscode", "gcode", "classification"])
}

/// An expression for a value, when it is recognised.
pub(super) fn propose(context: &Context<'_>) -> Option<String> {
    let name = plain(context.name);
    by_form(context.value)
        .map(str::to_owned)
        .or_else(|| by_party(context, &name))
        .or_else(|| if context.in_line { by_line(context, &name) } else { by_item(context, &name) })
        .or_else(|| by_moment(context.value))
}

fn plain(name: &str) -> String {
    let local = name.split_once(':').map_or(name, |(_, local)| local);
    local.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn has(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.contains(word))
}

/// What only one thing looks like.
fn by_form(value: &str) -> Option<&'static str> {
    if crate::domain::ids::S10::parse(value).is_some() {
        return Some("item_id");
    }
    if value.len() == 12 && value.starts_with("IM") && value[2..].bytes().all(|b| b.is_ascii_digit()) {
        return Some("pick(identifiers, 'ioss').value");
    }
    uuid::Uuid::try_parse(value).is_ok().then_some("message.id")
}

fn by_party(context: &Context<'_>, name: &str) -> Option<String> {
    let around = context.path.iter().rev().map(|name| plain(name));
    let party = around
        .chain([name.to_owned()])
        .find_map(|around| PARTIES.iter().find(|(words, _)| has(&around, words)).map(|(_, party)| *party))?;
    if party.is_empty() {
        return None;
    }
    let (_, field) = PARTY_FIELDS.iter().find(|(words, _)| has(name, words))?;
    Some(field.replace('P', party))
}

fn decimals(value: &str) -> Option<usize> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    (!whole.is_empty() && digits(whole) && digits(fraction)).then_some(fraction.len())
}

fn is_currency(value: &str) -> bool {
    iso_currency::Currency::from_code(value).is_some()
}

fn is_country(value: &str) -> bool {
    value.len() == 2 && rust_iso3166::from_alpha2(value).is_some()
}

/// Whether a value counts the lines.
fn is_place(value: &str, name: &str) -> bool {
    let counts = name == "no" || has(name, &["sequence", "number", "lineno", "gnum", "position", "itenum"]);
    value.len() <= 4 && counts && !has(name, &["pack", "piece"])
}

fn by_line(context: &Context<'_>, name: &str) -> Option<String> {
    let value = context.value;
    let number = decimals(value);
    let whole = number == Some(0);
    let commodity = is_commodity(name) || name.ends_with("id") && context.path.iter().any(|around| is_commodity(&plain(around)));
    if commodity && whole && (6..=10).contains(&value.len()) {
        return Some(if value.len() == 6 { "line.hs_code | substring(0, 6)" } else { "line.hs_code" }.to_owned());
    }
    Some(match number {
        Some(n) if has(name, &["weight", "mass"]) => format!("line.net_weight_g | kg({n})"),
        Some(_) if has(name, &["quantity", "qty"]) => "line.quantity".to_owned(),
        Some(n) if has(name, &["amount", "value", "price"]) => format!("line.value.amount | decimals({n})"),
        Some(0) if is_place(value, name) => "position".to_owned(),
        _ if is_currency(value) => "line.value.currency".to_owned(),
        _ if is_country(value) && has(name, &["country", "origin"]) => "line.origin_country".to_owned(),
        _ if describes_goods(name) => "line.description".to_owned(),
        _ => return None,
    })
}

fn by_item(context: &Context<'_>, name: &str) -> Option<String> {
    let value = context.value;
    let carriage = context.path.iter().any(|around| has(&plain(around), &["freight", "postage", "transp", "carriage"]));
    Some(match decimals(value) {
        Some(n) if carriage => format!("postage.amount | decimals({n})"),
        None if carriage && is_currency(value) => "postage.currency".to_owned(),
        Some(n) if has(name, &["weight", "mass"]) => format!("gross_weight_g | kg({n})"),
        Some(n) if n > 0 && has(name, &["amount", "value", "price"]) => format!("contents | sum('value.amount') | decimals({n})"),
        Some(0) if has(name, &["numberofitems", "itemquantity", "itemcount", "totnumofite"]) => "contents | count".to_owned(),
        _ if has(name, &["functionalreference", "localreference", "lrn", "referencenumber", "declarationnumber", "refnumhea"]) => {
            "message.lrn".to_owned()
        }
        _ if is_currency(value) => "first(contents).value.currency".to_owned(),
        _ if is_country(value) && has(name, &["destination"]) => "recipient.country".to_owned(),
        _ if is_country(value) && has(name, &["dispatch", "export", "departure"]) => "sender.country".to_owned(),
        _ if has(name, &["flight", "voyage", "conveyance"]) => "transport.flight".to_owned(),
        _ => return None,
    })
}

/// Moments by their form. The time of the message is the likeliest.
fn by_moment(value: &str) -> Option<String> {
    const FORMS: [(&str, &str); 5] = [
        ("%Y-%m-%dT%H:%M:%SZ", "iso"),
        ("%Y%m%d%H%M%SZ", "304"),
        ("%Y%m%d%H%M%S", "%Y%m%d%H%M%S"),
        ("%Y-%m-%d", "%Y-%m-%d"),
        ("%Y%m%d", "102"),
    ];
    let fits = |form: &str| {
        jiff::fmt::strtime::parse(form, value).is_ok_and(|parsed| parsed.year().is_some_and(|year| (2000..2100).contains(&year)))
    };
    let (_, form) = FORMS.into_iter().find(|(form, _)| fits(form))?;
    Some(format!("message.created_at | date('{form}')"))
}
