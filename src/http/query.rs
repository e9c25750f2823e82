//! Reading a query: strict, by the same constants that describe it in the OpenAPI document.
//!
//! An unknown name, a name given twice, a bad escape and a value that is not allowed are all told in one 400, each by
//! a pointer that names the parameter and never by its value. A name that is not ours is input too: it is shown only
//! when it is a short plain word.

use std::borrow::Cow;

use actix_web::HttpRequest;

use super::routes::{Parameter, Place, Values};
use crate::domain::fault::{self, Fault};
use crate::error::{ApiError, Code};

/// The query of one request, checked against its route's parameters.
#[derive(Debug)]
pub struct Query<'a> {
    given: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads and checks the whole query.
    ///
    /// # Errors
    /// `bad_query` with all faults at once.
    pub fn read(request: &'a HttpRequest, parameters: &'static [Parameter]) -> Result<Self, ApiError> {
        let (mut given, mut faults) = (Vec::new(), Vec::new());
        for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
            let Some(parameter) = parameters.iter().find(|p| p.place == Place::Query && p.name == name) else {
                faults.push(Fault::new(pointer(&name), fault::UNKNOWN_FIELD, known(parameters)));
                continue;
            };
            if given.iter().any(|(name, _)| *name == parameter.name) {
                faults.push(Fault::new(pointer(parameter.name), fault::BAD_FORMAT, "given more than once"));
            } else if let Some(allowed) = disallowed(&parameter.values, &value) {
                faults.push(Fault::new(pointer(parameter.name), fault::BAD_FORMAT, allowed));
            } else {
                given.push((parameter.name, value));
            }
        }
        for parameter in parameters.iter().filter(|p| p.place == Place::Query && p.required) {
            if !given.iter().any(|(name, _)| *name == parameter.name) && !faults.iter().any(|f| f.pointer == pointer(parameter.name)) {
                faults.push(Fault::new(pointer(parameter.name), fault::REQUIRED, parameter.doc));
            }
        }
        if faults.is_empty() { Ok(Self { given }) } else { Err(ApiError::new(Code::BadQuery).errors(faults)) }
    }

    /// A text or word, when given.
    pub fn text(&self, parameter: &Parameter) -> Option<&str> {
        self.given.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value.as_ref())
    }

    /// A number, or what it is when left out.
    pub fn integer(&self, parameter: &Parameter) -> u64 {
        let default = match parameter.values {
            Values::Integer { default, .. } => default,
            Values::Text(_) | Values::OneOf(_) => 0,
        };
        self.text(parameter).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

fn pointer(name: &str) -> String {
    let plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain { format!("/{name}") } else { "/*".to_owned() }
}

fn known(parameters: &[Parameter]) -> String {
    let names: Vec<&str> = parameters.iter().filter(|p| p.place == Place::Query).map(|p| p.name).collect();
    if names.is_empty() { "this route has no query parameters".to_owned() } else { format!("one of: {}", names.join(" ")) }
}

/// What is allowed, when the value is not.
fn disallowed(values: &Values, value: &str) -> Option<String> {
    match values {
        Values::Text(max) => {
            let sound = !value.is_empty() && value.chars().count() <= *max as usize && !value.chars().any(char::is_control);
            (!sound).then(|| format!("1 to {max} characters"))
        }
        Values::Integer { min, max, .. } => {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let number = value.parse::<u64>().ok().filter(|number| digits && (*min..=*max).contains(number));
            number.is_none().then(|| format!("a whole number from {min} to {max}"))
        }
        Values::OneOf(words) => (!words.contains(&value)).then(|| format!("one of: {}", words.join(" "))),
    }
}
