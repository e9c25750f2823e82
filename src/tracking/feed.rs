//! The feed: pages of a post's event log behind an opaque cursor, with a long poll.
//!
//! A cursor says "everything up to here was seen". It is bound to its post and checked, so that a
//! text which this gateway did not give out for that post is malformed (400), never a position in
//! somebody else's log. A cursor older than what is kept is gone (410): the caller learns that it
//! missed something instead of silently skipping it. Positions have no gaps per post (the store's
//! promise), which is why one comparison can tell.
//!
//! Readers that wait are bounded per post, so that one post cannot hold all of them (P9).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::ports::Events;
use crate::error::{ApiError, Code};
use crate::store::{EventPage, StoreError};

/// Events on a page when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most events on a page.
pub const MAX_LIMIT: u32 = 1000;
/// Longest wait of a long poll in seconds.
pub const MAX_WAIT_S: u32 = 60;
/// Readers of one post that may wait at once, long polls and streams together.
pub const MAX_WAITING: usize = 64;

/// Why there is no page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedError {
    /// Not a cursor that was given out for this post.
    #[error("the cursor is malformed")]
    BadCursor,
    /// Events after it are no longer kept.
    #[error("the cursor is older than what is kept")]
    CursorGone,
    /// `limit` or `wait` is outside its bounds.
    #[error("a parameter is out of range")]
    OutOfRange(&'static str),
    /// [`MAX_WAITING`] readers of this post wait already.
    #[error("too many readers wait")]
    TooMany,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::BadCursor => Code::BadCursor.into(),
            FeedError::CursorGone => Code::CursorGone.into(),
            FeedError::OutOfRange(allowed) => Self::new(Code::BadQuery).detail(allowed),
            FeedError::TooMany => Self::new(Code::TooManyRequests).retry_after(5).detail("at most 64 readers of a post may wait at once"),
            FeedError::Store(error) => error.into(),
        }
    }
}

/// A place in a post's log, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub i64);

const VERSION: u8 = 1;

impl Cursor {
    /// The text that the post is given.
    pub fn encode(self, post: &str) -> String {
        let mut bytes = [0u8; 13];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.0.to_be_bytes());
        bytes[9..].copy_from_slice(&check(post, self.0));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that the post sent.
    ///
    /// # Errors
    /// [`FeedError::BadCursor`].
    pub fn decode(post: &str, text: &str) -> Result<Self, FeedError> {
        // The decoder wants room for its estimate.
        let mut bytes = [0u8; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| FeedError::BadCursor)?;
        let mut position = [0u8; 8];
        position.copy_from_slice(&bytes[1..9]);
        let position = i64::from_be_bytes(position);
        let sound = length == 13 && bytes[0] == VERSION && position >= 0 && bytes[9..13] == check(post, position);
        if sound { Ok(Self(position)) } else { Err(FeedError::BadCursor) }
    }
}

/// Not a secret: it catches what was mistyped, cut or taken from another post.
fn check(post: &str, position: i64) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(b"preclear cursor");
    hash.update(position.to_be_bytes());
    hash.update(post.as_bytes());
    let digest = hash.finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// A page on its way to the post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// CloudEvents, each one JSON text, in order.
    pub events: Vec<String>,
    /// The cursor behind the last of them.
    pub next: String,
}

impl FeedPage {
    /// `{"events":[…],"next":"…"}`; the events are the stored bytes, not read again.
    pub fn to_json(&self) -> Bytes {
        let size = self.events.iter().map(|event| event.len() + 1).sum::<usize>() + self.next.len() + 32;
        let mut json = String::with_capacity(size);
        json.push_str("{\"events\":[");
        json.push_str(&self.events.join(","));
        json.push_str("],\"next\":\"");
        json.push_str(&self.next);
        json.push_str("\"}");
        json.into()
    }
}

/// What a post asks of the feed.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeedQuery<'a> {
    /// The cursor; none starts at the oldest event kept.
    pub after: Option<&'a str>,
    /// Most events wanted.
    pub limit: Option<u32>,
    /// Seconds to wait for an event when there is none.
    pub wait_s: Option<u32>,
}

/// The feed of all posts.
pub struct Feed<E> {
    pub(super) events: Arc<E>,
    pub(super) shutdown: CancellationToken,
    waiting: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl<E: Events> Feed<E> {
    /// A feed that stops waiting when the token is cancelled.
    pub fn new(events: Arc<E>, shutdown: CancellationToken) -> Self {
        Self { events, shutdown, waiting: Mutex::default() }
    }

    /// A page; with `wait_s` it is held back until an event comes or the time is over.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn page(&self, post: &str, query: FeedQuery<'_>) -> Result<FeedPage, FeedError> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(FeedError::OutOfRange("limit is from 1 to 1000"));
        }
        let wait = query.wait_s.unwrap_or(0);
        if wait > MAX_WAIT_S {
            return Err(FeedError::OutOfRange("wait is from 0 to 60 seconds"));
        }
        let after = query.after.map(|text| Cursor::decode(post, text)).transpose()?;
        let _place = if wait > 0 { Some(self.waiting_place(post)?) } else { None };
        let mut signal = self.events.events_signal();
        let deadline = tokio::time::sleep(Duration::from_secs(wait.into()));
        tokio::pin!(deadline);
        loop {
            // Seen first, read second: what is committed in between changes the signal again.
            signal.borrow_and_update();
            let page = read(&*self.events, post, after, limit).await?;
            if !page.events.is_empty() || wait == 0 {
                return Ok(page_of(post, page, after));
            }
            tokio::select! {
                () = &mut deadline => return Ok(page_of(post, page, after)),
                () = self.shutdown.cancelled() => return Ok(page_of(post, page, after)),
                changed = signal.changed() => if changed.is_err() {
                    return Ok(page_of(post, page, after));
                },
            }
        }
    }

    /// A place among the readers that wait.
    pub(super) fn waiting_place(&self, post: &str) -> Result<OwnedSemaphorePermit, FeedError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let places = waiting.entry(post.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MAX_WAITING)));
        Arc::clone(places).try_acquire_owned().map_err(|_| FeedError::TooMany)
    }
}

/// Reads after a cursor and judges the cursor by what is kept.
pub(super) async fn read<E: Events>(events: &E, post: &str, after: Option<Cursor>, limit: u32) -> Result<EventPage, FeedError> {
    let page = events.events_after(post, after.map_or(0, |cursor| cursor.0), limit).await?;
    match after {
        Some(Cursor(position)) if position.saturating_add(1) < page.oldest => Err(FeedError::CursorGone),
        Some(Cursor(position)) if position > page.newest => Err(FeedError::BadCursor),
        _ => Ok(page),
    }
}

fn page_of(post: &str, page: EventPage, after: Option<Cursor>) -> FeedPage {
    let end = page.events.last().map(|(position, _)| Cursor(*position)).or(after).unwrap_or(Cursor(page.newest));
    FeedPage { events: page.events.into_iter().map(|(_, json)| json).collect(), next: end.encode(post) }
}
