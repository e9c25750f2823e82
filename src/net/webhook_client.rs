//! The client that carries events to targets which posts chose.
//!
//! Every request passes the [`Guard`] twice: its URL before anything happens, and each address that
//! the name resolves to when a connection is opened; only checked addresses are dialled. A
//! connection that is kept was opened to a checked address, so re-use cannot lead elsewhere.
//! No redirects, no proxy, no cookies, no decompression; at most 64 KiB of any answer is read and
//! thrown away (reading lets the connection be used again), and the whole exchange has one time limit.
//! What an answer *means* is not decided here.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};

use super::guard::{Guard, Refusal};

/// Longest time for one exchange: resolve, connect, TLS, send, and the answer (Standard Webhooks: 15 to 30 s).
pub const EXCHANGE_LIMIT: Duration = Duration::from_secs(20);
/// Most bytes of an answer that are read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long an idle connection is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Resolves a name to addresses; a test puts its own in the place of the system's.
pub type Lookup = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// The target answered.
    Status {
        /// HTTP status.
        code: u16,
        /// `Retry-After` as it came, at most 64 characters.
        retry_after: Option<String>,
    },
    /// It did not.
    Failed(WebhookFailure),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFailure {
    /// The guard refuses the URL or all of its addresses.
    Refused(Refusal),
    /// The name does not resolve.
    Dns,
    /// No connection, or no TLS session.
    Connect,
    /// The machine has no root certificates to judge a target by (`SSL_CERT_FILE` can name some).
    NoRoots,
    /// [`EXCHANGE_LIMIT`] passed.
    Timeout,
    /// The connection broke, or what came back is not HTTP.
    Broken,
}

impl WebhookFailure {
    /// A word for logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused_by_guard",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::NoRoots => "no_root_certificates",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        }
    }
}

/// Why no client could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no client for webhooks can be made")]
pub struct NoClient;

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct WebhookClient {
    guard: Arc<Guard>,
    /// None on a machine without root certificates: then nothing is delivered over https, and all else goes on.
    tls: Option<Client>,
    plain: Client,
}

impl WebhookClient {
    /// A client behind a guard.
    ///
    /// # Errors
    /// [`NoClient`]. Missing root certificates are told at each delivery instead.
    pub fn new(guard: Arc<Guard>) -> Result<Self, NoClient> {
        Self::with_lookup(guard, Arc::new(|name| Box::pin(system_lookup(name))))
    }

    /// A client that resolves names by other means.
    ///
    /// # Errors
    /// As [`WebhookClient::new`].
    pub fn with_lookup(guard: Arc<Guard>, lookup: Lookup) -> Result<Self, NoClient> {
        // reqwest takes the process's provider; a second caller finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = |plain: bool| {
            let dns = GuardedDns { guard: Arc::clone(&guard), lookup: Arc::clone(&lookup), plain };
            Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(dns))
                .pool_idle_timeout(IDLE_LIMIT)
                .pool_max_idle_per_host(4)
                .user_agent(concat!("Preclear/", env!("CARGO_PKG_VERSION")))
        };
        let tls = builder(false).https_only(true).build();
        if tls.is_err() {
            tracing::warn!("no webhook can be delivered over https: the machine has no usable root certificates");
        }
        // The other one never speaks TLS and so needs no roots.
        let plain = builder(true).tls_certs_only([]).build().map_err(|_| NoClient)?;
        Ok(Self { tls: tls.ok(), plain, guard })
    }

    /// The guard in front of it.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Posts a body. `headers` are names and values of ours.
    pub async fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes) -> WebhookAnswer {
        match self.exchange(Method::POST, url, headers, body).await {
            Ok(response) => WebhookAnswer::Status { code: response.status, retry_after: response.retry_after },
            Err(failure) => WebhookAnswer::Failed(failure),
        }
    }

    /// Asks whether the target wants our events (CloudEvents webhook, validation handshake). Only the
    /// target's own word counts, never the status alone.
    pub async fn handshake(&self, url: &str, origin: &str) -> Result<bool, WebhookFailure> {
        let headers = [("webhook-request-origin", origin.to_owned())];
        let response = self.exchange(Method::OPTIONS, url, &headers, Bytes::new()).await?;
        let allowed = response.allowed_origin.is_some_and(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
        Ok(allowed && (200..300).contains(&response.status))
    }

    async fn exchange(&self, method: Method, url: &str, headers: &[(&'static str, String)], body: Bytes) -> Result<Heard, WebhookFailure> {
        let url = self.guard.check_text(url).map_err(WebhookFailure::Refused)?;
        let client = if url.scheme() == "https" { self.tls.as_ref().ok_or(WebhookFailure::NoRoots)? } else { &self.plain };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| WebhookFailure::Broken)?;
            map.insert(HeaderName::from_static(name), value);
        }
        let request = client.request(method, url).headers(map).body(body);
        let exchange = async {
            let response = request.send().await.map_err(|error| failure_of(&error))?;
            let heard = Heard::of(&response);
            drain(response).await;
            Ok(heard)
        };
        tokio::time::timeout(EXCHANGE_LIMIT, exchange).await.unwrap_or(Err(WebhookFailure::Timeout))
    }
}

/// What is kept of an answer.
struct Heard {
    status: u16,
    retry_after: Option<String>,
    allowed_origin: Option<String>,
}

impl Heard {
    fn of(response: &Response) -> Self {
        let header = |name: &str, max: usize| {
            let value = response.headers().get(name)?.to_str().ok()?;
            (value.len() <= max).then(|| value.to_owned())
        };
        Self {
            status: response.status().as_u16(),
            retry_after: header("retry-after", 64),
            allowed_origin: header("webhook-allowed-origin", 255),
        }
    }
}

/// Reads on to the end, up to the bound. The status is already known: what breaks here changes nothing.
async fn drain(mut response: Response) {
    let mut left = MAX_ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) if rest > 0 => left = rest,
            _ => return,
        }
    }
}

fn failure_of(error: &reqwest::Error) -> WebhookFailure {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<NotDialled>() {
            return match refused {
                NotDialled::Guard => WebhookFailure::Refused(Refusal::Address),
                NotDialled::Unknown => WebhookFailure::Dns,
            };
        }
        source = cause.source();
    }
    if error.is_timeout() {
        WebhookFailure::Timeout
    } else if error.is_connect() {
        WebhookFailure::Connect
    } else {
        WebhookFailure::Broken
    }
}

#[derive(Debug, thiserror::Error)]
enum NotDialled {
    #[error("no permitted address")]
    Guard,
    #[error("the name does not resolve")]
    Unknown,
}

/// Hands out checked addresses only.
struct GuardedDns {
    guard: Arc<Guard>,
    lookup: Lookup,
    plain: bool,
}

impl Resolve for GuardedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, plain) = (Arc::clone(&self.guard), self.plain);
        let host = name.as_str().to_owned();
        let found = (self.lookup)(host.clone());
        Box::pin(async move {
            let found = found.await.map_err(|_| NotDialled::Unknown)?;
            if found.is_empty() {
                return Err(NotDialled::Unknown.into());
            }
            let checked: Vec<_> =
                found.into_iter().filter(|ip| guard.permits(&host, *ip, plain)).map(|ip| SocketAddr::new(ip, 0)).collect();
            if checked.is_empty() {
                return Err(NotDialled::Guard.into());
            }
            Ok(Box::new(checked.into_iter()) as Addrs)
        })
    }
}

async fn system_lookup(name: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A target on loopback that gives one fixed answer and counts connections and requests.
    struct Target {
        port: u16,
        connections: Arc<AtomicUsize>,
        sent_bytes: Arc<AtomicUsize>,
    }

    async fn target(head: &'static str, body_bytes: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let (connections, sent_bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, sent) = (Arc::clone(&connections), Arc::clone(&sent_bytes));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let sent = Arc::clone(&sent);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 * 1024];
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(format!("{head}content-length: {body_bytes}\r\n\r\n").as_bytes()).await;
                    let chunk = vec![b'x'; 32 * 1024];
                    let mut left = body_bytes;
                    while left > 0 {
                        let part = left.min(chunk.len());
                        if stream.write_all(&chunk[..part]).await.is_err() {
                            return;
                        }
                        sent.fetch_add(part, Ordering::SeqCst);
                        left -= part;
                    }
                });
            }
        });
        Target { port, connections, sent_bytes }
    }

    fn client(allow: &[&str], answers: Vec<Vec<IpAddr>>) -> WebhookClient {
        let answers = Mutex::new(answers.into_iter());
        let lookup: Lookup = Arc::new(move |_| {
            let next = answers.lock().expect("lock").next().unwrap_or_default();
            Box::pin(async move { Ok(next) })
        });
        WebhookClient::with_lookup(Arc::new(Guard::new(allow.iter().copied()).expect("entries")), lookup).expect("client")
    }

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_name_that_resolves_to_us_is_never_dialled() {
        let target = target("HTTP/1.1 200 OK\r\n", 0).await;
        // An allowed network opens plain http for names; what they resolve to is judged all the same.
        let client = client(&["10.9.9.9"], vec![vec![LOOPBACK], vec!["::ffff:127.0.0.1".parse().expect("address")], vec![]]);
        let url = format!("http://rebind.post.example:{}/", target.port);
        for expected in [WebhookFailure::Refused(Refusal::Address), WebhookFailure::Refused(Refusal::Address), WebhookFailure::Dns] {
            assert_eq!(client.post(&url, &[], Bytes::new()).await, WebhookAnswer::Failed(expected));
        }
        let literal = format!("https://127.0.0.1:{}/", target.port);
        assert_eq!(client.post(&literal, &[], Bytes::new()).await, WebhookAnswer::Failed(WebhookFailure::Refused(Refusal::Address)));
        assert_eq!(target.connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn of_several_addresses_only_the_permitted_are_dialled() {
        let target = target("HTTP/1.1 204 No Content\r\n", 0).await;
        let client = client(&["127.0.0.1"], vec![vec!["127.0.0.2".parse().expect("address"), LOOPBACK]]);
        let url = format!("http://mixed.post.example:{}/", target.port);
        let answer = client.post(&url, &[("webhook-id", "1".into())], Bytes::from_static(b"{}")).await;
        assert_eq!(answer, WebhookAnswer::Status { code: 204, retry_after: None });
    }

    #[tokio::test]
    async fn redirects_are_answers_and_long_answers_are_cut() {
        let moved = target("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\nretry-after: 7\r\n", 0).await;
        let long = target("HTTP/1.1 200 OK\r\n", 64 * 1024 * 1024).await;
        let client = client(&["127.0.0.0/8"], vec![]);
        let answer = client.post(&format!("http://127.0.0.1:{}/", moved.port), &[], Bytes::new()).await;
        assert_eq!(answer, WebhookAnswer::Status { code: 302, retry_after: Some("7".into()) });
        let answer = client.post(&format!("http://127.0.0.1:{}/", long.port), &[], Bytes::new()).await;
        assert_eq!(answer, WebhookAnswer::Status { code: 200, retry_after: None });
        // Socket buffers take a few MiB at most; the rest was never asked for.
        assert!(long.sent_bytes.load(Ordering::SeqCst) < 32 * 1024 * 1024);
    }

    #[tokio::test]
    async fn the_handshake_counts_only_the_targets_own_word() {
        let silent = target("HTTP/1.1 200 OK\r\n", 0).await;
        let willing = target("HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: gateway.example\r\n", 0).await;
        let client = client(&["127.0.0.1"], vec![]);
        let ask = |port: u16| {
            let client = client.clone();
            async move { client.handshake(&format!("http://127.0.0.1:{port}/"), "gateway.example").await }
        };
        assert_eq!(ask(silent.port).await, Ok(false));
        assert_eq!(ask(willing.port).await, Ok(true));
    }
}
