//! A broker in this process: mutual TLS, HTTP/1.1 by hand, and a script of what it does with each request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::testing::{Files, Leaf, Pki};
use crate::net::tls::{Peer, ServerTlsFiles, server_config};

/// What the broker does with a request that it has read.
#[derive(Clone)]
pub(super) enum Say {
    /// Answers: status, headers with `\r\n`, body.
    Answer(u16, &'static str, &'static str),
    /// Says that more body comes than does.
    HalfAnswer,
    /// Resets the connection.
    Reset,
    /// Resets it before the request is read.
    ResetEarly,
    /// Ends the connection in an orderly way, without an answer.
    Close,
    /// Answers something that is not HTTP.
    Junk,
    /// Answers 200 and goes on without an end.
    Endless,
    /// Answers 200 and then one byte from time to time.
    Drip,
    /// Never answers.
    Nothing,
    /// Answers 202 when told.
    After(Arc<Notify>),
}

const OK: Say = Say::Answer(202, "X-Conversation-ID: c-1\r\n", "");

/// A request as it came.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    pub(super) peer: Peer,
    pub(super) at: Instant,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

pub(super) struct TestBroker {
    pub(super) address: SocketAddr,
    pub(super) seen: watch::Receiver<Vec<Request>>,
    task: tokio::task::JoinHandle<()>,
}

impl TestBroker {
    /// Believes the certificates of `client_ca`; does the script, then answers 202 to everything.
    pub(super) async fn start(pki: &Pki, client_ca: PathBuf, script: Vec<Say>) -> Self {
        let files = pki.issue(Leaf::server("broker"));
        let tls = acceptor(&files, client_ca);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, seen) = watch::channel(Vec::new());
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let sender = Arc::new(sender);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, sender, script) = (tls.clone(), Arc::clone(&sender), Arc::clone(&script));
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &sender, &script).await;
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    pub(super) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits until it has read so many requests.
    pub(super) async fn requests(&self, count: usize) -> Vec<Request> {
        let mut seen = self.seen.clone();
        let _ = seen.wait_for(|requests| requests.len() >= count).await.expect("the broker runs");
        seen.borrow().clone()
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(files: &Files, client_ca: PathBuf) -> TlsAcceptor {
    let files = ServerTlsFiles { certificate: &files.certificate, key: &files.key, client_ca: Some(&client_ca), crl: None, required: true };
    let tls = server_config(&files, "2026-11-22T10:00:00Z".parse().expect("an instant")).expect("a listener");
    TlsAcceptor::from(Arc::new(tls.config))
}

async fn serve(mut stream: TlsStream<TcpStream>, seen: &watch::Sender<Vec<Request>>, script: &Mutex<VecDeque<Say>>) {
    let peer = Peer::of(stream.get_ref().1).expect("a peer");
    if matches!(script.lock().expect("the script").front(), Some(Say::ResetEarly)) {
        script.lock().expect("the script").pop_front();
        // As much as comes at once: a byte of the message may be among it.
        if stream.read_buf(&mut Vec::with_capacity(16)).await.is_ok_and(|read| read > 0) {
            seen.send_modify(|requests| requests.push(Request { head: String::new(), body: Vec::new(), peer, at: Instant::now() }));
        }
        stream.get_ref().0.set_zero_linger().expect("a reset");
        return;
    }
    while let Some((head, body)) = read(&mut stream).await {
        let say = script.lock().expect("the script").pop_front().unwrap_or(OK);
        seen.send_modify(|requests| requests.push(Request { head, body, peer: peer.clone(), at: Instant::now() }));
        let (status, headers, body, length) = match say {
            Say::Answer(status, headers, body) => (status, headers, body, body.len()),
            Say::HalfAnswer => (200, "", "<ok", 100),
            Say::After(notify) => {
                notify.notified().await;
                (202, "", "", 0)
            }
            Say::Nothing => std::future::pending().await,
            Say::Close | Say::ResetEarly => return drop(stream.shutdown().await),
            Say::Junk => return drop(stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await),
            Say::Endless => {
                let block = [b' '; 65536];
                let mut written = stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n").await;
                while written.is_ok() {
                    written = stream.write_all(&block).await;
                }
                return;
            }
            Say::Drip => {
                let mut written = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n").await;
                while written.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    written = stream.write_all(b" ").await.and(stream.flush().await);
                }
                return;
            }
            Say::Reset => {
                stream.get_ref().0.set_zero_linger().expect("a reset");
                return;
            }
        };
        let answer = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() || length > body.len() {
            return;
        }
    }
}

async fn read(stream: &mut TlsStream<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).expect("a head");
            let request = Request { head, body: Vec::new(), peer: Peer::of(stream.get_ref().1)?, at: Instant::now() };
            let length: usize = request.header("content-length").expect("a length").parse().expect("a number");
            let mut body = bytes[end + 4..].to_vec();
            while body.len() < length {
                stream.read_buf(&mut body).await.ok().filter(|read| *read > 0)?;
            }
            return Some((request.head, body));
        }
        stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
    }
}
