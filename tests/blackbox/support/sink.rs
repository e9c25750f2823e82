//! A post's webhook receiver on plain loopback, which keeps everything it got and answers as it is told.

use super::wire::{self, Headers};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::BufReader;
use tokio::net::TcpListener;

/// One delivery as it arrived, and what was answered.
#[derive(Clone)]
pub struct Hook {
    pub headers: Headers,
    pub body: Vec<u8>,
    pub answered: u16,
}

impl Hook {
    /// The event in it.
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an event is JSON")
    }

    /// The value of a header that must be there.
    pub fn header(&self, name: &str) -> &str {
        wire::header(&self.headers, name).unwrap_or_else(|| panic!("a webhook has the header {name}"))
    }

    /// The headers in the form of the published verification library.
    pub fn header_map(&self) -> HeaderMap {
        let pair = |(name, value): &(String, String)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        self.headers.iter().map(pair).collect()
    }
}

type Script = dyn Fn(&Hook, usize) -> u16 + Send + Sync;

/// A running sink.
pub struct Sink {
    port: u16,
    hooks: Arc<Mutex<Vec<Hook>>>,
}

impl Sink {
    /// Listens; `script` sees each delivery with its number from 0 and chooses the status.
    pub async fn start(script: impl Fn(&Hook, usize) -> u16 + Send + Sync + 'static) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hooks = Arc::new(Mutex::new(Vec::new()));
        let (script, ledger): (Arc<Script>, _) = (Arc::new(script), hooks.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, ledger) = (script.clone(), ledger.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Ok(Some(request)) = wire::request(&mut stream).await {
                        let mut hook = Hook { headers: request.headers, body: request.body, answered: 0 };
                        {
                            let mut ledger = ledger.lock().unwrap();
                            hook.answered = script(&hook, ledger.len());
                            ledger.push(hook.clone());
                        }
                        if wire::answer(&mut stream, hook.answered, &[], b"").await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Sink { port, hooks }
    }

    /// Where a subscription points to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks", self.port)
    }

    /// All deliveries so far.
    pub fn hooks(&self) -> Vec<Hook> {
        self.hooks.lock().unwrap().clone()
    }

    /// The deliveries that were answered 2xx, of one item.
    pub fn taken(&self, item_id: &str) -> Vec<Value> {
        let hooks = self.hooks();
        let taken = hooks.iter().filter(|hook| hook.answered / 100 == 2).map(Hook::event);
        taken.filter(|event| event["subject"] == item_id).collect()
    }
}
