//! The post's side of the demo: posting, subscribing, listening, asking. Everything goes over the published interface.
//!
//! Why it exists: what the demo shows has to be what a post would see, so nothing is read from the gateway's inside.
//!
//! Invariants: one task per post and purpose, all ended with the demo; the feed is read by its cursor alone, so that an
//! event that is counted was told in order and without a gap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::board::Board;
use super::script::{Expected, Item, POSTS};
use crate::cli::declare::client::{Batch, Client, NoAnswer};
use crate::cli::sink::Sink;
use crate::sandbox::Scenario;

/// The board, and who waits for its changes.
pub(super) type Shared = Arc<watch::Sender<Board>>;

/// How often the states of unsettled items are asked for.
const ASK_EVERY: Duration = Duration::from_millis(120);
/// Declarations at the end of each post's list that go in one batch instead of one by one.
const IN_BATCH: usize = 2;

/// The clients of the four posts, in their order.
pub(super) fn clients(intake: &str) -> Result<Vec<Client>, String> {
    POSTS.iter().map(|post| Client::new(intake, post.key, None).map_err(|fault| fault.to_string())).collect()
}

/// Subscribes each post's sink to all events.
pub(super) async fn subscribe(clients: &[Client], sink: &Sink) -> Result<(), String> {
    for (client, post) in clients.iter().zip(POSTS) {
        let body = json!({ "url": sink.url(post.code), "types": [] }).to_string();
        let answer = client.post("/v1/subscriptions", body).await.map_err(|fault| format!("POST /v1/subscriptions: {fault}"))?;
        let taken = matches!(answer.status, 200 | 201) && sink.trust(post.code, answer.json()["secret"].as_str().unwrap_or_default());
        if !taken {
            return Err(format!("POST /v1/subscriptions: answered {}, without a usable secret", answer.status));
        }
    }
    Ok(())
}

/// Posts everything: the posts side by side, each one declaration after the other and its last ones as a batch.
/// What a broker's `Retry-After` would hold up goes last.
pub(super) async fn post_all(clients: &[Client], board: &Shared) -> Result<Duration, String> {
    let began = Instant::now();
    let posts = clients.iter().enumerate().map(|(post, client)| async move {
        let mut places: Vec<usize> = {
            let board = board.borrow();
            (0..board.rows.len()).filter(|at| board.rows[*at].item.post == post).collect()
        };
        places.sort_by_key(|at| holds_up(&board.borrow().rows[*at].item));
        let (single, batch) = places.split_at(places.len().saturating_sub(IN_BATCH));
        for at in single {
            post_one(client, board, *at).await.map_err(|fault| format!("POST /v1/declarations: {fault}"))?;
        }
        post_batch(client, board, batch).await.map_err(|fault| format!("POST /v1/declarations/batch: {fault}"))
    });
    let done: Vec<Result<(), String>> = futures_util::future::join_all(posts).await;
    done.into_iter().collect::<Result<(), String>>().map(|()| began.elapsed())
}

fn holds_up(item: &Item) -> bool {
    matches!(&item.expected, Expected::Ends { scenario: Scenario::TooManyRequests, .. })
}

fn asked(board: &Shared, at: usize) -> Bytes {
    let mut body = Bytes::new();
    board.send_modify(|board| {
        board.rows[at].asked = Some(Instant::now());
        body = board.rows[at].item.body.clone();
    });
    body
}

async fn post_one(client: &Client, board: &Shared, at: usize) -> Result<(), NoAnswer> {
    let body = asked(board, at);
    let began = Instant::now();
    let answer = client.post("/v1/declarations", body).await?;
    let took = began.elapsed();
    board.send_modify(|board| board.answered(at, answer.status, answer.json(), Some(took)));
    Ok(())
}

async fn post_batch(client: &Client, board: &Shared, places: &[usize]) -> Result<(), NoAnswer> {
    let mut body = BytesMut::new();
    for at in places {
        body.extend_from_slice(&asked(board, *at));
        body.extend_from_slice(b"\n");
    }
    match client.batch(body.freeze()).await? {
        Batch::Refused(answer) => {
            for at in places {
                board.send_modify(|board| board.answered(*at, answer.status, answer.json(), None));
            }
        }
        Batch::Lines(mut lines) => {
            while let Some(mut result) = lines.next().await? {
                let place = result["line"].as_u64().and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
                let Some(at) = place.and_then(|place| places.get(place)) else { continue };
                let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
                let member = if result["declaration"].is_object() { "declaration" } else { "problem" };
                let told = result[member].take();
                board.send_modify(|board| board.answered(*at, status, told, None));
            }
        }
    }
    Ok(())
}

/// Reads a post's feed for ever, from its oldest event on.
pub(super) async fn follow(client: Client, board: Shared) {
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.as_deref().map(|cursor| format!("&after={cursor}")).unwrap_or_default();
        let page = match client.get(&format!("/v1/events?limit=100&wait=20{after}")).await {
            Ok(answer) if answer.status == 200 => answer.json(),
            // The table will show that nothing comes; the log says why.
            _ => {
                tokio::time::sleep(ASK_EVERY).await;
                continue;
            }
        };
        let now = Instant::now();
        let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !events.is_empty() {
            board.send_modify(|board| events.iter().for_each(|event| board.event(event, now)));
        }
        cursor = page["next"].as_str().map(str::to_owned).or(cursor);
    }
}

/// Asks for the states of unsettled items for ever.
pub(super) async fn ask(clients: Vec<Client>, board: Shared) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ask_once(&clients, &board, false).await;
    }
}

/// Asks for the states once; of all items if `all`, else of those that have not got where they should.
pub(super) async fn ask_once(clients: &[Client], board: &Shared, all: bool) {
    let open: Vec<(usize, usize, String)> = {
        let board = board.borrow();
        let rows = board.rows.iter().enumerate().filter(|(_, row)| row.taken() && (all || !row.settled()));
        rows.filter_map(|(at, row)| Some((at, row.item.post, row.declaration_id.clone()?))).collect()
    };
    let mut answers = std::pin::pin!(
        futures_util::stream::iter(open)
            .map(|(at, post, id)| async move { (at, clients[post].get(&format!("/v1/declarations/{id}")).await) })
            .buffer_unordered(4)
    );
    while let Some((at, answer)) = answers.next().await {
        if let Ok(answer) = answer
            && answer.status == 200
        {
            let state: Value = answer.json();
            board.send_modify(|board| board.state(at, &state));
        }
    }
}
