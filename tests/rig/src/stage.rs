//! Everything that a scenario needs, set up: broker, sink, gateway, subscription, and what of the API is read in the end.

use crate::broker::{Arrival, Broker, Conduct, Reply};
use crate::client::Client;
use crate::clock;
use crate::config::{KOREA_KEY, Setup};
use crate::load::Load;
use crate::notice::{Notice, mrn_of};
use crate::options::Options;
use crate::pki::Pki;
use crate::process::Gateway;
use crate::sink::{Mood, Sink};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A stage with all its parties.
pub struct Stage {
    /// Folder of this run.
    pub dir: PathBuf,
    /// Choices.
    pub random: fastrand::Rng,
    /// The gateway.
    pub gateway: Gateway,
    /// The broker.
    pub broker: Broker,
    /// The post's sink.
    pub sink: Sink,
    /// Korea Post.
    pub post: Client,
    /// The operator.
    pub ops: Client,
    /// What tells this run's declarations apart.
    pub nonce: String,
    /// The store is made to fail, so that a 503 is the honest answer where nothing could be stored.
    pub store_fails: bool,
    keep: bool,
}

/// A folder for a run.
pub fn folder(options: &Options, name: &str) -> Result<PathBuf> {
    let base = options.out.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("preclear-rig-{}", std::process::id())));
    let dir = base.join(format!("{name}-{}", options.seed));
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The conduct of a broker that takes everything after a while, with customs that accept and clear.
pub fn willing(pause_ms: std::ops::Range<u64>) -> Conduct {
    Conduct { script: Box::new(move |_| Reply::Accept(Duration::from_millis(fastrand::u64(pause_ms.clone())))), plan: Box::new(clears) }
}

/// Customs accept a declaration, and clear it a second later by their own clock; one in eight is held and released between.
pub fn clears(arrival: &Arrival) -> Vec<(Duration, Notice)> {
    if arrival.kind != "Declaration" {
        return Vec::new();
    }
    let (mrn, at) = (mrn_of(&arrival.lrn), clock::seconds());
    let codes: &[&'static str] = if arrival.of_all.is_multiple_of(8) { &["ACC", "HLD", "REL", "CLR"] } else { &["ACC", "CLR"] };
    let say = |(turn, code): (i64, &&'static str)| (Duration::from_millis(10), Notice::new(code, &arrival.lrn, &mrn, at - 10 + turn));
    (0..).zip(codes).map(say).collect()
}

impl Stage {
    /// Sets up and starts everything.
    pub async fn open(options: &Options, name: &str, setup: &Setup, conduct: Conduct) -> Result<Stage> {
        let mut stage = Stage::prepare(options, name, setup, conduct).await?;
        stage.gateway.start().await?;
        let sink = stage.sink.clone();
        stage.subscribe(&sink).await?;
        Ok(stage)
    }

    /// The same without starting the gateway.
    pub async fn prepare(options: &Options, name: &str, setup: &Setup, conduct: Conduct) -> Result<Stage> {
        let (dir, pki) = (folder(options, name)?, Pki::issue()?);
        let gateway = Gateway::new(options.bin.clone(), dir.clone());
        let broker = Broker::start(&pki, gateway.callbacks.clone(), conduct)?;
        setup.write(&dir, &pki, &broker.url())?;
        let sink = Sink::start(|_| Mood::Take).await?;
        let post = Client::plain(gateway.intake.clone(), Some(KOREA_KEY));
        let ops = Client::plain(gateway.ops.clone(), None);
        let random = fastrand::Rng::with_seed(options.seed);
        let nonce = format!("{:x}", options.seed);
        Ok(Stage { dir, random, gateway, broker, sink, post, ops, nonce, store_fails: false, keep: options.out.is_some() })
    }

    /// Lets a sink hear of everything; tells the subscription's id.
    pub async fn subscribe(&self, sink: &Sink) -> Result<String> {
        let types: Vec<String> = crate::notice::RANKS.iter().skip(1).map(|status| format!("clearance.{status}")).collect();
        let more = [
            "delivery.refused",
            "delivery.dead",
            "amendment.accepted",
            "amendment.rejected",
            "cancellation.rejected",
            "presentation.rejected",
        ];
        let types: Vec<&str> = types.iter().map(String::as_str).chain(more).collect();
        let answer = self.post.send("POST", "/v1/subscriptions", &json!({ "url": sink.url(), "types": types })).await;
        let answer = answer.map_err(|failure| failure.why).context("a subscription")?;
        if answer.status / 100 != 2 {
            bail!("a subscription was answered {}: {}", answer.status, answer.json());
        }
        let told = answer.json();
        sink.trust(told["secret"].as_str().context("the secret is shown once")?)?;
        Ok(told.as_object().and_then(|told| told.get("subscription_id").or(told.get("id"))?.as_str()).unwrap_or_default().to_owned())
    }

    /// A sender of this stage.
    pub fn load(&self, first: u32, rate: f64) -> Arc<Load> {
        Load::new(self.post.clone(), &self.nonce, first, rate)
    }

    /// Kills and starts again.
    pub async fn kill_and_start(&mut self) -> Result<()> {
        self.gateway.kill()?;
        self.gateway.start().await
    }

    /// A GET that must work, with its JSON; tried again while the gateway says that it is busy.
    pub async fn json(client: &Client, path: &str) -> Result<Value> {
        Stage::look(client, path).await?.with_context(|| format!("GET {path} is answered 404"))
    }

    /// The same where nothing may be there.
    pub async fn look(client: &Client, path: &str) -> Result<Option<Value>> {
        let mut last = String::new();
        for _ in 0..20 {
            match client.get(path).await {
                Ok(answer) if answer.status == 200 => return Ok(Some(answer.json())),
                Ok(answer) if answer.status == 404 => return Ok(None),
                Ok(answer) => last = answer.status.to_string(),
                Err(failure) => last = failure.why.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        bail!("GET {path} does not succeed: {last}")
    }

    /// The post's whole log.
    pub async fn feed(&self) -> Result<Vec<Value>> {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let page = Stage::json(&self.post, &format!("/v1/events?limit=1000{after}")).await?;
            let new = page["events"].as_array().cloned().unwrap_or_default();
            if new.is_empty() {
                return Ok(events);
            }
            events.extend(new);
            after = format!("&after={}", page["next"].as_str().context("a page has a cursor")?);
        }
    }

    /// Waits until something holds; tells whether it came to hold in time.
    pub async fn until(limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < limit {
            if holds().await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Waits until nothing is on its way any more: no callback untold, no backlog but what waits for a person.
    pub async fn settle(&self, limit: Duration) -> bool {
        Stage::until(limit, async || self.broker.telling() == 0 && self.backlog().await == Some(0)).await
    }

    /// Messages that ought to move; none when the gateway does not say.
    pub async fn backlog(&self) -> Option<u64> {
        let answer = self.ops.get("/v1/brokers").await.ok().filter(|answer| answer.status == 200)?.json();
        let brokers = answer["brokers"].as_array()?.clone();
        let rows = brokers.iter().filter_map(|broker| broker["backlog"].as_array()).flatten();
        let moving = rows.filter(|row| matches!(row["state"].as_str(), Some("queued" | "sending" | "in_doubt")));
        Some(moving.filter_map(|row| row["messages"].as_u64()).sum())
    }

    /// Ends the run; the folder goes unless it is wanted or something was wrong.
    pub async fn close(mut self, passed: bool) -> Result<()> {
        if self.gateway.is_started() {
            self.gateway.stop().await?;
        }
        if passed && !self.keep {
            remove(&self.dir);
        } else if !passed {
            eprintln!("kept for examination: {}", self.dir.display());
        }
        Ok(())
    }
}

fn remove(dir: &Path) {
    std::fs::remove_dir_all(dir).ok();
    if let Some(base) = dir.parent() {
        std::fs::remove_dir(base).ok();
    }
}
