//! The dispatch, MAWB or bulk that items travel in: what it says of the transport completes the declarations of its items.

use std::borrow::Cow;

use super::json::Json;
use super::record::{Record, Val};

/// A declaration's JSON, without what only a request says (`reason`), and with the transport of its consignment where it
/// says nothing itself: what the post said of the item counts more than what it said of the dispatch.
pub fn complete<'a>(declaration: Json<'a>, transport: Option<&Json<'a>>) -> Json<'a> {
    let Json::Object(mut members) = declaration else { return declaration };
    members.retain(|(name, _)| name != "reason");
    let Some(Json::Object(brought)) = transport else { return Json::Object(members) };
    if !members.iter().any(|(name, _)| name == "transport") {
        members.push((Cow::Borrowed("transport"), Json::Null));
    }
    for (_, own) in members.iter_mut().filter(|(name, _)| name == "transport") {
        fill(own, brought);
    }
    Json::Object(members)
}

fn fill<'a>(own: &mut Json<'a>, brought: &[(Cow<'a, str>, Json<'a>)]) {
    if !matches!(own, Json::Object(_)) {
        *own = Json::Object(Vec::new());
    }
    let Json::Object(own) = own else { return };
    for (name, value) in brought.iter().filter(|(_, value)| *value != Json::Null) {
        match own.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if *known == Json::Null => *known = value.clone(),
            Some(_) => {}
            None => own.push((name.clone(), value.clone())),
        }
    }
}

/// Whether the field at a dotted path is not given; a path that leads nowhere is not given.
pub fn lacks(record: &dyn Record, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some((index, _)) = record.descriptor().field(name) else { return true };
    match (record.get(index), rest) {
        (Val::Missing, _) => true,
        (Val::Record(inner), Some(rest)) => lacks(inner, rest),
        (_, rest) => rest.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::parse;

    #[test]
    fn a_consignment_fills_what_the_declaration_leaves_open() {
        let transport = parse(br#"{"flight":"KE907","mawb":"180-1","carrier":null}"#).expect("JSON");
        for (declaration, expected) in [
            (&br#"{"a":1}"#[..], &br#"{"a":1,"transport":{"flight":"KE907","mawb":"180-1"}}"#[..]),
            (br#"{"transport":null,"reason":{"code":"value"}}"#, br#"{"transport":{"flight":"KE907","mawb":"180-1"}}"#),
            (br#"{"transport":{"flight":"KE1","mawb":null}}"#, br#"{"transport":{"flight":"KE1","mawb":"180-1"}}"#),
        ] {
            assert_eq!(complete(parse(declaration).expect("JSON"), Some(&transport)), parse(expected).expect("JSON"));
        }
        assert_eq!(complete(parse(br#"{"reason":1,"b":2}"#).expect("JSON"), None), parse(br#"{"b":2}"#).expect("JSON"));
    }
}
