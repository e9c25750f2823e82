//! What a broker can do with a message that arrived whole.

use super::Arrival;
use crate::clock;
use crate::wire::{answer_bytes, put};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// Longest time that the broker stays silent.
const SILENCE: Duration = Duration::from_secs(120);

/// One way to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reply {
    /// 202 with a conversation id and no body, after a while.
    Accept(Duration),
    /// The callbacks first, then the 202 after a while; with none, no answer at all; with a status, that one.
    CallFirst(Then),
    /// A status, not taken.
    Status(u16),
    /// A status with `Retry-After` in seconds, not taken.
    After(u16, u32),
    /// The same as an HTTP date.
    AfterDate(u16, u32),
    /// Reset before anything was done.
    CutBefore,
    /// Taken, then reset.
    CutAfter,
    /// Taken, half an answer, then the end of the stream.
    HalfClose,
    /// Taken, the answer comes one byte a second.
    Drip,
    /// Not taken, and silence.
    Hang,
    /// Taken, 200 with something that is no notice.
    Junk,
    /// Taken, 200 with XML that ends in the middle.
    Truncated,
    /// Taken, 200 with an answer without end.
    TooLarge,
}

/// How the answer follows the callbacks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Then {
    /// 202 after a while.
    Accept(Duration),
    /// Reset.
    Cut,
    /// A status.
    Status(u16),
}

/// The eleven kinds of the flapping broker; the first is health.
pub const FAULTS: [(&str, Reply); 11] = [
    ("200", Reply::Accept(Duration::ZERO)),
    ("500", Reply::Status(500)),
    ("503_retry_after", Reply::After(503, 2)),
    ("429", Reply::AfterDate(429, 2)),
    ("reset_before", Reply::CutBefore),
    ("reset_after", Reply::CutAfter),
    ("half_close", Reply::HalfClose),
    ("one_byte_a_second", Reply::Drip),
    ("silence", Reply::Hang),
    ("junk", Reply::Junk),
    ("truncated", Reply::Truncated),
];

impl Reply {
    /// Whether the broker has the message after this, and acts on it.
    pub fn takes(self) -> bool {
        !matches!(self, Reply::Status(_) | Reply::After(..) | Reply::AfterDate(..) | Reply::CutBefore | Reply::Hang)
    }

    /// Whether a gateway that read this answer knows that the message was taken.
    pub fn is_plain(self) -> bool {
        matches!(self, Reply::Accept(_) | Reply::CallFirst(Then::Accept(_)))
    }

    /// How long the whole broker wants to be left alone.
    pub fn hold(self) -> Option<Duration> {
        match self {
            Reply::After(_, seconds) | Reply::AfterDate(_, seconds) => Some(Duration::from_secs(seconds.into())),
            _ => None,
        }
    }

    /// How long before the callbacks begin, when they do not come first.
    pub(super) fn pause(self) -> Duration {
        match self {
            Reply::Accept(pause) => pause + Duration::from_millis(20),
            _ => Duration::from_millis(50),
        }
    }
}

fn accepted(arrival: &Arrival) -> Vec<u8> {
    answer_bytes(202, &[("x-conversation-id".into(), format!("conversation-{}", arrival.message_id))], b"")
}

/// Does it; tells whether the connection can be used for another message. `stamp` notes that the answer begins.
pub(super) async fn perform<S: AsyncWrite + tokio::io::AsyncRead + Unpin>(
    reply: &Reply,
    arrival: &Arrival,
    stream: &mut BufReader<S>,
    stamp: impl Fn(),
) -> bool {
    let xml = |body: &[u8]| answer_bytes(200, &[("content-type".into(), "application/xml".into())], body);
    let notice = format!(r#"<Notice xmlns="urn:preclear:rig:1" code="ACC"><Lrn>{}</Lrn>"#, arrival.lrn);
    let bytes = match *reply {
        Reply::Accept(pause) | Reply::CallFirst(Then::Accept(pause)) => {
            tokio::time::sleep(pause).await;
            accepted(arrival)
        }
        Reply::Status(status) | Reply::CallFirst(Then::Status(status)) => answer_bytes(status, &[], b""),
        Reply::After(status, seconds) => answer_bytes(status, &[("retry-after".into(), seconds.to_string())], b""),
        Reply::AfterDate(status, seconds) => {
            let now = clock::seconds();
            let (date, until) = (clock::http_date(now), clock::http_date(now + i64::from(seconds)));
            answer_bytes(status, &[("date".into(), date), ("retry-after".into(), until)], b"")
        }
        Reply::CutBefore | Reply::CutAfter | Reply::CallFirst(Then::Cut) => {
            stamp();
            return false;
        }
        Reply::HalfClose => {
            stamp();
            put(stream.get_mut(), b"HTTP/1.1 202 Said\r\nx-conversation-id: ").await.ok();
            stream.get_mut().shutdown().await.ok();
            await_end(stream).await;
            return false;
        }
        Reply::Drip => {
            stamp();
            for byte in accepted(arrival) {
                if put(stream.get_mut(), &[byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return true;
        }
        Reply::Hang => {
            await_end(stream).await;
            return false;
        }
        Reply::Junk => answer_bytes(200, &[("content-type".into(), "text/html".into())], b"<html>It works!"),
        Reply::Truncated => xml(notice.as_bytes()),
        Reply::TooLarge => {
            stamp();
            return endless(stream.get_mut()).await;
        }
    };
    stamp();
    put(stream.get_mut(), &bytes).await.is_ok()
}

/// Waits for the peer to go, but not for ever.
async fn await_end<S: tokio::io::AsyncRead + Unpin>(stream: &mut BufReader<S>) {
    let mut byte = [0; 1];
    tokio::time::timeout(SILENCE, stream.read(&mut byte)).await.ok();
}

/// Writes until the peer has enough, at most for as long as silence lasts and 256 MiB.
async fn endless<S: AsyncWrite + Unpin>(stream: &mut S) -> bool {
    let head = b"HTTP/1.1 200 Said\r\ncontent-type: application/xml\r\ncontent-length: 1099511627776\r\n\r\n<a>";
    let (began, block) = (Instant::now(), vec![b' '; 64 * 1024]);
    let mut sent = put(stream, head).await.is_ok();
    for _ in 0..4096 {
        if !sent || began.elapsed() > SILENCE {
            break;
        }
        sent = matches!(tokio::time::timeout(Duration::from_secs(5), put(stream, &block)).await, Ok(Ok(())));
    }
    false
}
