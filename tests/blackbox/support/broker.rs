//! An independent broker: mutual TLS, HTTP/1.1 by hand, a ledger of every message that arrived whole, and answers by script.
//!
//! It never drops a repeat: the ledger counts them, so that "nothing twice" can be judged.

use super::pki::{Party, Pki};
use super::{sha256_hex, until, wire};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// One message as it arrived.
#[derive(Clone)]
pub struct Post {
    pub at: Instant,
    /// SHA-256 of the client certificate of the connection; empty without one.
    pub certificate: String,
    pub method: String,
    pub path: String,
    pub headers: wire::Headers,
    /// The `Idempotency-Key`.
    pub message_id: String,
    pub body: Arc<Vec<u8>>,
}

impl Post {
    /// The value of a header that must be there.
    pub fn header(&self, name: &str) -> &str {
        wire::header(&self.headers, name).unwrap_or_else(|| panic!("a message has the header {name}"))
    }

    /// Our local reference in the message.
    pub fn lrn(&self) -> String {
        super::notice::lrn_of(&self.body)
    }
}

/// What the broker does with a message.
pub enum Reply {
    /// 202 with an empty body and a conversation id, as the authority does.
    Accept,
    /// The same after a while, so that there is something in flight.
    AcceptAfter(Duration),
    /// The same once the test gives a permit.
    AcceptWhen(Arc<Semaphore>),
    /// Another status with headers.
    Status(u16, Vec<(String, String)>),
    /// A status with a body in which free text stands.
    Text(u16, String),
    /// Read whole, then cut without an answer.
    Cut,
    /// Read whole, then nothing, for ever.
    Hang,
}

/// A status without headers.
pub fn status(status: u16) -> Reply {
    Reply::Status(status, Vec::new())
}

/// The `Retry-After` answers.
pub fn busy(status: u16, retry_after_s: u32) -> Reply {
    Reply::Status(status, vec![("retry-after".into(), retry_after_s.to_string())])
}

/// How often something was seen before, from 0.
pub struct Turn {
    pub of_all: usize,
    pub of_message: usize,
}

type Script = dyn Fn(&Post, &Turn) -> Reply + Send + Sync;

struct Desk {
    script: Box<Script>,
    ledger: Mutex<Vec<Post>>,
    connections: AtomicUsize,
    open: AtomicUsize,
}

/// A running broker.
#[derive(Clone)]
pub struct Broker {
    port: u16,
    desk: Arc<Desk>,
}

/// With the authority's client certificates, or with none at all.
fn tls(pki: &Pki, mutual: bool) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = match mutual {
        true => WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap(),
        false => WebPkiClientVerifier::no_client_auth(),
    };
    let Party { certificate, key, .. } = &pki.broker;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

impl Broker {
    /// Listens on loopback; the script sees every message that arrived whole.
    pub async fn start(pki: &Pki, script: impl Fn(&Post, &Turn) -> Reply + Send + Sync + 'static) -> Broker {
        Broker::listen(tls(pki, true), script).await
    }

    /// One that asks for no certificate.
    pub async fn without_certificates(pki: &Pki, script: impl Fn(&Post, &Turn) -> Reply + Send + Sync + 'static) -> Broker {
        Broker::listen(tls(pki, false), script).await
    }

    async fn listen(acceptor: TlsAcceptor, script: impl Fn(&Post, &Turn) -> Reply + Send + Sync + 'static) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let desk = Arc::new(Desk {
            script: Box::new(script),
            ledger: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let counter = desk.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, desk) = (acceptor.clone(), counter.clone());
                tokio::spawn(async move { desk.serve(acceptor, stream).await });
            }
        });
        Broker { port, desk }
    }

    /// One that takes everything at once.
    pub async fn willing(pki: &Pki) -> Broker {
        Broker::start(pki, |_, _| Reply::Accept).await
    }

    /// The configured URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/customs/declarations", self.port)
    }

    /// Every message that arrived, in order of arrival.
    pub fn ledger(&self) -> Vec<Post> {
        self.desk.ledger.lock().unwrap().clone()
    }

    /// The messages about one item, whose id our references begin with.
    pub fn about(&self, item_id: &str) -> Vec<Post> {
        self.ledger().into_iter().filter(|post| post.lrn().starts_with(item_id)).collect()
    }

    /// Waits for so many messages in all.
    pub async fn wait_for(&self, count: usize) -> Vec<Post> {
        until(&format!("{count} messages at the broker"), 20, async || Some(self.ledger()).filter(|ledger| ledger.len() >= count)).await
    }

    /// How many connections were opened, even those without a handshake.
    pub fn connections(&self) -> usize {
        self.desk.connections.load(Ordering::SeqCst)
    }

    /// How many messages were read and not answered at this moment.
    pub fn unanswered(&self) -> usize {
        self.desk.open.load(Ordering::SeqCst)
    }

    /// The ledger by message id; fails when one id came with two sets of bytes.
    pub fn by_message(&self) -> BTreeMap<String, Vec<Post>> {
        let mut messages: BTreeMap<String, Vec<Post>> = BTreeMap::new();
        for post in self.ledger() {
            messages.entry(post.message_id.clone()).or_default().push(post);
        }
        for (id, posts) in &messages {
            assert!(posts.iter().all(|post| post.body == posts[0].body), "message {id} was sent with two sets of bytes");
        }
        messages
    }
}

/// Counts a message as unanswered while it lives, also when its task is dropped.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desk {
    async fn serve(&self, acceptor: TlsAcceptor, stream: TcpStream) {
        let Ok(stream) = acceptor.accept(stream).await else {
            return;
        };
        let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = peer.map(|certificate| sha256_hex(certificate)).unwrap_or_default();
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = wire::request(&mut stream).await {
            self.open.fetch_add(1, Ordering::SeqCst);
            let open = Open(&self.open);
            let post = Post {
                at: Instant::now(),
                certificate: certificate.clone(),
                message_id: wire::header(&request.headers, "idempotency-key").unwrap_or_default().to_owned(),
                method: request.method,
                path: request.path,
                headers: request.headers,
                body: Arc::new(request.body),
            };
            let (status, headers, body) = match self.judge(post) {
                Reply::Accept => accepted(),
                Reply::AcceptAfter(pause) => {
                    tokio::time::sleep(pause).await;
                    accepted()
                }
                Reply::AcceptWhen(permits) => {
                    permits.acquire().await.unwrap().forget();
                    accepted()
                }
                Reply::Status(status, headers) => (status, headers, String::new()),
                Reply::Text(status, body) => (status, vec![("content-type".into(), "text/plain".into())], body),
                Reply::Cut => return,
                Reply::Hang => std::future::pending().await,
            };
            if wire::answer(&mut stream, status, &headers, body.as_bytes()).await.is_err() {
                return;
            }
            drop(open);
        }
    }

    /// Writes the message down and asks the script.
    fn judge(&self, post: Post) -> Reply {
        let mut ledger = self.ledger.lock().unwrap();
        let turn = Turn { of_all: ledger.len(), of_message: ledger.iter().filter(|earlier| earlier.message_id == post.message_id).count() };
        ledger.push(post.clone());
        drop(ledger);
        (self.script)(&post, &turn)
    }
}

fn accepted() -> (u16, wire::Headers, String) {
    (202, vec![("x-conversation-id".into(), uuid::Uuid::new_v4().to_string())], String::new())
}
