//! The gateway's interfaces as a command sees them: requests with a key, answers with a bound.
//!
//! Why it exists: `declare`, `demo` and the operators' commands are clients of the published interfaces like anybody else's
//! program; they share this small one and nothing with the gateway's own stations.
//!
//! Invariants: every answer is read up to a bound and in a bounded time; redirects are not followed, for the key would go
//! with them; the key is never shown.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::Value;

/// Longest answer, or line of a streamed one, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Longest silence within an answer. The feed's long poll waits up to 60 s.
const SILENCE: Duration = Duration::from_secs(75);

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientFault {
    /// Not an address of an interface.
    #[error("the URL has to be an absolute http or https address without user and password, like http://127.0.0.1:8080")]
    Url,
    /// A key that no header can carry.
    #[error("the API key is 1 to 512 visible ASCII characters")]
    Key,
    /// The CA file holds no certificate.
    #[error("the CA file holds no readable certificate")]
    Ca,
    /// The TLS library refused.
    #[error("the HTTP client cannot be made")]
    Build,
}

/// No whole answer came. The words say how far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum NoAnswer {
    /// Nobody listens there, or TLS failed.
    #[error("no connection")]
    Connect,
    /// It broke off, or took too long.
    #[error("the connection broke before the answer was whole")]
    Broken,
    /// Longer than anything the gateway answers.
    #[error("the answer is longer than is read")]
    TooLong,
}

impl From<reqwest::Error> for NoAnswer {
    fn from(fault: reqwest::Error) -> Self {
        if fault.is_connect() { Self::Connect } else { Self::Broken }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A client of one interface under one key, or under none.
#[derive(Clone)]
pub(in crate::cli) struct Client {
    http: reqwest::Client,
    base: String,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// For the interface at `base` (without a path, or with the prefix of a proxy). `ca_pem`: the only CA to trust.
    ///
    /// # Errors
    /// When address, key or CA are unusable.
    pub fn new(base: &str, key: &str, ca_pem: Option<&[u8]>) -> Result<Self, ClientFault> {
        Self::open(base, Some(key), ca_pem)
    }

    /// The same where no key may be needed.
    ///
    /// # Errors
    /// When address, key or CA are unusable.
    pub fn open(base: &str, key: Option<&str>, ca_pem: Option<&[u8]>) -> Result<Self, ClientFault> {
        crate::pki::install_crypto_provider();
        let url = url::Url::parse(base).map_err(|_| ClientFault::Url)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
            return Err(ClientFault::Url);
        }
        let authorization = key.map(bearer).transpose()?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .read_timeout(SILENCE)
            .tcp_nodelay(true);
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = ca_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ClientFault::Ca)?;
            if roots.is_empty() {
                return Err(ClientFault::Ca);
            }
            builder = builder.tls_certs_only(roots);
        }
        let http = builder.build().map_err(|_| ClientFault::Build)?;
        Ok(Self { http, base: url.as_str().trim_end_matches('/').to_owned(), authorization })
    }

    /// `GET`.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        whole(self.authorized(self.http.get(format!("{}{path}", self.base))).send().await?).await
    }

    /// `POST` of a JSON body.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, NoAnswer> {
        whole(self.send(path, "application/json", body.into()).await?).await
    }

    /// `POST` of NDJSON to the batch route; its answer is read line by line.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn batch(&self, body: Bytes) -> Result<Batch, NoAnswer> {
        let response = self.send("/v1/declarations/batch", "application/x-ndjson", body).await?;
        if response.status().as_u16() == 200 {
            return Ok(Batch::Lines(Lines { response, buffer: BytesMut::new(), ended: false }));
        }
        Ok(Batch::Refused(whole(response).await?))
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    async fn send(&self, path: &str, media: &'static str, body: Bytes) -> reqwest::Result<reqwest::Response> {
        let request = self.authorized(self.http.post(format!("{}{path}", self.base)));
        request.header(CONTENT_TYPE, media).body(body).send().await
    }
}

fn bearer(key: &str) -> Result<HeaderValue, ClientFault> {
    if key.is_empty() || key.len() > 512 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ClientFault::Key);
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ClientFault::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The answer to a batch.
pub(in crate::cli) enum Batch {
    /// It was taken up: one result for each line.
    Lines(Lines),
    /// It was refused as a whole.
    Refused(Answer),
}

/// The result lines of a batch, as they come.
pub(in crate::cli) struct Lines {
    response: reqwest::Response,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    /// The next line; none at the end.
    ///
    /// # Errors
    /// When the answer broke off.
    pub async fn next(&mut self) -> Result<Option<Value>, NoAnswer> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return serde_json::from_slice(&line).map(Some).map_err(|_| NoAnswer::Broken);
            }
            if self.ended {
                return if self.buffer.is_empty() { Ok(None) } else { Err(NoAnswer::Broken) };
            }
            match self.response.chunk().await? {
                Some(bytes) if self.buffer.len() + bytes.len() > MAX_ANSWER_BYTES => return Err(NoAnswer::TooLong),
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => self.ended = true,
            }
        }
    }
}

async fn whole(mut response: reqwest::Response) -> Result<Answer, NoAnswer> {
    let status = response.status().as_u16();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(NoAnswer::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, retry_after: seconds.map(Duration::from_secs), body })
}

/// A proxy of the environment has no business between two programs of one machine.
fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
