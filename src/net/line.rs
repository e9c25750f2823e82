//! A broker's line: what everything that goes to one broker shares, whoever sends it.
//!
//! Why it exists: the forwarder sends messages and the callback station asks for notices, and neither
//! may call the other; but the broker counts both in one permit, knows both by one certificate and one
//! token, and wants both to be quiet while it is down. The forwarder's lane owns the line and says how
//! it stands; whoever asks questions only uses it.
//!
//! Invariants: nothing goes to the wire without a permit of the broker; a question goes only while the
//! lane would send (not paused, not disabled, no breaker open, not held); when permits are short, a
//! question that waits gets the next one, and messages the rest.
//!
//! Must not: know what a message or an answer means, retry, or log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::{Ask, BrokerClient, Exchange};
use super::permits::Permits;
use crate::config::Rate;
use crate::domain::delivery::TokenFault;

/// How a line stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It may be used, from an instant on when one is given.
    Open {
        /// By this client.
        client: Box<BrokerClient>,
        /// Not before.
        from: Option<Instant>,
    },
    /// It may not be used.
    Shut,
}

/// The line of one broker.
#[derive(Debug)]
pub struct Line {
    rate: Rate,
    /// Taken before a message is begun, so that what waits is not begun.
    permits: ArcSwap<Permits>,
    /// Taken just before the wire: evens out what was delayed between the two.
    wire: ArcSwap<Permits>,
    standing: watch::Sender<Standing>,
    held_until: Mutex<Option<Instant>>,
    /// A question waits for a permit.
    owed: AtomicBool,
}

impl Line {
    /// A line that is shut and has no permit in hand.
    pub fn new(rate: &Rate) -> Self {
        Self {
            rate: rate.clone(),
            permits: ArcSwap::from_pointee(Permits::empty(rate)),
            wire: ArcSwap::from_pointee(Permits::empty(rate)),
            standing: watch::Sender::new(Standing::Shut),
            held_until: Mutex::default(),
            owed: AtomicBool::new(false),
        }
    }

    /// Begins anew without a permit in hand: after a pause.
    pub fn empty(&self) {
        self.permits.store(Permits::empty(&self.rate).into());
        self.wire.store(Permits::empty(&self.rate).into());
    }

    /// Takes a permit for a message, or says how long there is none.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&self) -> Result<(), Duration> {
        if self.owed.load(Ordering::SeqCst) {
            return Err(self.permits.load().period());
        }
        self.permits.load().take()
    }

    /// Waits for the permit at the wire, after [`Line::take`].
    pub async fn wire(&self) {
        // Loaded anew each time: a resume in between leaves no old permit behind.
        loop {
            let taken = self.wire.load().take();
            let Err(wait) = taken else { return };
            sleep(wait).await;
        }
    }

    /// Says how the line stands from now on.
    pub fn publish(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    /// The broker asked to be left alone for a while, in its answer to a question.
    pub fn hold(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut held = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    /// Until when the broker asked to be left alone in its answers to questions; none when that is over.
    pub fn held_until(&self) -> Option<Instant> {
        let held = *self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|until| *until > Instant::now())
    }

    /// Asks the broker once: waits until the line may be used, takes a permit, asks. A token that the
    /// broker refuses is fetched anew once, and the question asked again under a permit of its own.
    ///
    /// # Errors
    /// There is nothing to prove ourselves with.
    pub async fn ask(&self, ask: Ask) -> Result<Exchange, TokenFault> {
        let mut client = self.client().await;
        let grant = client.grant().await?;
        self.question_permit().await;
        // While we waited the line may have been shut, or got another client.
        client = self.client().await;
        self.wire().await;
        let exchange = client.ask(ask.clone(), &grant).await;
        if !matches!(&exchange, Exchange::Answered(reply) if reply.code == 401) {
            return Ok(exchange);
        }
        let Some(grant) = client.renew(&grant).await else { return Ok(exchange) };
        self.question_permit().await;
        self.wire().await;
        Ok(client.ask(ask, &grant).await)
    }

    /// Waits until the line may be used.
    async fn client(&self) -> BrokerClient {
        let mut standing = self.standing.subscribe();
        loop {
            let until = match &*standing.borrow_and_update() {
                Standing::Open { client, from } => {
                    let until = (*from).max(self.held_until()).filter(|until| *until > Instant::now());
                    if until.is_none() {
                        return client.as_ref().clone();
                    }
                    until
                }
                Standing::Shut => None,
            };
            tokio::select! {
                // The sender lives as long as we do.
                _ = standing.changed() => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }

    async fn question_permit(&self) {
        let owed = Owed(&self.owed);
        loop {
            let taken = self.permits.load().take();
            let Err(wait) = taken else { return };
            owed.0.store(true, Ordering::SeqCst);
            sleep(wait).await;
        }
    }
}

/// Gives up the claim to the next permit, also when the question is dropped.
struct Owed<'a>(&'a AtomicBool);

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use super::*;

    #[tokio::test]
    async fn a_question_that_waits_gets_the_next_permit() {
        let line = Line::new(&Rate { per_second: 1, burst: 1 });
        let mut question = Box::pin(line.question_permit());
        let begun = std::future::poll_fn(|context| std::task::Poll::Ready(question.as_mut().poll(context)));
        assert!(begun.await.is_pending(), "a line starts without a permit");
        assert!(line.take().is_err() && line.owed.load(Ordering::SeqCst), "the next is the question's");
        drop(question);
        assert!(!line.owed.load(Ordering::SeqCst), "a question that went away claims nothing");
    }

    #[tokio::test]
    async fn a_hold_ends_and_the_longer_one_counts() {
        let line = Line::new(&Rate { per_second: 1, burst: 1 });
        assert_eq!(line.held_until(), None);
        line.hold(Duration::from_secs(50));
        line.hold(Duration::from_secs(1));
        assert!(line.held_until().is_some_and(|until| until > Instant::now() + Duration::from_secs(40)));
    }
}
