//! A client of one listener that holds every answer against the promises that hold for all of them:
//! a conversation id on each, and problem+json on each failure.

use super::gateway::Addresses;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::sync::{Arc, Mutex, Once};

/// Which of the three listeners.
#[derive(Clone, Copy, PartialEq)]
pub enum Listener {
    Intake,
    Callbacks,
    Ops,
}

/// A client; it follows the gateway to its new addresses after a restart.
#[derive(Clone)]
pub struct Caller {
    pub client: reqwest::Client,
    pub listener: Listener,
    pub addresses: Arc<Mutex<Addresses>>,
    pub key: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A client without proxy, and with one TLS provider for the whole process.
pub fn client_builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    });
    reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(70))
}

impl Caller {
    /// The base address at this moment.
    pub fn base(&self) -> String {
        let addresses = self.addresses.lock().unwrap();
        match self.listener {
            Listener::Intake => addresses.intake.clone(),
            Listener::Callbacks => addresses.callbacks.clone(),
            Listener::Ops => addresses.ops.clone(),
        }
    }

    /// A request with the post's key, to be completed and given to [`Caller::finish`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base()));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends and judges; an error is one of transport.
    pub async fn try_finish(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let probe = response.url().path().starts_with("/health/");
        let answer = Answer { status, headers, body: response.bytes().await?.to_vec() };
        if self.listener != Listener::Ops {
            let id = answer.header("x-conversation-id").unwrap_or_default();
            assert!(uuid::Uuid::parse_str(id).is_ok(), "every answer carries a conversation id: {answer:?}");
        }
        if status >= 400 && !probe {
            answer.judge_problem();
        }
        Ok(answer)
    }

    /// The same where the transport must work.
    pub async fn finish(&self, request: RequestBuilder) -> Answer {
        self.try_finish(request).await.expect("the gateway answers")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.finish(self.request(Method::GET, path)).await
    }

    /// The JSON of a GET that must succeed.
    pub async fn json(&self, path: &str) -> Value {
        self.get(path).await.expect(200).json()
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string().into_bytes(), &[]).await
    }

    /// POST of bytes that are called JSON, with more headers.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(Method::POST, path).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        self.finish(request).await
    }

    /// Hands in a declaration.
    pub async fn declare(&self, declaration: &Value) -> Answer {
        self.post("/v1/declarations", declaration).await
    }

    /// Hands in a declaration under a key of the sender's.
    pub async fn declare_with_key(&self, declaration: &Value, key: &str) -> Answer {
        let body = declaration.to_string().into_bytes();
        self.post_bytes("/v1/declarations", body, &[("idempotency-key", key)]).await
    }

    /// Hands in a faultless declaration and gives its id.
    pub async fn accepted(&self, declaration: &Value) -> String {
        let answer = self.declare(declaration).await.expect(202).json();
        answer["declaration_id"].as_str().expect("an answer has a declaration_id").to_owned()
    }

    /// What the gateway says of a declaration.
    pub async fn declaration(&self, id: &str) -> Value {
        self.json(&format!("/v1/declarations/{id}")).await
    }

    /// Waits until a member of the declaration, by JSON pointer, has a value.
    pub async fn wait_state(&self, id: &str, pointer: &str, value: &str) -> Value {
        super::until(&format!("{pointer} = {value} of {id}"), 20, async || {
            let declaration = self.declaration(id).await;
            (declaration.pointer(pointer).and_then(Value::as_str) == Some(value)).then_some(declaration)
        })
        .await
    }

    /// Waits until the message of a declaration has reached its broker.
    pub async fn wait_delivered(&self, id: &str) -> Value {
        self.wait_state(id, "/delivery/state", "delivered").await
    }

    /// Waits for a clearance status.
    pub async fn wait_clearance(&self, id: &str, status: &str) -> Value {
        self.wait_state(id, "/clearance/status", status).await
    }

    /// All events kept for this post, read in one page.
    pub async fn events(&self) -> Vec<Value> {
        let page = self.json("/v1/events?limit=1000").await;
        page["events"].as_array().expect("a page of events").clone()
    }

    /// The types of an item's events, in their order.
    pub async fn event_types(&self, item_id: &str) -> Vec<String> {
        let events = self.events().await;
        let own = events.iter().filter(|event| event["subject"] == item_id);
        own.map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Answer {
    /// The status must be this; gives the answer back.
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The problem's code.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// RFC 9457 with the members that the interfaces name.
    fn judge_problem(&self) {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "a failure is a problem document: {self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "code"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {problem}");
        }
        if let Some(id) = self.header("x-conversation-id") {
            assert_eq!(problem["conversation_id"], id, "{problem}");
        }
        for error in problem["errors"].as_array().unwrap_or(&Vec::new()) {
            for member in ["pointer", "code", "detail"] {
                assert!(error[member].is_string(), "{member} in {error}");
            }
        }
        if matches!(self.status, 429 | 503) {
            assert!(self.header("retry-after").is_some(), "{} says when to come back", self.status);
        }
    }
}
