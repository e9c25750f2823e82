//! The simulated broker as a caller: it brings notices to the gateway until they are taken.
//!
//! Why it exists: customs does not give a notice up because the other side was down for a minute, so neither does the
//! sandbox; a gateway that is killed and started again gets what it missed. What real pushers do in minutes (HMRC: every
//! 2.5 to 10 minutes for two weeks) happens here in seconds and is bounded.
//!
//! Invariants: notices of one message go one after the other, each with the broker's own client certificate; nothing but
//! a 2xx is an end, except the last attempt; the number of calls at a time is bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::desk::Due;
use super::ledger::{Callback, Ledger};
use super::tls::TlsMaterial;
use super::{SandboxError, clock};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(15);
/// Most calls at a time.
const IN_FLIGHT: usize = 32;

/// Where and how notices are brought.
#[derive(Debug, Clone)]
pub struct CallbackOptions {
    /// The gateway's callback listener, for example `https://localhost:8443`.
    pub base_url: String,
    /// The broker's name in the gateway's configuration.
    pub broker: String,
    /// The broker's client certificate and key, and the CA of the gateway's callback listener.
    pub tls: TlsMaterial,
    /// Attempts per notice before it is given up; 120 are about ten minutes.
    pub attempts: u32,
}

impl CallbackOptions {
    /// With the usual number of attempts.
    pub fn new(base_url: impl Into<String>, broker: impl Into<String>, tls: TlsMaterial) -> Self {
        Self { base_url: base_url.into(), broker: broker.into(), tls, attempts: 120 }
    }
}

/// A client that is ready to bring notices.
#[derive(Clone)]
pub(super) struct Caller {
    client: reqwest::Client,
    url: reqwest::Url,
    attempts: u32,
    ledger: Ledger,
    in_flight: Arc<Semaphore>,
}

impl Caller {
    /// Builds the client.
    ///
    /// # Errors
    /// When the URL is not https or a certificate cannot be used.
    pub(super) fn new(options: &CallbackOptions, ledger: Ledger) -> Result<Self, SandboxError> {
        let text = format!("{}/v1/brokers/{}/notices", options.base_url.trim_end_matches('/'), options.broker);
        let url = reqwest::Url::parse(&text).map_err(|_| SandboxError::Url)?;
        if url.scheme() != "https" {
            return Err(SandboxError::Url);
        }
        let roots = reqwest::Certificate::from_pem_bundle(options.tls.ca_pem.as_bytes())
            .map_err(|_| SandboxError::Tls("the CA of the callbacks cannot be read"))?;
        let identity = format!("{}\n{}", options.tls.key_pem, options.tls.certificate_pem);
        let identity = reqwest::Identity::from_pem(identity.as_bytes())
            .map_err(|_| SandboxError::Tls("certificate or key of the callbacks cannot be read"))?;
        let client = reqwest::Client::builder()
            .tls_certs_only(roots)
            .identity(identity)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(CALL_DEADLINE)
            .build()
            .map_err(|_| SandboxError::Tls("certificate and key of the callbacks do not fit together"))?;
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
        Ok(Self { client, url, attempts: options.attempts.max(1), ledger, in_flight })
    }

    /// Brings the notices one after the other, each after `delay`.
    pub(super) async fn bring(&self, due: Vec<Due>, delay: Duration) {
        for due in due {
            let xml = due.told.as_ref().map_or_else(|| due.notice.to_xml().into_bytes(), |told| told.body.clone());
            let body = if due.cut { xml[..xml.len() / 4 * 3].to_vec() } else { xml };
            let body = bytes::Bytes::from(body);
            for _ in 0..due.copies {
                tokio::time::sleep(delay).await;
                self.deliver(&due, &body).await;
            }
        }
    }

    async fn deliver(&self, due: &Due, body: &bytes::Bytes) {
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        let status = loop {
            attempts += 1;
            let status = self.post(due, body).await;
            let taken = status.is_some_and(|status| (200..300).contains(&status));
            if taken || attempts >= self.attempts {
                break status;
            }
            tracing::debug!(sandbox.attempt = attempts, http.status = status, "callback not taken, will be repeated");
            // A little jitter, so that many messages do not come back in one moment.
            tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        let delivered = status.is_some_and(|status| (200..300).contains(&status));
        if !delivered {
            tracing::warn!(sandbox.attempts = attempts, http.status = status, "callback given up");
        }
        let notice = &due.notice;
        self.ledger.record_callback(Callback {
            time: clock::now(),
            conversation_id: due.conversation,
            lrn: notice.lrn.clone(),
            mrn: notice.mrn.clone(),
            code: due.told.as_ref().map_or_else(|| notice.kind.code().to_owned(), |told| told.case.clone()),
            attempts,
            status,
            delivered,
        });
    }

    /// One attempt: the status that was answered, or none.
    async fn post(&self, due: &Due, body: &bytes::Bytes) -> Option<u16> {
        // The semaphore is never closed; if it were, the call would only be unbounded.
        let _permit = self.in_flight.acquire().await.ok();
        let sent = self
            .client
            .post(self.url.clone())
            .header("Content-Type", due.told.as_ref().map_or("application/xml; charset=UTF-8", |told| told.content_type))
            .header("X-Conversation-ID", due.conversation.to_string())
            .body(body.clone())
            .send()
            .await;
        match sent {
            Ok(response) => Some(response.status().as_u16()),
            Err(fault) => {
                tracing::debug!(fault = %causes(&fault), "callback got no answer");
                None
            }
        }
    }
}

/// The whole chain of causes: reqwest's own text hides what went wrong.
fn causes(fault: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(fault);
    while let Some(fault) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&fault.to_string());
        next = fault.source();
    }
    text
}
