//! What customs says, in the judge's own format, and which status each code means.

use crate::clock;

/// Statuses of a clearance in the order of their rank, by the product description.
pub const RANKS: [&str; 15] = [
    "pending",
    "submitted",
    "registered",
    "accepted",
    "documents_required",
    "duties_due",
    "held",
    "detained",
    "released",
    "cleared",
    "rejected",
    "returned",
    "seized",
    "destroyed",
    "cancelled",
];

/// The place of a status in that order; none for a word that is no status.
pub fn rank(status: &str) -> Option<usize> {
    RANKS.iter().position(|known| *known == status)
}

/// The status that a code means; none for one that answers a message or refuses it.
pub fn status_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "REG" => "registered",
        "ACC" => "accepted",
        "HLD" => "held",
        "REL" => "released",
        "CLR" => "cleared",
        "REJ" => "rejected",
        "CAN" | "CAA" => "cancelled",
        _ => return None,
    })
}

/// One notice.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Code.
    pub code: &'static str,
    /// Our local reference.
    pub lrn: String,
    /// The authority's reference.
    pub mrn: String,
    /// The authority's time, in seconds since 1970.
    pub at: i64,
}

impl Notice {
    /// A notice about a message; the authority's reference is made of the first local reference of the filing.
    pub fn new(code: &'static str, lrn: &str, mrn: &str, at: i64) -> Notice {
        Notice { code, lrn: lrn.to_owned(), mrn: mrn.to_owned(), at }
    }

    /// The bytes on the wire: the same notice is the same bytes, so that a repeat is a repeat.
    pub fn xml(&self) -> String {
        let Notice { code, lrn, mrn, at } = self;
        let at = clock::instant(*at);
        format!(r#"<Notice xmlns="urn:preclear:rig:1" code="{code}" at="{at}"><Lrn>{lrn}</Lrn><Mrn>{mrn}</Mrn></Notice>"#)
    }
}

/// The authority's reference of a declaration message.
pub fn mrn_of(lrn: &str) -> String {
    format!("26{lrn}")
}
