//! The broker calling back: each notice until it is taken, with every answer written down.

use super::{Desk, lock};
use crate::client::Ask;
use crate::config::BROKER;
use crate::notice::Notice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a broker tries to be heard.
const PATIENCE: Duration = Duration::from_secs(300);

/// One callback and what became of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The item that it is about.
    pub item: String,
    /// The notice.
    pub notice: Notice,
    /// Every status that it was answered with, in order; the last is 2xx when it was taken.
    pub statuses: Vec<u16>,
    /// Tries that ended without an answer.
    pub cut: usize,
    /// When it was first sent.
    pub first: Instant,
}

impl Told {
    /// Whether it was taken in the end.
    pub fn is_taken(&self) -> bool {
        self.statuses.last().is_some_and(|status| status / 100 == 2)
    }
}

impl Desk {
    /// Begins to speak in the background, after the answer has had time to leave.
    pub(super) fn call(self: Arc<Desk>, item: String, plan: Vec<(Duration, Notice)>, pause: Duration) {
        if plan.is_empty() {
            return;
        }
        self.telling.fetch_add(plan.len(), Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            self.say(item, plan).await;
        });
    }

    /// Says one after another; the caller has counted them as not yet told.
    pub(super) async fn say(&self, item: String, plan: Vec<(Duration, Notice)>) {
        for (pause, notice) in plan {
            tokio::time::sleep(pause).await;
            self.tell(item.clone(), notice).await;
            self.telling.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Says one notice until it is taken.
    pub(super) async fn tell(&self, item: String, notice: Notice) {
        let path = format!("/v1/brokers/{BROKER}/notices");
        let body = notice.xml();
        let headers = [("content-type", "application/xml; charset=UTF-8")];
        let mut told = Told { item, notice, statuses: Vec::new(), cut: 0, first: Instant::now() };
        while told.first.elapsed() < PATIENCE && !told.is_taken() {
            let answer = {
                let Ok(_line) = self.lines.acquire().await else { return };
                let ask = Ask { method: "POST", path: &path, headers: &headers, body: body.as_bytes() };
                self.voice.ask(ask, Duration::from_secs(10)).await
            };
            match answer {
                Ok(answer) => told.statuses.push(answer.status),
                Err(_) => told.cut += 1,
            }
            if !told.is_taken() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        lock(&self.told).push(told);
    }
}
