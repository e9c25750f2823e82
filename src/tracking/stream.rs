//! The event stream: server-sent events (WHATWG HTML) over the feed's cursor.
//!
//! `id:` is the cursor, `event:` the type, `data:` the event. Without `Last-Event-ID` it starts now
//! and says at once where "now" is (an id without data), so that a client whose connection breaks
//! before the first event does not miss one. A comment every 15 s keeps proxies from closing it.
//!
//! Memory is bounded: one small page at a time, read when the client has taken the one before.
//! The stream ends at shutdown (its last words are the id to go on from), when the store cannot be read and when the client fell behind what
//! is kept; the client then comes back with its last id and is told by the status.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::feed::{Cursor, Feed, FeedError, read};
use super::ports::Events;
use crate::store::EventPage;

/// Events that are read at once.
const PAGE: u32 = 50;
/// Time between comments when nothing happens.
pub const HEART_BEAT: Duration = Duration::from_secs(15);

/// The body of an event stream; chunks are whole events.
pub struct EventStream(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl Stream for EventStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.as_mut().poll_next(context)
    }
}

struct State<E> {
    events: Arc<E>,
    post: String,
    at: Cursor,
    signal: watch::Receiver<u64>,
    shutdown: CancellationToken,
    greeted: bool,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl<E: Events> Feed<E> {
    /// Opens a stream. What is wrong with the cursor is told now, while there is a status to tell it by.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn stream(&self, post: &str, last_event_id: Option<&str>) -> Result<EventStream, FeedError> {
        let place = self.waiting_place(post)?;
        let signal = self.events.events_signal();
        let after = last_event_id.map(|text| Cursor::decode(post, text)).transpose()?;
        let page = read(&*self.events, post, after, 1).await?;
        let state = State {
            events: Arc::clone(&self.events),
            post: post.to_owned(),
            at: after.unwrap_or(Cursor(page.newest)),
            signal,
            shutdown: self.shutdown.clone(),
            greeted: false,
            ended: false,
            _place: place,
        };
        Ok(EventStream(Box::pin(futures_util::stream::unfold(state, next))))
    }
}

async fn next<E: Events>(mut state: State<E>) -> Option<(Bytes, State<E>)> {
    if !state.greeted {
        state.greeted = true;
        let greeting = format!("retry: 2000\nid: {}\n\n", state.at.encode(&state.post));
        return Some((greeting.into(), state));
    }
    let heart_beat = tokio::time::sleep(HEART_BEAT);
    tokio::pin!(heart_beat);
    loop {
        if state.shutdown.is_cancelled() {
            return goodbye(state);
        }
        state.signal.borrow_and_update();
        let page = read(&*state.events, &state.post, Some(state.at), PAGE).await.ok()?;
        if let Some((last, _)) = page.events.last() {
            let end = Cursor(*last);
            let chunk = render(&state.post, &page);
            state.at = end;
            return Some((chunk, state));
        }
        tokio::select! {
            () = state.shutdown.cancelled() => return goodbye(state),
            () = &mut heart_beat => return Some((Bytes::from_static(b": still here\n\n"), state)),
            changed = state.signal.changed() => changed.ok()?,
        }
    }
}

/// The last words of a stream that the process ends: where to go on. Also for a client that has seen no event on it.
fn goodbye<E>(mut state: State<E>) -> Option<(Bytes, State<E>)> {
    if std::mem::replace(&mut state.ended, true) {
        return None;
    }
    let id = state.at.encode(&state.post);
    Some((format!("id: {id}\n\n").into(), state))
}

#[derive(serde::Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
}

fn render(post: &str, page: &EventPage) -> Bytes {
    let mut text = String::new();
    for (position, json) in &page.events {
        let kind = serde_json::from_str::<Typed<'_>>(json).map(|typed| typed.kind).unwrap_or_default();
        text.push_str("id: ");
        text.push_str(&Cursor(*position).encode(post));
        if !kind.is_empty() && !kind.contains(['\r', '\n']) {
            text.push_str("\nevent: ");
            text.push_str(&kind);
        }
        // One line each: a line end inside would end the field.
        for line in json.split(['\r', '\n']).filter(|line| !line.is_empty()) {
            text.push_str("\ndata: ");
            text.push_str(line);
        }
        text.push_str("\n\n");
    }
    text.into()
}
