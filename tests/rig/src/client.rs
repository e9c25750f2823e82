//! A client with kept connections that says of a failure whether the request had begun: the judge of a stop needs to know.

use crate::wire::{self, Response};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}
type Connection = BufReader<Box<dyn Io>>;

/// How long a connection may have been idle to be used again: a server ends idle ones at its own time, and a request that
/// meets that end proves nothing.
const FRESH: Duration = Duration::from_secs(2);

/// A connection to an address, and since when it is idle.
struct Idle {
    address: String,
    since: Instant,
    connection: Connection,
}

/// Where a listener is at this moment; shared, for every restart takes other ports.
pub type Place = Arc<Mutex<String>>;

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// A connection stood and a byte of the request may have gone over it.
    pub begun: bool,
    /// That connection had been used before.
    pub kept: bool,
    /// What happened; for the log.
    pub why: io::Error,
}

/// A client of one listener.
#[derive(Clone)]
pub struct Client {
    place: Place,
    tls: Option<TlsConnector>,
    bearer: Option<String>,
    idle: Arc<Mutex<Vec<Idle>>>,
}

/// One request.
#[derive(Default, Clone)]
pub struct Ask<'a> {
    /// Method; GET when empty.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// More headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a [u8],
}

impl Client {
    /// Plain HTTP, with an API key or none.
    pub fn plain(place: Place, bearer: Option<&str>) -> Client {
        Client { place, tls: None, bearer: bearer.map(str::to_owned), idle: Arc::default() }
    }

    /// Mutual TLS.
    pub fn tls(place: Place, tls: TlsConnector) -> Client {
        Client { place, tls: Some(tls), bearer: None, idle: Arc::default() }
    }

    /// The same client without the connections of this one.
    pub fn alone(&self) -> Client {
        Client { idle: Arc::default(), ..self.clone() }
    }

    fn kept(&self, address: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.address == address && idle.since.elapsed() < FRESH);
        idle.pop().map(|idle| idle.connection)
    }

    async fn open(&self, address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Io> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost").map_err(|_| io::ErrorKind::InvalidInput)?;
                Box::new(tls.connect(name, stream).await?)
            }
        };
        Ok(BufReader::new(stream))
    }

    /// Sends and waits for the whole answer.
    pub async fn ask(&self, ask: Ask<'_>, limit: Duration) -> Result<Response, Failure> {
        let address = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let (mut connection, kept) = match self.kept(&address) {
            Some(connection) => (connection, true),
            None => match tokio::time::timeout(limit, self.open(&address)).await.unwrap_or_else(|_| Err(late())) {
                Ok(connection) => (connection, false),
                Err(why) => return Err(Failure { begun: false, kept: false, why }),
            },
        };
        let bytes = self.bytes(&ask, &address);
        let exchange = async {
            wire::put(connection.get_mut(), &bytes).await?;
            wire::response(&mut connection).await
        };
        match tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(late())) {
            Ok(answer) => {
                if !answer.closes() {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { address, since: Instant::now(), connection });
                }
                Ok(answer)
            }
            Err(why) => Err(Failure { begun: true, kept, why }),
        }
    }

    fn bytes(&self, ask: &Ask<'_>, address: &str) -> Vec<u8> {
        let method = if ask.method.is_empty() { "GET" } else { ask.method };
        let mut text = format!("{method} {} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n", ask.path, ask.body.len());
        if let Some(key) = &self.bearer {
            let _ = write!(text, "authorization: Bearer {key}\r\n");
        }
        for (name, value) in ask.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        [text.as_bytes(), ask.body].concat()
    }

    /// GET with the patience of somebody who reads.
    pub async fn get(&self, path: &str) -> Result<Response, Failure> {
        self.ask(Ask { path, ..Ask::default() }, Duration::from_secs(30)).await
    }

    /// Sends JSON.
    pub async fn send(&self, method: &str, path: &str, body: &serde_json::Value) -> Result<Response, Failure> {
        let body = body.to_string();
        let ask = Ask { method, path, headers: &[("content-type", "application/json")], body: body.as_bytes() };
        self.ask(ask, Duration::from_secs(30)).await
    }
}
