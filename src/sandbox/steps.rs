//! From a scenario to the notices of customs, in order.
//!
//! Why it exists: what happens after a message was taken is a value that can be read and tested; sending it is somebody
//! else's work (`caller.rs`). Pure: no clock, no network, no randomness.
//!
//! The sequences are those of real scenarios: all notices of one decision carry the same second, and an additional message
//! (presentation, cancellation, amendment) is answered under its own reference while its effect is told under the
//! declaration's.

use super::message::Message;
use super::scenario::Scenario;

/// What a notice says; each is one notification of CDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 01: legally accepted.
    Accepted,
    /// 02: registered, or an additional message received.
    Received,
    /// 03: rejected with errors.
    Rejected,
    /// 05: examination intended.
    Control,
    /// 06: documents must be presented by a date.
    Documents,
    /// 08: goods may be released.
    Released,
    /// 09: cleared.
    Cleared,
    /// 10: cancelled on request.
    Cancelled,
    /// 11: an additional message was agreed to.
    Granted,
    /// 13: taxes as they will probably be.
    TaxIndicative,
    /// 13: taxes as they are.
    TaxFinal,
    /// 13: an amount that somebody must pay, with a reference.
    TaxPayable,
    /// 14: the account does not cover the amount.
    BalanceShort,
    /// A code outside of every list.
    Unknown,
}

impl Kind {
    /// `Response/FunctionCode`.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Accepted => "01",
            Self::Received => "02",
            Self::Rejected => "03",
            Self::Control => "05",
            Self::Documents => "06",
            Self::Released => "08",
            Self::Cleared => "09",
            Self::Cancelled => "10",
            Self::Granted => "11",
            Self::TaxIndicative | Self::TaxFinal | Self::TaxPayable => "13",
            Self::BalanceShort => "14",
            Self::Unknown => "99",
        }
    }
}

/// One notice to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// What it says.
    pub kind: Kind,
    /// Whether it is told under the declaration that an additional message is about, not under the message itself.
    pub about_declaration: bool,
    /// How often it is sent.
    pub copies: u8,
    /// Whether it is cut off after three quarters.
    pub cut: bool,
    /// Seconds before the moment of the decision that it says it was issued.
    pub age_s: i64,
}

impl Step {
    fn of(kind: Kind) -> Self {
        Self { kind, about_declaration: false, copies: 1, cut: false, age_s: 0 }
    }
}

const CLEAR: &[Kind] = &[Kind::Accepted, Kind::TaxIndicative, Kind::TaxFinal, Kind::Cleared];

/// The notices that follow `message` in `scenario`; `known` says whether the declaration of an additional message is known here.
pub(super) fn steps(scenario: Scenario, message: &Message, known: bool) -> Vec<Step> {
    let mut steps = match scenario {
        Scenario::Silence => return Vec::new(),
        _ if message.is_additional => additional(scenario, message, known),
        _ => outcome(scenario, message).iter().copied().map(Step::of).collect(),
    };
    match scenario {
        Scenario::Duplicate => {
            for (index, step) in steps.iter_mut().enumerate() {
                step.copies = if index % 2 == 0 { 2 } else { 3 };
            }
        }
        Scenario::OutOfOrder => {
            // Distinct seconds, so that the true order can be known, and the last first.
            for (age_s, step) in (0..).zip(steps.iter_mut().rev()) {
                step.age_s = age_s;
            }
            steps.reverse();
        }
        Scenario::UnknownCode => steps.insert(0, Step::of(Kind::Unknown)),
        Scenario::Unreadable => steps.insert(0, Step { cut: true, ..Step::of(Kind::Accepted) }),
        _ => {}
    }
    steps
}

fn outcome(scenario: Scenario, message: &Message) -> &'static [Kind] {
    match scenario {
        Scenario::Accept => &[Kind::Accepted],
        Scenario::Hold => &[Kind::Accepted, Kind::Control],
        Scenario::Documents => &[Kind::Accepted, Kind::Documents],
        Scenario::Duties => &[Kind::Accepted, Kind::TaxPayable, Kind::BalanceShort],
        Scenario::Release => &[Kind::Accepted, Kind::TaxIndicative, Kind::Released],
        Scenario::Reject => &[Kind::Rejected],
        Scenario::Register => &[Kind::Received],
        Scenario::Clear => CLEAR,
        // After a fault the goods clear, unless they have not even arrived.
        _ if message.is_pre_lodged() => &[Kind::Received],
        _ => CLEAR,
    }
}

fn additional(scenario: Scenario, message: &Message, known: bool) -> Vec<Step> {
    if !known || scenario == Scenario::Reject {
        return vec![Step::of(Kind::Rejected)];
    }
    let about = |kind: &Kind| Step { about_declaration: true, ..Step::of(*kind) };
    let mut steps = vec![Step::of(Kind::Received)];
    match message.type_code.as_str() {
        "GPR" => steps.extend(CLEAR.iter().map(about)),
        "INV" => steps.extend([Step::of(Kind::Granted), about(&Kind::Cancelled)]),
        _ => steps.push(Step::of(Kind::Granted)),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(type_code: &str, is_additional: bool) -> Message {
        Message { lrn: "L".to_owned(), type_code: type_code.to_owned(), mrn: None, is_additional }
    }

    fn codes(scenario: Scenario, message: &Message, known: bool) -> String {
        let codes: Vec<_> = steps(scenario, message, known).iter().map(|step| step.kind.code()).collect();
        codes.join(" ")
    }

    #[test]
    fn each_scenario_has_its_codes() {
        use Scenario::*;
        let arrived = message("IMA", false);
        let table = [
            (Accept, "01"),
            (Hold, "01 05"),
            (Documents, "01 06"),
            (Duties, "01 13 14"),
            (Release, "01 13 08"),
            (Clear, "01 13 13 09"),
            (Reject, "03"),
            (Register, "02"),
            (Silence, ""),
            (TooManyRequests, "01 13 13 09"),
            (Duplicate, "01 13 13 09"),
            (OutOfOrder, "09 13 13 01"),
            (UnknownCode, "99 01 13 13 09"),
            (Unreadable, "01 01 13 13 09"),
        ];
        for (scenario, expected) in table {
            assert_eq!(codes(scenario, &arrived, false), expected, "{scenario}");
        }
        assert_eq!(codes(Reset, &message("IMD", false), false), "02");
    }

    #[test]
    fn additional_messages_are_answered_and_take_effect() {
        let table = [("GPR", true, "02 01 13 13 09"), ("INV", true, "02 11 10"), ("COR", true, "02 11"), ("GPR", false, "03")];
        for (type_code, known, expected) in table {
            assert_eq!(codes(Scenario::Register, &message(type_code, true), known), expected, "{type_code}");
        }
        assert_eq!(codes(Scenario::Reject, &message("INV", true), true), "03");
    }

    #[test]
    fn out_of_order_keeps_the_true_order_in_the_times() {
        let steps = steps(Scenario::OutOfOrder, &message("IMA", false), false);
        let ages: Vec<_> = steps.iter().map(|step| step.age_s).collect();
        assert_eq!(ages, [0, 1, 2, 3]);
    }
}
