//! The first station: a body becomes a durable declaration with its messages, or all its faults.
//!
//! The order is fixed: read, check, route, map, commit once, answer. Everything that can be the
//! sender's fault is told here and now, so that nothing turns into a dead letter tomorrow; after
//! the commit the declaration is never nowhere (promise P1). Nothing here touches the network, and
//! nothing holds a lock while it waits for the commit.

mod changing;
mod consignment;
mod filing;
mod posts;
mod preview;
mod routing;
mod sighting;
mod sound;

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use consignment::{Arrival, Consignment};
pub use posts::{PostProfile, Posts};
pub use routing::{Router, RoutingFault};
pub use sighting::Sighting;
pub use sound::Sound;

use crate::catalog::SharedCatalog;
use crate::config::Config;
use crate::domain::ids::{ConversationId, DeclarationId};
use crate::domain::rules::IntakePolicy;
use crate::domain::time::SharedClock;
use crate::error::{ApiError, Code};
use crate::fault_points;
use crate::store::{Accepted, IdempotencyKey, NewDeclaration, Store};

/// Tries to find a free local reference number before the sender is asked to come again.
const MAX_LRN_TRIES: usize = 4;

/// One body handed over by a post.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who.
    pub post: Arc<PostProfile>,
    /// The body as it came.
    pub body: Bytes,
    /// The client's key, when given.
    pub key: Option<String>,
    /// Conversation of the request.
    pub conversation_id: ConversationId,
    /// W3C trace parent of the request.
    pub traceparent: Option<String>,
}

/// A declaration that is durable.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The exact bytes of the answer.
    pub answer: Bytes,
    /// Whether it was stored before (then 200, else 202).
    pub replayed: bool,
}

/// The station.
pub struct Intake {
    store: Store,
    catalog: SharedCatalog,
    router: Router,
    clock: SharedClock,
    policy: IntakePolicy,
    reuse_after_days: u32,
}

impl Intake {
    /// Builds the station; the router was compiled before.
    pub fn new(config: &Config, store: Store, catalog: SharedCatalog, router: Router, clock: SharedClock) -> Self {
        let policy = sound::policy(&config.intake);
        let reuse_after_days = u32::try_from(config.intake.reuse_after_days).unwrap_or(u32::MAX);
        Self { store, catalog, router, clock, policy, reuse_after_days }
    }

    /// The brokers that want to be told of an arrival: their mappings have a presentation message.
    pub fn presenting(&self) -> Vec<String> {
        self.catalog.load().presenting()
    }

    /// Takes one declaration: returns once it is durable.
    ///
    /// # Errors
    /// The problem to answer with; nothing was stored then.
    pub async fn declare(&self, submission: Submission) -> Result<Taken, ApiError> {
        let result = self.try_declare(&submission).await;
        let word = match &result {
            Ok(taken) if taken.replayed => "replayed",
            Ok(_) => "accepted",
            Err(error) => error.code.as_str(),
        };
        metrics::counter!("preclear_declarations_total", "post" => submission.post.code.clone(), "result" => word).increment(1);
        result
    }

    async fn try_declare(&self, submission: &Submission) -> Result<Taken, ApiError> {
        let sound = sound::read(&submission.body, &submission.post, &self.router, &self.policy, self.clock.today())?;
        let key = submission.key.as_ref().map(|key| IdempotencyKey {
            route: "POST /v1/declarations",
            key: key.clone(),
            body_hash: Sha256::digest(&submission.body).into(),
        });
        let sound = match sound {
            Ok(sound) => sound,
            Err(refused) => return self.replay_or(refused.known, key, submission, refused.error).await,
        };
        self.accept(submission, &sound, key).await
    }

    /// Files and commits. Two posts that declare one S10 at the same moment want the same local
    /// reference; the later one files again with the next.
    async fn accept(&self, submission: &Submission, sound: &Sound, key: Option<IdempotencyKey>) -> Result<Taken, ApiError> {
        let content_hash = sound.declaration.content_hash();
        let (item_id, posted_on) = (sound.declaration.item_id, sound.declaration.posted_on());
        let mut used = 0;
        for _ in 0..MAX_LRN_TRIES {
            let filed = match self.file(submission, sound, used + 1).await {
                Ok(filed) => filed,
                Err(error) => return self.replay_or(Some((item_id, posted_on, content_hash)), key, submission, error).await,
            };
            let answer = filed.answer.clone();
            fault_points::pass("intake.before_commit");
            let accepted = self.store.accept(self.new_declaration(submission, sound, content_hash, key.clone(), filed)).await?;
            fault_points::pass("intake.after_commit");
            match accepted {
                Accepted::LrnTaken => used = self.store.lrn_counter(item_id, posted_on).await?,
                accepted => return accepted_or_conflict(accepted, answer),
            }
        }
        Err(ApiError::new(Code::Overloaded).retry_after(1))
    }

    fn new_declaration(
        &self,
        submission: &Submission,
        sound: &Sound,
        content_hash: [u8; 32],
        key: Option<IdempotencyKey>,
        filed: Filed,
    ) -> NewDeclaration {
        NewDeclaration {
            post: submission.post.code.to_string(),
            declaration_id: filed.declaration_id,
            item_id: sound.declaration.item_id,
            posted_on: sound.declaration.posted_on(),
            conversation_id: submission.conversation_id,
            traceparent: submission.traceparent.clone(),
            body: submission.body.clone(),
            content_hash,
            warnings_json: filed.warnings_json,
            received_at: filed.received_at,
            is_return: sound.is_return(),
            reuse_after_days: self.reuse_after_days,
            key,
            answer: filed.answer,
            filings: filed.filings,
        }
    }

    /// A repeat of what was taken before is answered as before, even when today's rules, rates or
    /// mappings would refuse it: the sender only asks again what we already promised.
    async fn replay_or(
        &self,
        known: Option<sound::Known>,
        key: Option<IdempotencyKey>,
        submission: &Submission,
        error: ApiError,
    ) -> Result<Taken, ApiError> {
        let Some((item_id, posted_on, content_hash)) = known else { return Err(error) };
        let found = self.store.find_replay(&submission.post.code, key, item_id, posted_on, content_hash).await?;
        match found {
            Some(accepted @ (Accepted::Replay(_) | Accepted::KeyReused)) => accepted_or_conflict(accepted, Bytes::new()),
            _ => Err(error),
        }
    }
}

fn accepted_or_conflict(accepted: Accepted, answer: Bytes) -> Result<Taken, ApiError> {
    match accepted {
        Accepted::Stored => Ok(Taken { answer, replayed: false }),
        Accepted::Replay(answer) => Ok(Taken { answer, replayed: true }),
        Accepted::ItemConflict => Err(Code::ItemConflict.into()),
        Accepted::ItemKnown => Err(Code::ItemKnown.into()),
        Accepted::KeyReused => Err(Code::KeyReused.into()),
        Accepted::LrnTaken => Err(ApiError::new(Code::Overloaded).retry_after(1)),
    }
}

/// What filing a sound declaration gives, before its commit.
struct Filed {
    declaration_id: DeclarationId,
    received_at: crate::domain::time::Timestamp,
    filings: Vec<crate::store::NewFiling>,
    warnings_json: String,
    answer: Bytes,
}
