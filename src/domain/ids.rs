//! Identifiers: the UPU's S10 of an item, our LRN of a message, and UUIDs of what we keep.
//!
//! An S10 is not unique for ever (it may be issued again after 12 months, UPU S10-12), so an item
//! is its S10 *and* its posting date, everywhere.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::time::Date;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new, time-ordered id (UUID version 7), so that index inserts stay at the end.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads the text form; `None` when it is no UUID.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

uuid_ids! {
    /// A declaration: the customs data of one item for one destination.
    DeclarationId;
    /// A filing: one declaration towards one broker on one track.
    FilingId;
    /// A message: one fixed set of bytes for a broker; sent as `Idempotency-Key`.
    MessageId;
    /// A notice: what a broker told us, in any way.
    NoticeId;
    /// An event that a post is told.
    EventId;
    /// A webhook subscription of a post.
    SubscriptionId;
    /// Follows one request through logs, messages and answers (`X-Conversation-Id`).
    ConversationId;
    /// An intent to amend, cancel or present that waits to become a message.
    IntentId;
}

/// A UPU S10 item identifier of sound *structure*: `AA NNNNNNNN C BB` (UPU S10-12).
///
/// The check digit is asked for separately, for policy may accept a wrong one: an authority's own
/// published example carries one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct S10([u8; 13]);

impl S10 {
    /// Reads 13 characters; printed blanks are dropped. `None` when the structure is not S10's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0u8; 13];
        let mut length = 0;
        for byte in text.bytes().filter(|b| *b != b' ') {
            *bytes.get_mut(length)? = byte;
            length += 1;
        }
        let letters = |b: &[u8]| b.iter().all(u8::is_ascii_uppercase);
        let sound = length == 13 && letters(&bytes[..2]) && bytes[2..11].iter().all(u8::is_ascii_digit) && letters(&bytes[11..]);
        sound.then_some(Self(bytes))
    }

    /// The 13 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The service indicator, for example `EE`.
    pub fn service_indicator(&self) -> &str {
        &self.as_str()[..2]
    }

    /// ISO 3166-1 alpha-2 code of the country whose post issued the id.
    pub fn country(&self) -> &str {
        &self.as_str()[11..]
    }

    /// The check digit that the eight serial digits demand: weights 8 6 4 2 3 5 9 7, then
    /// 11 − (sum mod 11), where 10 becomes 0 and 11 becomes 5 (UPU S10-12).
    pub fn expected_check_digit(&self) -> u8 {
        const WEIGHTS: [u32; 8] = [8, 6, 4, 2, 3, 5, 9, 7];
        let sum: u32 = self.0[2..10].iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        match 11 - sum % 11 {
            10 => 0,
            11 => 5,
            digit => digit as u8,
        }
    }

    /// Whether the check digit is the one that the serial demands.
    pub fn check_digit_holds(&self) -> bool {
        self.0[10] - b'0' == self.expected_check_digit()
    }
}

impl Default for S10 {
    fn default() -> Self {
        Self(*b"AA000000000AA")
    }
}

impl fmt::Display for S10 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for S10 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for S10 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The highest counter that two base-36 characters can show.
pub const MAX_LRN_COUNTER: u16 = 36 * 36 - 1;

/// The local reference number of a message: S10 + posting date `YYMMDD` + a two-character
/// base-36 counter, 21 of the 22 characters that customs systems allow; new for every message.
/// `None` when the counter is used up.
pub fn lrn(item_id: S10, posted_on: Date, counter: u16) -> Option<String> {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if counter > MAX_LRN_COUNTER {
        return None;
    }
    let (high, low) = (DIGITS[usize::from(counter / 36)] as char, DIGITS[usize::from(counter % 36)] as char);
    let (year, month, day) = (posted_on.year().rem_euclid(100), posted_on.month(), posted_on.day());
    Some(format!("{item_id}{year:02}{month:02}{day:02}{high}{low}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_check_digits_follow_the_published_vectors() {
        for (id, holds) in [
            ("RB123456785GB", true),
            ("RB123456786US", false),
            ("LX806576725TW", true),
            ("LP666440208MY", true),
            ("EC253990191BE", true),
            ("CP001020301BR", false),
            ("EE000000155KR", true),
            ("EE000000080KR", true),
        ] {
            assert_eq!(S10::parse(id).expect("structure").check_digit_holds(), holds, "{id}");
        }
    }

    #[test]
    fn s10_structure_is_strict_but_forgives_printed_blanks() {
        assert_eq!(S10::parse("RB 123 456 785 GB").expect("blanks").as_str(), "RB123456785GB");
        for bad in
            ["", "RB12345678GB", "rb123456785GB", "RB1234567855GB", "R1123456785GB", "RB12345678XGB", "RB123456785G1", "RÄ123456785GB"]
        {
            assert!(S10::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn lrn_has_21_characters_and_counts_in_base_36() {
        let id = S10::parse("EE123456785KR").expect("structure");
        let day = jiff::civil::date(2026, 11, 20);
        assert_eq!(lrn(id, day, 1).as_deref(), Some("EE123456785KR26112001"));
        assert_eq!(lrn(id, day, 35).as_deref(), Some("EE123456785KR2611200Z"));
        assert_eq!(lrn(id, day, 36).as_deref(), Some("EE123456785KR26112010"));
        assert!(lrn(id, day, MAX_LRN_COUNTER + 1).is_none());
    }
}
