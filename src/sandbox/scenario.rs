//! Which part the simulated broker plays for a message.
//!
//! Why it exists: a gateway is judged by what it does when the other side misbehaves, so each way of behaving has a name
//! that tests, the demo and a person on the command line use alike.
//!
//! A scenario is at most one fault of the transport followed by at most one outcome of customs. What the names mean in
//! notices stands in `steps.rs`; what they mean on the wire stands in `desk.rs`. Names are a contract: add, never rename.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A way for the simulated broker to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// Accepted, and nothing more (01).
    Accept,
    /// Accepted, then a physical examination (01, 05).
    Hold,
    /// Accepted, then documents are asked for with a deadline (01, 06).
    Documents,
    /// Accepted, then somebody must pay (01, 13 with a payment reference, 14).
    Duties,
    /// Accepted, then released while the debt is not final (01, 13, 08).
    Release,
    /// Accepted, taxed and cleared in one second (01, 13, 13, 09).
    Clear,
    /// Rejected with errors (03).
    Reject,
    /// Registered before arrival; waits for the presentation of the goods (02).
    Register,
    /// Taken, and never a word about it.
    Silence,
    /// 429 with `Retry-After` some times, then as [`Scenario::Clear`].
    TooManyRequests,
    /// 503 and 500 by turns some times, then as [`Scenario::Clear`].
    ServerErrors,
    /// The connection is cut after the request was read and nothing is taken; a repeat is as [`Scenario::Clear`].
    Reset,
    /// Taken, but the connection is cut instead of the answer; the notices follow.
    LostAnswer,
    /// The answer takes some seconds.
    Slow,
    /// Every notice comes two or three times.
    Duplicate,
    /// The notices come last first.
    OutOfOrder,
    /// The notices come before the answer.
    Early,
    /// 200 with a body that means nothing, and nothing is taken; a repeat is as [`Scenario::Clear`].
    Junk,
    /// A notice with a code that nobody knows (99), then as [`Scenario::Clear`].
    UnknownCode,
    /// A notice that is cut off in the middle, then as [`Scenario::Clear`].
    Unreadable,
}

/// Every scenario with its name, in the order of the documentation.
const NAMES: [(Scenario, &str); 20] = [
    (Scenario::Accept, "accept"),
    (Scenario::Hold, "hold"),
    (Scenario::Documents, "documents"),
    (Scenario::Duties, "duties"),
    (Scenario::Release, "release"),
    (Scenario::Clear, "clear"),
    (Scenario::Reject, "reject"),
    (Scenario::Register, "register"),
    (Scenario::Silence, "silence"),
    (Scenario::TooManyRequests, "429"),
    (Scenario::ServerErrors, "5xx"),
    (Scenario::Reset, "reset"),
    (Scenario::LostAnswer, "lost-answer"),
    (Scenario::Slow, "slow"),
    (Scenario::Duplicate, "duplicate"),
    (Scenario::OutOfOrder, "out-of-order"),
    (Scenario::Early, "early"),
    (Scenario::Junk, "junk"),
    (Scenario::UnknownCode, "unknown-code"),
    (Scenario::Unreadable, "unreadable"),
];

impl Scenario {
    /// All scenarios, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(scenario, _)| *scenario)
    }

    /// The name used on the command line and in the ledger.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(scenario, _)| *scenario == self).map_or("clear", |(_, name)| name)
    }

    /// How many arrivals of one message meet the fault before the broker behaves, unless an option says otherwise.
    pub(super) fn default_faults(self) -> u32 {
        match self {
            Self::TooManyRequests => 2,
            Self::ServerErrors => 3,
            Self::Reset | Self::Junk => 1,
            _ => 0,
        }
    }

    /// What a pre-lodged declaration (type `IMD`) gets where this is the default: customs cannot accept, tax or release goods
    /// that have not arrived, so an outcome becomes a registration. Faults, silence and rejection stay what they are.
    pub(super) fn for_pre_lodged(self) -> Self {
        match self {
            Self::Accept | Self::Hold | Self::Documents | Self::Duties | Self::Release | Self::Clear => Self::Register,
            other => other,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Scenario {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(scenario, _)| *scenario).ok_or_else(|| {
            let known: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("no such scenario; there are {}", known.join(", "))
        })
    }
}

/// Reads a rule `TEXT=SCENARIO` (the last `=` divides): messages that contain TEXT get that scenario.
///
/// # Errors
/// When there is no `=`, no text, or no such scenario.
pub fn parse_rule(text: &str) -> Result<(String, Scenario), String> {
    let (needle, scenario) = text.rsplit_once('=').ok_or("a rule is TEXT=SCENARIO")?;
    if needle.is_empty() {
        return Err("the text of a rule must not be empty".to_owned());
    }
    Ok((needle.to_owned(), scenario.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_rules_split_at_the_last_equals_sign() {
        for scenario in Scenario::all() {
            assert_eq!(scenario.name().parse::<Scenario>(), Ok(scenario));
        }
        assert_eq!(parse_rule("a=b=5xx"), Ok(("a=b".to_owned(), Scenario::ServerErrors)));
        for bad in ["clear", "=clear", "x=cleared", "x="] {
            assert!(parse_rule(bad).is_err(), "{bad}");
        }
    }
}
