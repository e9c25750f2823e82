//! The delivery state of a message, and what happened on the wire: ours alone, never a customs decision.
//!
//! Why it exists: what happened on the wire is judged once, here, by the table of the product
//! description, and stays typed to the end. The lane that carries bytes decides nothing.
//!
//! Invariants: what cannot be *known* to have happened before the first byte of the message left us
//! is in doubt; a fault of the channel (who we are, where we send) is never a fault of a message and
//! kills none; a message that was once in doubt stays so until something resolves it, whatever a
//! later try says.
//!
//! Must not: read a clock, hold a foreign text, look at bytes.

use std::time::Duration;

use crate::choice;

choice! {
    /// Delivery state of one message.
    pub enum DeliveryState {
        /// Waits for data or an event (reason `transport` or `presentation`).
        Waiting = "waiting",
        /// Due to be sent.
        Queued = "queued",
        /// Being sent; after a crash it is in doubt.
        Sending = "sending",
        /// The broker has it.
        Delivered = "delivered",
        /// Sent with unknown outcome.
        InDoubt = "in_doubt",
        /// Given up; a person has to act (reason `refused`, `exhausted`, `unresolved`).
        Dead = "dead",
        /// Taken back before it was sent, or by an operator after it was given up.
        Withdrawn = "withdrawn",
    }
}
choice! {
    /// Why a message is dead.
    pub enum DeadReason {
        /// The broker refused it technically.
        Refused = "refused",
        /// The give-up time passed.
        Exhausted = "exhausted",
        /// Sent with unknown outcome that nothing can resolve.
        Unresolved = "unresolved",
    }
}
choice! {
    /// What a message asks of the broker.
    pub enum MessageKind {
        /// The declaration itself.
        Declaration = "declaration",
        /// Corrects an accepted declaration.
        Amendment = "amendment",
        /// Takes it back.
        Cancellation = "cancellation",
        /// Tells that the goods arrived.
        Presentation = "presentation",
        /// Answers a request for documents or information.
        Answer = "answer",
        /// Asks for the status.
        Query = "query",
    }
}

impl DeliveryState {
    /// Whether a message in this state may go over to `next`.
    ///
    /// `sending` goes back to `queued` when nothing was taken. A verdict of customs proves that the
    /// broker has the message, whatever we thought of it; a technical refusal may come later in a
    /// callback; a message in doubt that the broker says it does not have is queued again; a dead message lives again only
    /// through an operator, who may also take it back or have it made anew; `withdrawn` is the end.
    pub const fn may_become(self, next: Self) -> bool {
        use DeliveryState::{Dead, Delivered, InDoubt, Queued, Sending, Waiting, Withdrawn};
        match self {
            Waiting => matches!(next, Queued | Withdrawn),
            Queued => matches!(next, Sending | Delivered | Withdrawn),
            Sending => matches!(next, Queued | Delivered | InDoubt | Dead),
            InDoubt => matches!(next, Sending | Delivered | Dead | Queued),
            Delivered => matches!(next, Dead),
            Dead => matches!(next, Queued | Delivered | Withdrawn),
            Withdrawn => false,
        }
    }
}

/// Why no byte of the message left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFault {
    /// The name was not resolved.
    Dns,
    /// No connection.
    Connect,
    /// The TLS handshake failed, on their side or ours.
    Tls,
    /// No connection in time.
    Timeout,
    /// The request could not be made: a header of the mapping or the address is unfit.
    Request,
}

/// Why there is no token to send a message with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// The server that gives out tokens does not answer, or not now.
    Unavailable,
    /// It does not believe our id and secret, or refuses what we ask for.
    Refused,
    /// Its answer is no token.
    Unreadable,
}

/// What the mapping made of the body of a 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyVerdict {
    /// The broker has the message.
    Taken,
    /// The reply says in its own words that the message was refused technically.
    Refused,
    /// Not what the mapping reads, or empty where the mapping demands a reply.
    Unreadable,
    /// Cut off, too long, or not whole in time.
    Incomplete,
}

/// What was seen on the wire of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireResult {
    /// There was nothing to prove ourselves with, so that nothing was sent.
    NotAuthorised(TokenFault),
    /// No connection, so that no byte of the message left us.
    NotSent(ConnectFault),
    /// A connection took nothing: it ended, or the broker gave the stream back, before the message was begun.
    NotBegun,
    /// A status was read.
    Answered {
        /// HTTP status.
        code: u16,
        /// `Retry-After`, clamped by [`super::retry::retry_after`].
        retry_after: Option<Duration>,
        /// What the mapping made of the body; counts for 2xx only.
        reply: ReplyVerdict,
    },
    /// Reset or closed after the first byte, before a status.
    Cut,
    /// No status in time, after the first byte.
    Silence,
}

/// Why the channel, not the message, is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelFault {
    /// No connection.
    NotConnected(ConnectFault),
    /// No token.
    Token(TokenFault),
    /// A status that speaks of who we are, where we send or how we talk.
    Status(u16),
}

impl ChannelFault {
    /// A word for operators and for the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected(ConnectFault::Dns) => "dns",
            Self::NotConnected(ConnectFault::Connect) => "connect",
            Self::NotConnected(ConnectFault::Tls) => "tls",
            Self::NotConnected(ConnectFault::Timeout) => "connect_timeout",
            Self::NotConnected(ConnectFault::Request) => "request",
            Self::Token(TokenFault::Unavailable) => "token_unavailable",
            Self::Token(TokenFault::Refused) => "token_refused",
            Self::Token(TokenFault::Unreadable) => "token_unreadable",
            Self::Status(300..=399) => "redirect",
            Self::Status(401) => "unauthorized",
            Self::Status(403) => "forbidden",
            Self::Status(404 | 410) => "not_found",
            Self::Status(407 | 511) => "proxy",
            Self::Status(_) => "http_status",
        }
    }
}

/// Why the outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Cut after the first byte.
    Cut,
    /// Silence.
    Silence,
    /// A status that leaves it open (500, 502, 504 and the like).
    Status,
    /// A 2xx whose reply could not be read.
    UnreadableReply,
    /// A 2xx whose reply did not come whole.
    IncompleteReply,
}

/// What one try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has the message.
    Delivered,
    /// Refused technically: sending it again cannot help.
    Refused,
    /// The channel's fault: no attempt spent, the breaker opens.
    ChannelFault(ChannelFault),
    /// Not taken: to be tried again.
    NotTaken {
        /// How long the whole broker wants to be left alone.
        hold: Option<Duration>,
        /// Whether the try counts: flow control (429, or a time to come back) does not.
        spent: bool,
    },
    /// Unknown.
    InDoubt(Doubt),
}

impl Outcome {
    /// How long the whole broker wants to be left alone.
    pub const fn hold(self) -> Option<Duration> {
        match self {
            Self::NotTaken { hold, .. } => hold,
            _ => None,
        }
    }

    /// The word for metrics: one of five.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::ChannelFault(_) => "channel_fault",
            Self::NotTaken { .. } => "not_taken",
            Self::InDoubt(_) => "in_doubt",
        }
    }

    /// The word for the record of attempts: the reason too, where there is one.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::ChannelFault(fault) => fault.as_str(),
            Self::NotTaken { spent: true, .. } => "not_taken",
            Self::NotTaken { spent: false, .. } => "held_off",
            Self::InDoubt(Doubt::Cut) => "cut",
            Self::InDoubt(Doubt::Silence) => "silence",
            Self::InDoubt(Doubt::Status) => "in_doubt",
            Self::InDoubt(Doubt::UnreadableReply) => "unreadable_reply",
            Self::InDoubt(Doubt::IncompleteReply) => "incomplete_reply",
        }
    }
}

/// Judges one try (product description, "What an outcome means").
///
/// Statuses outside that table: a 4xx that speaks of the endpoint, the method or the headers (402,
/// 405, 406, 410, 411, 414, 421, 426, 428, 431, 451), 501, 505 and 511 would be the same for every
/// message, so they are the channel's; any other 4xx counts as 400 (RFC 9110, 15.5), any other status
/// as 500 (15.6).
pub const fn classify(wire: &WireResult) -> Outcome {
    match *wire {
        WireResult::NotAuthorised(fault) => Outcome::ChannelFault(ChannelFault::Token(fault)),
        WireResult::NotSent(fault) => Outcome::ChannelFault(ChannelFault::NotConnected(fault)),
        WireResult::NotBegun => Outcome::NotTaken { hold: None, spent: false },
        WireResult::Cut => Outcome::InDoubt(Doubt::Cut),
        WireResult::Silence => Outcome::InDoubt(Doubt::Silence),
        WireResult::Answered { code, retry_after, reply } => classify_status(code, retry_after, reply),
    }
}

const fn classify_status(code: u16, retry_after: Option<Duration>, reply: ReplyVerdict) -> Outcome {
    match code {
        200..=299 => match reply {
            ReplyVerdict::Taken => Outcome::Delivered,
            ReplyVerdict::Refused => Outcome::Refused,
            ReplyVerdict::Unreadable => Outcome::InDoubt(Doubt::UnreadableReply),
            ReplyVerdict::Incomplete => Outcome::InDoubt(Doubt::IncompleteReply),
        },
        429 => Outcome::NotTaken { hold: retry_after, spent: false },
        503 => Outcome::NotTaken { hold: retry_after, spent: retry_after.is_none() },
        408 | 425 => Outcome::NotTaken { hold: None, spent: true },
        300..=399 | 401..=407 | 410 | 411 | 414 | 421 | 426 | 428 | 431 | 451 | 501 | 505 | 511 => {
            Outcome::ChannelFault(ChannelFault::Status(code))
        }
        400..=499 => Outcome::Refused,
        _ => Outcome::InDoubt(Doubt::Status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

    fn status(code: u16, retry_after: Option<Duration>, reply: ReplyVerdict) -> Outcome {
        classify(&WireResult::Answered { code, retry_after, reply })
    }

    #[test]
    fn the_outcome_table_holds_for_every_status() {
        let mut seen = [0u32; 5];
        for code in 100..=999u16 {
            // The words of the product description, then those that it leaves to us.
            let expected = match code {
                200..=299 => "delivered",
                400 | 409 | 413 | 415 | 422 => "refused",
                401 | 403 | 404 | 407 | 300..=399 => "channel_fault",
                408 | 425 | 429 | 503 => "not_taken",
                500 | 502 | 504 => "in_doubt",
                402 | 405 | 406 | 410 | 411 | 414 | 421 | 426 | 428 | 431 | 451 | 501 | 505 | 511 => "channel_fault",
                400..=499 => "refused",
                _ => "in_doubt",
            };
            let outcome = status(code, None, ReplyVerdict::Taken);
            assert_eq!(outcome.as_str(), expected, "{code}");
            let words = ["delivered", "refused", "channel_fault", "not_taken", "in_doubt"];
            seen[words.iter().position(|word| *word == expected).expect("a word")] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0));
    }

    #[test]
    fn a_2xx_counts_only_as_the_mapping_reads_it() {
        for (reply, expected) in [
            (ReplyVerdict::Taken, Outcome::Delivered),
            (ReplyVerdict::Refused, Outcome::Refused),
            (ReplyVerdict::Unreadable, Outcome::InDoubt(Doubt::UnreadableReply)),
            (ReplyVerdict::Incomplete, Outcome::InDoubt(Doubt::IncompleteReply)),
        ] {
            assert_eq!(status(202, None, reply), expected);
        }
    }

    #[test]
    fn flow_control_spends_nothing_and_only_429_and_503_hold_the_broker() {
        for (code, retry_after, hold, spent) in [
            (429, None, None, false),
            (429, MINUTE, MINUTE, false),
            (503, None, None, true),
            (503, MINUTE, MINUTE, false),
            (408, MINUTE, None, true),
            (425, MINUTE, None, true),
        ] {
            assert_eq!(status(code, retry_after, ReplyVerdict::Taken), Outcome::NotTaken { hold, spent }, "{code}");
        }
    }

    #[test]
    fn only_what_never_left_us_is_the_channels_fault() {
        for (fault, word) in [
            (ConnectFault::Dns, "dns"),
            (ConnectFault::Connect, "connect"),
            (ConnectFault::Tls, "tls"),
            (ConnectFault::Timeout, "connect_timeout"),
            (ConnectFault::Request, "request"),
        ] {
            assert_eq!(classify(&WireResult::NotSent(fault)).detail(), word);
        }
        for (fault, word) in [
            (TokenFault::Unavailable, "token_unavailable"),
            (TokenFault::Refused, "token_refused"),
            (TokenFault::Unreadable, "token_unreadable"),
        ] {
            let outcome = classify(&WireResult::NotAuthorised(fault));
            assert_eq!((outcome.as_str(), outcome.detail()), ("channel_fault", word));
        }
        assert_eq!(classify(&WireResult::NotBegun), Outcome::NotTaken { hold: None, spent: false });
        assert_eq!(classify(&WireResult::Cut), Outcome::InDoubt(Doubt::Cut));
        assert_eq!(classify(&WireResult::Silence), Outcome::InDoubt(Doubt::Silence));
    }

    #[test]
    fn every_move_between_states_is_known() {
        // Rows: from; columns: waiting, queued, sending, delivered, in_doubt, dead, withdrawn.
        let table = [
            (DeliveryState::Waiting, [0, 1, 0, 0, 0, 0, 1]),
            (DeliveryState::Queued, [0, 0, 1, 1, 0, 0, 1]),
            (DeliveryState::Sending, [0, 1, 0, 1, 1, 1, 0]),
            (DeliveryState::Delivered, [0, 0, 0, 0, 0, 1, 0]),
            (DeliveryState::InDoubt, [0, 1, 1, 1, 0, 1, 0]),
            (DeliveryState::Dead, [0, 1, 0, 1, 0, 0, 1]),
            (DeliveryState::Withdrawn, [0, 0, 0, 0, 0, 0, 0]),
        ];
        assert_eq!(table.len(), DeliveryState::ALL.len());
        for (from, row) in table {
            for (to, allowed) in DeliveryState::ALL.iter().zip(row) {
                assert_eq!(from.may_become(*to), allowed == 1, "{from} to {to}");
            }
        }
    }
}
