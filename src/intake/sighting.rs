//! What a post saw physically: an EMSEVT event of an item.

use crate::domain::fault::{self, Fault};
use crate::domain::json;
use crate::domain::record::{FieldType, Reader};
use crate::domain::text::{Instant, Text};
use crate::error::{ApiError, Code};
use crate::record;

/// EMSEVT V3 events (names agree in three public listings).
const EVENTS: &[&str] = &[
    "EMA", "EMB", "EXA", "EXB", "EXC", "EXD", "EXX", "EMC", "EMJ", "EMK", "EMD", "EDA", "EDB", "EME", "EDC", "EMF", "EDD", "EDE", "EMG",
    "EDF", "EDG", "EDH", "EMH", "EMI", "EDX",
];

record! {
    /// A physical event of an item.
    pub struct Sighting {
        /// EMSEVT code, for example `EMD` (arrival at the inward office of exchange).
        event: Text<3>,
        /// When, RFC 3339.
        at: Instant,
        /// IMPC code of the office.
        office: Option<Text<6>>,
    }
}

impl Sighting {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 for malformed JSON, 422 with all faults.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let tree = json::parse(body)
            .map_err(|malformed| ApiError::new(Code::MalformedJson).detail(format!("The body cannot be read: {malformed}.")))?;
        let mut reader = Reader::default();
        let sighting = <Self as FieldType>::read(&tree, &mut reader);
        let (mut faults, _) = reader.finish();
        if !EVENTS.contains(&sighting.event.as_str()) {
            faults.push_unless_covered(Fault::new("/event", fault::UNKNOWN_VALUE, format!("one of: {}", EVENTS.join(" "))));
        }
        let impc = |office: &Text<6>| {
            let bytes = office.as_str().as_bytes();
            bytes.len() == 6
                && bytes[..5].iter().all(u8::is_ascii_uppercase)
                && (bytes[5].is_ascii_uppercase() || bytes[5].is_ascii_digit())
        };
        if sighting.office.as_ref().is_some_and(|office| !impc(office)) {
            faults.push_unless_covered(Fault::new(
                "/office",
                fault::BAD_FORMAT,
                "an IMPC code: five capital letters and a letter or digit",
            ));
        }
        if faults.is_empty() { Ok(sighting) } else { Err(ApiError::new(Code::InvalidRequest).errors(faults.into_vec())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_sighting_are_told_at_once() {
        let good = br#"{"event":"EMD","at":"2026-11-22T08:00:00Z","office":"GBLALA"}"#;
        assert_eq!(Sighting::parse(good).expect("good").event.as_str(), "EMD");
        let bad = br#"{"event":"EMZ","at":"yesterday","office":"gb","who":1}"#;
        let pointers: Vec<String> = Sighting::parse(bad).expect_err("bad").errors.into_iter().map(|f| f.pointer).collect();
        assert_eq!(pointers, ["/who", "/at", "/event", "/office"]);
    }
}
