//! Subscriptions: the webhook targets of a post.
//!
//! A target is judged by the dial guard when it is named, and again at every delivery. The secret
//! is made here and shown in the answer to the creation, once; no list ever holds it. Another
//! post's subscription is answered like one that does not exist.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::domain::clearance::ClearanceStatus;
use crate::domain::fact::Track;
use crate::domain::fault::{self, Fault};
use crate::domain::ids::{EventId, SubscriptionId};
use crate::domain::json;
use crate::domain::masked::Masked;
use crate::domain::record::{FieldType, Reader};
use crate::domain::security::SecurityStatus;
use crate::domain::text::{Private, Text};
use crate::domain::time::{SharedClock, rfc3339};
use crate::error::{ApiError, Code};
use crate::net::webhook_client::WebhookClient;
use crate::record;
use crate::store::Subscription;

use super::{ports, signature};

/// Most subscriptions of one post.
pub const MAX_PER_POST: u32 = 20;
/// Type of the event that a test sends.
pub const TEST_TYPE: &str = "webhook.test";
/// Types that are no status of a track.
const OTHER_TYPES: [&str; 6] =
    ["amendment.accepted", "amendment.rejected", "cancellation.rejected", "presentation.rejected", "delivery.refused", "delivery.dead"];

record! {
    /// What a post asks for.
    pub struct NewSubscription {
        /// Where events go: https, a public host.
        url: Private<2048>,
        /// Event types wanted; a trailing `*` stands for any rest; none means all.
        types: Vec<Text<64>>,
    }
}

/// A subscription as its post sees it.
#[derive(Debug, Clone, Serialize)]
pub struct ShownSubscription {
    /// Its id.
    #[serde(rename = "id")]
    pub subscription_id: SubscriptionId,
    /// Target.
    #[serde(serialize_with = "expose")]
    pub url: Masked<String>,
    /// Types wanted; none means all.
    pub types: Vec<String>,
    /// `active`, `gone` (the target said 410) or `failing`.
    pub state: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// The signing secret: in the answer to the creation only.
    #[serde(serialize_with = "expose_option", skip_serializing_if = "Option::is_none")]
    pub secret: Option<Masked<String>>,
}

/// The answer to a test.
#[derive(Debug, Clone, Serialize)]
pub struct TestQueued {
    /// The subscription.
    #[serde(rename = "id")]
    pub subscription_id: SubscriptionId,
    /// Id of the test event, its `webhook-id`.
    pub event_id: EventId,
}

fn expose<S: Serializer>(text: &Masked<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose())
}

fn expose_option<S: Serializer>(text: &Option<Masked<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_ref().map_or("", |text| text.expose()))
}

impl ShownSubscription {
    fn of(subscription: Subscription, secret: Option<Masked<String>>) -> Self {
        Self {
            subscription_id: subscription.subscription_id,
            url: Masked::new(subscription.url),
            types: subscription.types,
            state: subscription.state,
            created_at: rfc3339(subscription.created_at),
            secret,
        }
    }
}

/// Makes, lists, tests and ends subscriptions.
pub struct SubscriptionService<S> {
    store: Arc<S>,
    client: WebhookClient,
    clock: SharedClock,
    /// Our name in the handshake, when proof of ownership is asked for.
    handshake_origin: Option<String>,
}

impl<S: ports::Subscriptions> SubscriptionService<S> {
    /// The service. With a `handshake_origin` (our own host name) a target has to say that it wants
    /// our events before the first delivery (`[webhooks] handshake`).
    pub fn new(store: Arc<S>, client: WebhookClient, clock: SharedClock, handshake_origin: Option<String>) -> Self {
        Self { store, client, clock, handshake_origin }
    }

    /// Makes a subscription from a request body; the answer holds its secret.
    ///
    /// # Errors
    /// `malformed_json`, `invalid_request` with all faults, or what the store says.
    pub async fn create(&self, post: &str, body: &[u8]) -> Result<ShownSubscription, ApiError> {
        let json = json::parse(body).map_err(|malformed| ApiError::new(Code::MalformedJson).detail(malformed.to_string()))?;
        let mut reader = Reader::default();
        let wanted = <NewSubscription as FieldType>::read(&json, &mut reader);
        let (mut faults, _) = reader.finish();
        for (index, _) in wanted.types.iter().enumerate().filter(|(_, pattern)| !is_known(pattern.as_str())) {
            let detail = "an event type, or the beginning of one and `*`, for example `clearance.*`";
            faults.push_unless_covered(Fault::new(format!("/types/{index}"), fault::UNKNOWN_VALUE, detail));
        }
        if let Err(refusal) = self.client.guard().check_text(wanted.url.expose()) {
            faults.push_unless_covered(Fault::new("/url", fault::BAD_FORMAT, refusal.to_string()));
        }
        if !faults.is_empty() {
            return Err(ApiError::new(Code::InvalidRequest).errors(faults.into_vec()));
        }
        self.prove(wanted.url.expose()).await?;
        self.add(post, &wanted).await
    }

    async fn add(&self, post: &str, wanted: &NewSubscription) -> Result<ShownSubscription, ApiError> {
        let secret = signature::new_secret().map_err(|_| ApiError::new(Code::Internal))?;
        let shown = signature::shown_secret(&secret);
        let subscription = Subscription {
            subscription_id: SubscriptionId::new(),
            post: post.to_owned(),
            url: wanted.url.expose().to_owned(),
            types: wanted.types.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            secret,
            created_at: self.clock.now(),
            state: "active".to_owned(),
        };
        if self.store.add_subscription(subscription.clone(), MAX_PER_POST).await? {
            return Ok(ShownSubscription::of(subscription, Some(shown)));
        }
        let full = Fault::new("", fault::TOO_MANY, "at most 20 subscriptions; delete one first");
        Err(ApiError::new(Code::InvalidRequest).errors(vec![full]))
    }

    /// The CloudEvents handshake, when the configuration asks for it.
    async fn prove(&self, url: &str) -> Result<(), ApiError> {
        let Some(origin) = &self.handshake_origin else { return Ok(()) };
        if matches!(self.client.handshake(url, origin).await, Ok(true)) {
            return Ok(());
        }
        let detail = "the target has to answer OPTIONS with WebHook-Allowed-Origin (CloudEvents webhook handshake)";
        Err(ApiError::new(Code::InvalidRequest).errors(vec![Fault::new("/url", fault::CONDITION, detail)]))
    }

    /// Those of a post, oldest first, without secrets.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, post: &str) -> Result<Vec<ShownSubscription>, ApiError> {
        let mut list = self.store.subscriptions(post).await?;
        list.sort_by_key(|subscription| (subscription.created_at, subscription.subscription_id));
        Ok(list.into_iter().map(|subscription| ShownSubscription::of(subscription, None)).collect())
    }

    /// Ends one. Events that it had not taken stay in the feed.
    ///
    /// # Errors
    /// `not_found`, or what the store says.
    pub async fn delete(&self, post: &str, id: &str) -> Result<(), ApiError> {
        let id = SubscriptionId::parse(id).ok_or(Code::NotFound)?;
        if self.store.delete_subscription(post, id).await? { Ok(()) } else { Err(Code::NotFound.into()) }
    }

    /// Queues a test event: signed, delivered and tried again like any other, but in no feed.
    ///
    /// # Errors
    /// `not_found`, or what the store says.
    pub async fn test(&self, post: &str, id: &str) -> Result<TestQueued, ApiError> {
        let subscription_id = SubscriptionId::parse(id).ok_or(Code::NotFound)?;
        let event_id = EventId::new();
        let event = serde_json::json!({
            "specversion": "1.0", "id": event_id, "type": TEST_TYPE, "source": format!("/subscriptions/{subscription_id}"),
            "time": rfc3339(self.clock.now()), "datacontenttype": "application/json", "data": {},
        });
        let queued = self.store.test_subscription(post, subscription_id, event_id, event.to_string()).await?;
        if queued { Ok(TestQueued { subscription_id, event_id }) } else { Err(Code::NotFound.into()) }
    }
}

/// Every event type that there is ([`crate::domain::event`] makes them).
pub fn event_types() -> impl Iterator<Item = String> {
    let of = |track: Track| {
        let words = if track == Track::Security { SecurityStatus::WORDS } else { ClearanceStatus::WORDS };
        words.iter().chain(&["overdue"]).map(move |word| format!("{track}.{word}"))
    };
    Track::ALL.iter().copied().flat_map(of).chain(OTHER_TYPES.into_iter().map(str::to_owned))
}

/// Whether a pattern can ever match an event.
fn is_known(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => event_types().any(|kind| kind.starts_with(beginning)),
        None => event_types().any(|kind| kind == pattern),
    }
}
