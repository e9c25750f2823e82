//! What an answer to a question is, judged once.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::delivery::{ChannelFault, TokenFault};
use crate::domain::time::Timestamp;
use crate::net::client::Exchange;

/// Why a round ended early: a word of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    /// How long the broker wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Whether it may be this one question's: the next may fare better.
    pub(super) alone: bool,
}

impl Failure {
    pub(super) const fn new(reason: &'static str) -> Self {
        Self { reason, retry_after: None, alone: false }
    }

    const fn alone(reason: &'static str) -> Self {
        Self { reason, retry_after: None, alone: true }
    }
}

/// An answer with something in it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content_type: String,
    pub(super) conversation: Option<String>,
    pub(super) body: Bytes,
}

/// An answer that says nothing against the channel.
#[derive(Debug)]
pub(super) enum Seen {
    Body(Body),
    /// 2xx without a body.
    Nothing,
    /// 404 or 410.
    Gone,
    /// Another 4xx that speaks of this one question, or more bytes than are read.
    Refused,
}

/// Judges an exchange; with the status that was read.
pub(super) fn judge(
    exchange: Result<Exchange, TokenFault>,
    conversation_header: Option<&str>,
    now: Timestamp,
) -> Result<(Seen, u16), Failure> {
    let failed = |reason| Err(Failure::new(reason));
    let reply = match exchange {
        Err(fault) => return failed(ChannelFault::Token(fault).as_str()),
        Ok(Exchange::NotSent(fault)) => return failed(ChannelFault::NotConnected(fault).as_str()),
        Ok(Exchange::NotBegun | Exchange::Cut) => return Err(Failure::alone("cut")),
        Ok(Exchange::Silence) => return Err(Failure::alone("silence")),
        Ok(Exchange::Answered(reply)) => reply,
    };
    let code = reply.code;
    let seen = match code {
        200..=299 if reply.too_long => Seen::Refused,
        200..=299 if !reply.complete => return Err(Failure::alone("incomplete_reply")),
        200..=299 if reply.body.iter().all(u8::is_ascii_whitespace) => Seen::Nothing,
        200..=299 => Seen::Body(Body {
            content_type: reply.content_type().to_owned(),
            conversation: conversation_header.and_then(|name| reply.header(name)).map(str::to_owned),
            body: reply.body,
        }),
        404 | 410 => Seen::Gone,
        408 | 425 | 429 | 503 => return Err(Failure { retry_after: reply.retry_after(now), ..Failure::new("not_now") }),
        300..=399 | 401..=403 | 407 => return failed(ChannelFault::Status(code).as_str()),
        400..=499 => Seen::Refused,
        _ => return Err(Failure::alone("server_error")),
    };
    Ok((seen, code))
}

/// Whether a notice is off the list: it was taken off, or is not on it any more.
pub(super) const fn acknowledged(code: u16) -> bool {
    matches!(code, 200..=299 | 404 | 410)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::client::Reply;

    #[test]
    fn what_is_answered_is_judged_for_every_status() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |code: u16, body: &[u8]| judge(Ok(Exchange::Answered(Reply::of(code, &[("retry-after", "7")], body))), None, now);
        for code in 100..=999u16 {
            let word = match of(code, b"x") {
                Ok((Seen::Body(_), _)) => "body",
                Ok((Seen::Nothing, _)) => "nothing",
                Ok((Seen::Gone, _)) => "gone",
                Ok((Seen::Refused, _)) => "refused",
                Err(Failure { alone: true, .. }) => "alone",
                Err(Failure { retry_after: Some(_), .. }) => "later",
                Err(_) => "channel",
            };
            let expected = match code {
                200..=299 => "body",
                404 | 410 => "gone",
                408 | 425 | 429 | 503 => "later",
                300..=399 | 401..=403 | 407 => "channel",
                400..=499 => "refused",
                _ => "alone",
            };
            assert_eq!(word, expected, "{code}");
        }
        assert!(matches!(of(200, b" \n"), Ok((Seen::Nothing, 200))));
        let unfinished = |too_long| {
            let mut reply = Reply::of(200, &[], b"x");
            (reply.complete, reply.too_long) = (false, too_long);
            judge(Ok(Exchange::Answered(reply)), None, now)
        };
        assert!(matches!(unfinished(true), Ok((Seen::Refused, _))), "more than is read");
        assert!(unfinished(false).is_err());
        let token = judge(Err(TokenFault::Refused), None, now).map(drop);
        assert_eq!(token, Err(Failure::new("token_refused")));
    }
}
