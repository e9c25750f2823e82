//! The post changing its mind: amendments, cancellations and arrivals, each repeated until it is answered.

use crate::client::Client;
use crate::goods::{self, Content};
use crate::load::{Load, Sent};
use crate::wire::Response;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a change is repeated.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the post wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// Another weight, in grams.
    Amend(u32),
    /// Take it back.
    Cancel,
    /// It has arrived: a waiting presentation may go.
    Arrive,
}

/// One wish and its last answer; 0 when there was none in time.
#[derive(Debug, Clone)]
pub struct Change {
    /// Serial number of the declaration.
    pub serial: u32,
    /// What was asked.
    pub wish: Wish,
    /// The answer's status.
    pub status: u16,
    /// What the broker has to get of an amendment.
    pub content: Content,
}

impl Change {
    /// Whether it was acknowledged.
    pub fn is_taken(&self) -> bool {
        self.status / 100 == 2
    }
}

/// The declaration in its version with this weight.
fn version(load: &Load, serial: u32, weight: u32) -> Value {
    let mut declaration = load.declaration(serial);
    declaration["gross_weight_g"] = weight.into();
    declaration
}

async fn ask(client: &Client, load: &Load, serial: u32, sent: &Sent, wish: Wish) -> Option<Response> {
    let path = format!("/v1/declarations/{}", sent.declaration_id);
    let answer = match wish {
        Wish::Amend(weight) => {
            let mut body = version(load, serial, weight);
            body["reason"] = json!({ "code": "weight", "text": "weighed again" });
            client.send("PUT", &path, &body).await
        }
        Wish::Cancel => client.send("DELETE", &format!("{path}?reason=not_posted&text=never%20posted"), &Value::Null).await,
        Wish::Arrive => {
            let at = crate::clock::instant(crate::clock::seconds());
            let body = json!({ "event": "EMD", "at": at, "office": "GBLALA" });
            client.send("POST", &format!("/v1/items/{}/tracking", sent.item), &body).await
        }
    };
    answer.ok()
}

/// Asks until there is an answer that is not "come again".
pub async fn change(client: &Client, load: &Load, serial: u32, sent: &Sent, wish: Wish) -> Change {
    let content = match wish {
        Wish::Amend(weight) => goods::content_of_declaration(&version(load, serial, weight)),
        Wish::Cancel | Wish::Arrive => String::new(),
    };
    let (mut change, began) = (Change { serial, wish, status: 0, content }, Instant::now());
    while began.elapsed() < PATIENCE {
        if let Some(answer) = ask(client, load, serial, sent, wish).await {
            change.status = answer.status;
            if !(matches!(answer.status, 429 | 500..) || answer.json()["code"] == "key_in_flight") {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    change
}
