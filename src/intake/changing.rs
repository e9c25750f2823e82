//! Amendments and cancellations: tried at once, kept as intents, carried out by `prepare` (ADR 0006).
//!
//! What is the sender's fault is told here and now: a declaration with faults, one that the broker's format cannot hold,
//! a filing that has ended, a format that has no such message. What is not known yet (whether customs accepts the
//! declaration before) is no fault.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::filing::{no_verdict, without_late};
use super::{Intake, PostProfile, Sound, Submission, Taken, sound};
use crate::catalog::{Catalog, Channel, Work};
use crate::domain::answer::Answer;
use crate::domain::consignment;
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::fault::{self, Fault, Faults};
use crate::domain::ids::DeclarationId;
use crate::domain::intent::{Becomes, ReasonCode, Refusal, Standing, decide};
use crate::domain::json::{self, Json};
use crate::domain::record::{FieldType, Reader};
use crate::domain::text::Private;
use crate::error::{ApiError, Code};
use crate::record;
use crate::store::{Accepted, Amended, DeclarationView, FilingRecord, IdempotencyKey, NewIntent, Wanted, WantedReason};

/// Tries to commit while the declaration changes under our hands before the sender is asked to come again.
const MAX_TRIES: usize = 32;
/// Stands for an authority's reference that is not known yet, when a message is only tried.
const SOME_MRN: &str = "26GB00000000000000";

record! {
    /// Why a declaration is amended or cancelled.
    pub struct ChangeReason {
        /// Code; `other` when left out.
        code: Option<ReasonCode>,
        /// In the post's words.
        text: Option<Private<512>>,
    }
}

impl From<ChangeReason> for WantedReason {
    fn from(reason: ChangeReason) -> Self {
        Self { code: reason.code.unwrap_or(ReasonCode::Other), text: reason.text.map(|text| text.expose().to_owned()) }
    }
}

/// An amendment or cancellation on its way to its commit.
struct Change<'c> {
    post: &'c PostProfile,
    kind: MessageKind,
    /// The new version, of an amendment.
    sound: Option<&'c Sound>,
    reason: &'c WantedReason,
}

impl Intake {
    /// Amends a declaration: the body is the whole new version, with a `reason` beside its fields.
    ///
    /// # Errors
    /// The problem to answer with; nothing was stored then.
    pub async fn amend(&self, id: DeclarationId, submission: &Submission) -> Result<Taken, ApiError> {
        let tree = sound::parse(&submission.body)?;
        let (reason, faults) = reason_of(&tree);
        let bare = consignment::complete(tree, None);
        let view = self.view(submission, id).await?;
        let key = key(submission, "PUT /v1/declarations", id);
        if let Some(taken) = self.known(key.as_ref(), submission).await? {
            return Ok(taken);
        }
        let sound = self.amended(&bare, faults, submission, &view)?;
        let hash = sound.declaration.content_hash();
        if let Some(answer) = self.store.find_wanted(id, Some(hash)).await? {
            return Ok(Taken { answer, replayed: true });
        }
        let change = Change { post: &submission.post, kind: MessageKind::Amendment, sound: Some(&sound), reason: &reason };
        self.change(submission, &change, key, view).await
    }

    /// Cancels a declaration.
    ///
    /// # Errors
    /// The problem to answer with; nothing was stored then.
    pub async fn cancel(&self, id: DeclarationId, submission: &Submission, reason: WantedReason) -> Result<Taken, ApiError> {
        let view = self.view(submission, id).await?;
        let key = key(submission, "DELETE /v1/declarations", id);
        if let Some(taken) = self.known(key.as_ref(), submission).await? {
            return Ok(taken);
        }
        if let Some(answer) = self.store.find_wanted(id, None).await? {
            return Ok(Taken { answer, replayed: true });
        }
        let change = Change { post: &submission.post, kind: MessageKind::Cancellation, sound: None, reason: &reason };
        self.change(submission, &change, key, view).await
    }

    async fn view(&self, submission: &Submission, id: DeclarationId) -> Result<DeclarationView, ApiError> {
        self.store.declaration(&submission.post.code, id).await?.ok_or_else(|| Code::NotFound.into())
    }

    /// What a request under this key was answered before.
    async fn known(&self, key: Option<&IdempotencyKey>, submission: &Submission) -> Result<Option<Taken>, ApiError> {
        let Some(key) = key else { return Ok(None) };
        match self.store.find_key(&submission.post.code, key.clone()).await? {
            Some(Accepted::Replay(answer)) => Ok(Some(Taken { answer, replayed: true })),
            Some(_) => Err(Code::KeyReused.into()),
            None => Ok(None),
        }
    }

    /// The new version, if it is sound and still the same item, by the same brokers.
    fn amended(&self, tree: &Json<'_>, reason: Faults, submission: &Submission, view: &DeclarationView) -> Result<Sound, ApiError> {
        let judged = sound::judge(tree, &submission.post, &self.router, &self.policy, self.clock.today());
        let mut faults = reason.into_vec();
        let sound = match judged {
            Ok(sound) => sound,
            Err(refused) => {
                faults.extend(refused.error.errors);
                return Err(ApiError::new(Code::InvalidDeclaration).errors(faults));
            }
        };
        if sound.declaration.item_id != view.item_id {
            faults.push(Fault::new("/item_id", fault::IMMUTABLE, "the S10 id that was declared; another item is a declaration of its own"));
        }
        if sound.declaration.posted_on() != view.posted_on {
            faults.push(Fault::new("/posted_on", fault::IMMUTABLE, "the posting date that was declared"));
        }
        if faults.is_empty() && !self.keeps_brokers(&sound, &submission.post, view) {
            let told = "the routes give the new version to other brokers or tracks; cancel this declaration and declare the item anew";
            faults.push(Fault::new("", fault::IMMUTABLE, told));
        }
        if faults.is_empty() { Ok(sound) } else { Err(ApiError::new(Code::InvalidDeclaration).errors(faults)) }
    }

    fn keeps_brokers(&self, sound: &Sound, post: &PostProfile, view: &DeclarationView) -> bool {
        let Ok(choices) = self.router.choose(&sound.declaration, post) else { return false };
        let same = |filing: &FilingRecord| choices.iter().any(|choice| choice.track == filing.track && choice.broker == filing.broker);
        choices.len() == view.filings.len() && view.filings.iter().all(same)
    }

    /// Tries the change for each filing, and commits it; again when the declaration changed meanwhile.
    async fn change(
        &self,
        submission: &Submission,
        change: &Change<'_>,
        key: Option<IdempotencyKey>,
        mut view: DeclarationView,
    ) -> Result<Taken, ApiError> {
        for _ in 0..MAX_TRIES {
            let (filings, warnings) = self.try_change(submission, change, &view).await?;
            let id = view.declaration_id;
            let new = self.new_intent(submission, change, key.clone(), &view, &filings, warnings);
            let answer = new.answer.clone();
            match self.store.want(new).await? {
                Wanted::Stored => return Ok(Taken { answer, replayed: false }),
                Wanted::Replay(answer) => return Ok(Taken { answer, replayed: true }),
                Wanted::KeyReused => return Err(Code::KeyReused.into()),
                Wanted::Changed => view = self.view(submission, id).await?,
            }
        }
        Err(ApiError::new(Code::Overloaded).retry_after(1))
    }

    /// The filings that are to follow, and the warnings. A filing that has ended, or whose format has no such message, is
    /// left out while another follows.
    async fn try_change<'v>(
        &self,
        submission: &Submission,
        change: &Change<'_>,
        view: &'v DeclarationView,
    ) -> Result<(Vec<&'v FilingRecord>, Vec<Fault>), ApiError> {
        let catalog = self.catalog.load_full();
        let (mut follow, mut faults, mut refusal) = (Vec::new(), Faults::default(), Refusal::Ended);
        let mut warnings = change.sound.map_or_else(Vec::new, |sound| sound.warnings.clone());
        for filing in &view.filings {
            match self.try_filing(submission, change, view, filing, &catalog).await? {
                Ok((found, told)) => {
                    found.into_iter().for_each(|fault| faults.push_once(fault));
                    warnings.extend(told);
                    follow.push(filing);
                }
                Err(why) => refusal = why,
            }
        }
        if follow.is_empty() {
            let code = if refusal == Refusal::Ended { Code::DeclarationEnded } else { Code::ChangeUnsupported };
            return Err(code.into());
        }
        if faults.is_empty() { Ok((follow, warnings)) } else { Err(ApiError::new(Code::MappingFault).errors(faults.into_vec())) }
    }

    /// Tries what the change would become now, or, while that is open, what it would become when customs accepts.
    async fn try_filing(
        &self,
        submission: &Submission,
        change: &Change<'_>,
        view: &DeclarationView,
        filing: &FilingRecord,
        catalog: &Catalog,
    ) -> Result<Result<(Vec<Fault>, Vec<Fault>), Refusal>, ApiError> {
        let Some(channel) = catalog.channel(&filing.broker) else {
            return Err(ApiError::new(Code::MappingUnavailable).retry_after(30));
        };
        let makes = channel.mapping.makes(change.kind);
        let standing = Standing { messages: filing.messages.clone(), state: filing.state.clone() };
        let now = self.clock.now();
        let becomes = decide(change.kind, &standing, makes, std::time::Duration::MAX, now);
        let tried = match becomes {
            Becomes::Refused(why) => return Ok(Err(why)),
            Becomes::Original => MessageKind::Declaration,
            Becomes::Message => change.kind,
            Becomes::Wait(..) if makes => change.kind,
            Becomes::Wait(..) if change.sound.is_some() => MessageKind::Declaration,
            Becomes::Wait(..) | Becomes::Cancelled | Becomes::Dropped => return Ok(Ok((Vec::new(), Vec::new()))),
        };
        let transport = view.transport.as_deref();
        let (present, wanted) = (read(&view.body, transport)?, change.sound.map(|sound| &sound.declaration));
        let work = Work {
            kind: tried,
            declaration: wanted.unwrap_or(&present),
            previous: (tried == MessageKind::Amendment).then_some(&present),
            mrn: (tried != MessageKind::Declaration).then(|| filing.state.mrn.as_deref().unwrap_or(SOME_MRN)),
            about: None,
            reason: (tried != MessageKind::Declaration).then(|| (change.reason.code.as_str(), change.reason.text.as_deref())),
            post: change.post.context(),
            broker: &filing.broker,
            conversation_id: submission.conversation_id,
            now,
        };
        Ok(Ok(self.trial(channel, &work).await?))
    }

    async fn trial(&self, channel: &Channel, work: &Work<'_>) -> Result<(Vec<Fault>, Vec<Fault>), ApiError> {
        let (made, faults) = channel.make(work, &mut 1).await.map_err(no_verdict)?;
        let lacking = channel.lacking(work.declaration);
        let faults = if lacking.is_empty() { faults } else { without_late(faults, &lacking) };
        Ok((faults, made.into_iter().flat_map(|made| made.warnings).collect()))
    }

    fn new_intent(
        &self,
        submission: &Submission,
        change: &Change<'_>,
        key: Option<IdempotencyKey>,
        view: &DeclarationView,
        filings: &[&FilingRecord],
        warnings: Vec<Fault>,
    ) -> NewIntent {
        let version = view.version;
        let warnings_json = serde_json::to_string(&warnings).unwrap_or_else(|_| "[]".to_owned());
        let filings = filings.iter().map(|filing| (filing.filing_id, filing.broker.clone())).collect();
        let answer = Answer {
            declaration_id: view.declaration_id,
            item_id: view.item_id,
            posted_on: view.posted_on,
            version: if change.sound.is_some() { version + 1 } else { version },
            conversation_id: submission.conversation_id,
            filings: view.filings.iter().map(FilingRecord::view).collect(),
            warnings,
        };
        NewIntent {
            post: submission.post.code.to_string(),
            declaration_id: view.declaration_id,
            kind: change.kind,
            version,
            amended: change.sound.map(|sound| Amended {
                body: submission.body.clone(),
                content_hash: sound.declaration.content_hash(),
                warnings_json,
            }),
            reason: change.reason.clone(),
            conversation_id: submission.conversation_id,
            traceparent: submission.traceparent.clone(),
            received_at: self.clock.now(),
            key,
            answer: Bytes::from(answer.to_json()),
            filings,
        }
    }
}

/// Keys are per route, and the declaration is part of the route.
fn key(submission: &Submission, route: &'static str, id: DeclarationId) -> Option<IdempotencyKey> {
    let key = submission.key.as_ref()?;
    let mut hash = Sha256::new();
    hash.update(id.0.as_bytes());
    hash.update(&submission.body);
    Some(IdempotencyKey { route, key: key.clone(), body_hash: hash.finalize().into() })
}

fn reason_of(tree: &Json<'_>) -> (WantedReason, Faults) {
    let none = || WantedReason { code: ReasonCode::Other, text: None };
    let Json::Object(members) = tree else { return (none(), Faults::default()) };
    let Some((_, reason)) = members.iter().find(|(name, value)| name == "reason" && *value != Json::Null) else {
        return (none(), Faults::default());
    };
    let mut reader = Reader::default();
    let reason = reader.within("reason", |reader| <ChangeReason as FieldType>::read(reason, reader));
    (reason.into(), reader.finish().0)
}

/// A stored body as a declaration. It was sound when it came; what it says of another shape now is ours.
pub(super) fn read(body: &[u8], transport: Option<&str>) -> Result<Declaration, ApiError> {
    let fault = |_| ApiError::from(Code::Internal);
    let transport = transport.map(|transport| json::parse(transport.as_bytes())).transpose().map_err(fault)?;
    let tree = json::parse(body).map_err(fault)?;
    Ok(Declaration::read_shape(&consignment::complete(tree, transport.as_ref())).0)
}
