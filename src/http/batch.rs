//! NDJSON in, NDJSON out, both at once: a batch has no end, so nothing waits for it.
//!
//! One result line per input line, in order; a bad line never stops the rest. Up to
//! `MAX_OPEN_LINES` lines are worked on at the same time, which is what lets many of them share
//! one commit; the reader waits when that many are open, so memory stays bounded.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, Stream, StreamExt};
use serde::Serialize;
use serde_json::value::RawValue;

use super::common::Draining;
use crate::domain::ids::ConversationId;
use crate::error::{ApiError, Code, Problem};
use crate::intake::{Intake, PostProfile, Submission};

/// Lines of one batch that are worked on at the same time.
const MAX_OPEN_LINES: usize = 256;
/// Result bytes that are joined into one chunk of the answer.
const CHUNK_BYTES: usize = 16 * 1024;

/// What a batch needs of its request.
pub struct BatchContext {
    /// The station.
    pub intake: Arc<Intake>,
    /// Who sends.
    pub post: Arc<PostProfile>,
    /// Conversation of the request; every line belongs to it.
    pub conversation_id: ConversationId,
    /// W3C trace parent.
    pub traceparent: Option<String>,
    /// Longest line in bytes.
    pub max_line_bytes: usize,
    /// Longest silence of the sender.
    pub idle: Duration,
    /// Whether the process is ending.
    pub draining: Draining,
}

#[derive(Serialize)]
struct ResultLine<'a> {
    line: u64,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    declaration: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem<'a>>,
}

struct Batch {
    context: BatchContext,
    payload: Payload,
    buffer: BytesMut,
    searched: usize,
    skipping: bool,
    ended: bool,
    line: u64,
    open: FuturesOrdered<LocalBoxFuture<'static, Bytes>>,
}

/// The result lines of a batch, as they become ready.
pub fn results(context: BatchContext, payload: Payload) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let batch = Batch {
        context,
        payload,
        buffer: BytesMut::new(),
        searched: 0,
        skipping: false,
        ended: false,
        line: 0,
        open: FuturesOrdered::new(),
    };
    futures_util::stream::unfold(batch, |mut batch| async move { batch.next_chunk().await.map(|chunk| (Ok(chunk), batch)) })
}

impl Batch {
    /// The next ready results, joined; `None` when the batch is over.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            self.open_lines();
            let may_read = !self.ended && self.open.len() < MAX_OPEN_LINES;
            tokio::select! {
                biased;
                Some(first) = self.open.next(), if !self.open.is_empty() => return Some(self.with_more(first)),
                chunk = tokio::time::timeout(self.context.idle, self.payload.next()), if may_read => self.take(chunk),
                else => return None,
            }
        }
    }

    /// Adds further results that are ready now.
    fn with_more(&mut self, first: Bytes) -> Bytes {
        let mut chunk = BytesMut::from(first.as_ref());
        while chunk.len() < CHUNK_BYTES {
            match self.open.next().now_or_never() {
                Some(Some(more)) => chunk.extend_from_slice(&more),
                _ => break,
            }
        }
        chunk.freeze()
    }

    fn take(&mut self, chunk: Result<Option<Result<Bytes, actix_web::error::PayloadError>>, tokio::time::error::Elapsed>) {
        match chunk {
            Ok(Some(Ok(bytes))) => self.buffer.extend_from_slice(&bytes),
            Ok(None) => self.end(),
            Ok(Some(Err(_))) => {
                self.ended = true;
                self.refuse(
                    ApiError::new(Code::BadHeader).detail("The body ended before it was complete; lines after this one were not read."),
                );
            }
            Err(_) => {
                self.ended = true;
                self.refuse(Code::RequestTimeout.into());
            }
        }
    }

    /// Starts work on the complete lines in the buffer, as many as may be open.
    fn open_lines(&mut self) {
        while self.open.len() < MAX_OPEN_LINES {
            let Some(end) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') else {
                self.searched = self.buffer.len();
                break;
            };
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.open_line(line.slice(..line.len() - 1));
        }
        if self.searched == self.buffer.len() && self.buffer.len() > self.context.max_line_bytes {
            if !self.skipping {
                self.skipping = true;
                let limit = self.context.max_line_bytes;
                self.refuse(ApiError::new(Code::BodyTooLarge).detail(format!("A line has at most {limit} bytes.")));
            }
            self.buffer.clear();
            self.searched = 0;
        }
    }

    /// The body is over: what is left is the last line.
    fn end(&mut self) {
        self.ended = true;
        let rest = self.buffer.split().freeze();
        self.searched = 0;
        // What follows the last line end is a line only when there is something.
        if !std::mem::take(&mut self.skipping) && !rest.iter().all(u8::is_ascii_whitespace) {
            self.open_line(rest);
        }
    }

    fn open_line(&mut self, line: Bytes) {
        self.line += 1;
        let number = self.line;
        if self.context.draining.is_on() {
            self.ended = true;
            self.buffer.clear();
            self.line -= 1;
            return self.refuse(ApiError::new(Code::Draining).detail("The process is ending; send this line and those after it again."));
        }
        if line.len() > self.context.max_line_bytes {
            self.line -= 1;
            let limit = self.context.max_line_bytes;
            return self.refuse(ApiError::new(Code::BodyTooLarge).detail(format!("A line has at most {limit} bytes.")));
        }
        let intake = Arc::clone(&self.context.intake);
        let conversation_id = self.context.conversation_id;
        let submission = Submission {
            post: Arc::clone(&self.context.post),
            body: line,
            key: None,
            conversation_id,
            traceparent: self.context.traceparent.clone(),
        };
        let work = async move {
            match intake.declare(submission).await {
                Ok(taken) => {
                    let declaration = serde_json::from_slice::<&RawValue>(&taken.answer).ok();
                    let status = if taken.replayed { 200 } else { 202 };
                    render(&ResultLine { line: number, status, declaration, problem: None })
                }
                Err(mut error) => {
                    if error.code == Code::MalformedJson {
                        error.detail = error.detail.replace("at line 1, ", "in this line, ").into();
                    }
                    refusal(number, &error, conversation_id)
                }
            }
        };
        self.open.push_back(work.boxed_local());
    }

    /// Answers the next line with an error.
    fn refuse(&mut self, error: ApiError) {
        self.line += 1;
        let line = refusal(self.line, &error, self.context.conversation_id);
        self.open.push_back(std::future::ready(line).boxed_local());
    }
}

fn refusal(line: u64, error: &ApiError, conversation_id: ConversationId) -> Bytes {
    render(&ResultLine { line, status: error.code.status(), declaration: None, problem: Some(error.problem(conversation_id)) })
}

fn render(line: &ResultLine<'_>) -> Bytes {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
