//! A post's webhook receiver: keeps everything it got, checks the signature by its own arithmetic, and can misbehave.

use crate::wire::{self, answer_bytes, header, put};
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a sink answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mood {
    /// 204.
    Take,
    /// Nothing, until the sender goes.
    Hang,
    /// A status.
    Status(u16),
    /// 307 to another path of this sink, which would take it.
    Redirect,
    /// 200 and a body without end.
    Endless,
}

/// One delivery as it arrived.
#[derive(Debug, Clone)]
pub struct Hook {
    /// When.
    pub at: Instant,
    /// `webhook-id`.
    pub id: String,
    /// The event.
    pub event: Value,
    /// Whether the signature is right and the timestamp within five minutes.
    pub signed: bool,
    /// Whether it was answered 2xx.
    pub taken: bool,
    /// Path that it came by.
    pub path: String,
}

#[derive(Default)]
struct Desk {
    hooks: Mutex<Vec<Hook>>,
    secret: Mutex<Vec<u8>>,
    most_read: Mutex<u64>,
    any_time: AtomicBool,
}

/// A running sink.
#[derive(Clone)]
pub struct Sink {
    port: u16,
    desk: Arc<Desk>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard Webhooks: HMAC-SHA256 over `id.timestamp.payload`, any of the given signatures, five minutes of tolerance.
fn is_signed(request: &wire::Request, secret: &[u8], any_time: bool) -> bool {
    let value = |name| header(&request.headers, name).unwrap_or_default();
    let (id, timestamp) = (value("webhook-id"), value("webhook-timestamp"));
    let near = timestamp.parse().is_ok_and(|at: i64| (at - crate::clock::seconds()).abs() <= 300);
    let content = [format!("{id}.{timestamp}.").as_bytes(), &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let fits = |signature: &str| {
        let bytes = signature.strip_prefix("v1,").and_then(|text| BASE64_STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| hmac::verify(&key, &content, &bytes).is_ok())
    };
    (near || any_time) && value("webhook-signature").split(' ').any(fits)
}

impl Sink {
    /// Listens on loopback.
    pub async fn start(mood: impl Fn(&Value) -> Mood + Send + Sync + 'static) -> Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let sink = Sink { port: listener.local_addr()?.port(), desk: Arc::default() };
        let (desk, mood) = (sink.desk.clone(), Arc::new(mood));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (desk, mood) = (desk.clone(), mood.clone());
                tokio::spawn(async move { desk.serve(stream, &*mood).await });
            }
        });
        Ok(sink)
    }

    /// Where a subscription points to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks", self.port)
    }

    /// The secret of the subscription, as it was shown.
    pub fn trust(&self, secret: &str) -> Result<()> {
        let text = secret.strip_prefix("whsec_").context("a secret begins with whsec_")?;
        *lock(&self.desk.secret) = BASE64_STANDARD.decode(text)?;
        Ok(())
    }

    /// From now on the time of a signature is not judged: the gateway's clock is wrong on purpose.
    pub fn at_any_time(&self) {
        self.desk.any_time.store(true, SeqCst);
    }

    /// All deliveries so far.
    pub fn hooks(&self) -> Vec<Hook> {
        lock(&self.desk.hooks).clone()
    }

    /// Most bytes that could be written of an endless answer.
    pub fn most_read(&self) -> u64 {
        *lock(&self.desk.most_read)
    }
}

impl Desk {
    async fn serve(&self, stream: TcpStream, mood: &(impl Fn(&Value) -> Mood + Send + Sync)) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = wire::request(&mut stream).await {
            let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let mood = mood(&event);
            let taken = matches!(mood, Mood::Take | Mood::Endless) || matches!(mood, Mood::Status(status) if status / 100 == 2);
            let signed = is_signed(&request, &lock(&self.secret).clone(), self.any_time.load(SeqCst));
            let id = header(&request.headers, "webhook-id").unwrap_or_default().to_owned();
            lock(&self.hooks).push(Hook { at: Instant::now(), id, event, signed, taken, path: request.path.clone() });
            let answer = match mood {
                Mood::Take => answer_bytes(204, &[], b""),
                Mood::Status(status) => answer_bytes(status, &[], b""),
                Mood::Redirect => answer_bytes(307, &[("location".into(), "/elsewhere".into())], b""),
                Mood::Hang => {
                    let mut byte = [0; 1];
                    tokio::time::timeout(Duration::from_secs(120), stream.read(&mut byte)).await.ok();
                    return;
                }
                Mood::Endless => return self.flood(&mut stream).await,
            };
            if put(stream.get_mut(), &answer).await.is_err() {
                return;
            }
        }
    }

    async fn flood(&self, stream: &mut BufReader<TcpStream>) {
        let head = b"HTTP/1.1 200 Said\r\ncontent-length: 1099511627776\r\n\r\n";
        if put(stream.get_mut(), head).await.is_err() {
            return;
        }
        let (block, mut written) = (vec![b'x'; 64 * 1024], 0);
        while let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(5), put(stream.get_mut(), &block)).await {
            written += block.len() as u64;
            if written > 1 << 30 {
                break;
            }
        }
        let mut most = lock(&self.most_read);
        *most = written.max(*most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the scheme's own libraries are tested with.
    #[test]
    fn the_public_vector_verifies_and_a_flipped_byte_does_not() {
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap_or_default();
        let now = crate::clock::seconds().to_string();
        let body = br#"{"test": 2432232314}"#.to_vec();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let known = hmac::sign(&key, &[b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.".as_slice(), &body].concat());
        assert_eq!(BASE64_STANDARD.encode(known), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let tag = hmac::sign(&key, &[format!("m.{now}.").as_bytes(), &body].concat());
        let headers = |id: &str| {
            let signature = format!("v1,{}", BASE64_STANDARD.encode(tag));
            vec![("webhook-id".into(), id.into()), ("webhook-timestamp".into(), now.clone()), ("webhook-signature".into(), signature)]
        };
        assert!(is_signed(&wire::Request { path: String::new(), headers: headers("m"), body: body.clone() }, &secret, false));
        assert!(!is_signed(&wire::Request { path: String::new(), headers: headers("n"), body }, &secret, false));
    }
}
