//! The matrix of repeated requests: same key or other, same body or other, at once, after a restart, after the key's life.

use crate::client::{Ask, Client};
use crate::config::{JAPAN_KEY, Setup};
use crate::goods;
use crate::options::Options;
use crate::scenario::faketime;
use crate::stage::{Stage, willing};
use crate::verdict::Verdict;
use crate::wire::{Response, header};
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;

/// At once under one key.
const AT_ONCE: usize = 50;

async fn declare(client: &Client, key: Option<&str>, declaration: &Value) -> Result<Response> {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let body = declaration.to_string();
    let ask = Ask { method: "POST", path: "/v1/declarations", headers: &headers, body: body.as_bytes() };
    client.ask(ask, Duration::from_secs(30)).await.map_err(|failure| failure.why).context("a declaration")
}

fn is_replay(answer: &Response, first: &Response) -> bool {
    answer.status == 200 && answer.body == first.body && header(&answer.headers, "idempotency-replayed") == Some("true")
}

/// All rows of the matrix.
pub async fn run(options: &Options) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut stage = Stage::prepare(options, "idempotency", &Setup::default(), willing(0..5)).await?;
    let clock = faketime::Clock::find(&stage.dir)?;
    if let Some(clock) = &clock {
        stage.gateway.env = clock.env();
    }
    stage.gateway.start().await?;
    let parcel = |serial| goods::parcel(serial, &stage.nonce, &crate::clock::date(crate::clock::seconds()));
    let post = stage.post.clone();
    let (one, mut other) = (parcel(1), parcel(1));
    other["gross_weight_g"] = 999.into();

    let first = declare(&post, Some("k-1"), &one).await?;
    verdict.hold(first.status == 202, || format!("the first was answered {}", first.status));
    let again = declare(&post, Some("k-1"), &one).await?;
    verdict.hold(is_replay(&again, &first), || "same key, same body: not the first answer byte for byte".into());
    let other_body = declare(&post, Some("k-1"), &other).await?;
    verdict.hold(other_body.status == 422 && other_body.is_problem(), || format!("same key, other body: {}", other_body.status));
    let other_key = declare(&post, Some("k-1b"), &one).await?;
    verdict.hold(is_replay(&other_key, &first), || format!("other key, same item and content: {}", other_key.status));
    let no_key = declare(&post, None, &other).await?;
    verdict.hold(no_key.status == 409, || format!("same item, other content: {}", no_key.status));
    at_once(&stage, &parcel(2), &mut verdict).await?;
    let foreign = tenants(&stage, &mut verdict).await?;

    stage.gateway.kill()?;
    stage.gateway.start().await?;
    let after = declare(&post, Some("k-1"), &one).await?;
    verdict.hold(is_replay(&after, &first), || format!("after a restart: {}", after.status));
    let mut originals = 4;
    match &clock {
        Some(clock) => {
            clock.set("+25h")?;
            stage.gateway.stop().await?;
            stage.gateway.start().await?;
            let free = declare(&post, Some("k-1"), &parcel(3)).await?;
            verdict.hold(free.status == 202, || format!("after 25 h the key is free: {}", free.status));
            originals += 1;
            let natural = declare(&post, Some("k-9"), &one).await?;
            verdict.hold(is_replay(&natural, &first), || format!("after 25 h the item is still known: {}", natural.status));
            verdict.count("after_25_h", "seen");
        }
        None => verdict.count("after_25_h", "SKIPPED: libfaketime (package faketime) is not installed"),
    }
    Stage::until(Duration::from_secs(20), async || stage.broker.taken() >= originals).await;
    stage.settle(Duration::from_secs(20)).await;
    let messages: std::collections::HashSet<String> = stage.broker.arrivals().into_iter().map(|arrival| arrival.message_id).collect();
    verdict.count("originals", originals);
    verdict.count("messages", messages.len());
    verdict.hold(messages.len() == originals, || format!("{} messages of {originals} declarations", messages.len()));
    verdict.hold(foreign, || "tenants meet under one key".into());
    if clock.is_none() && options.require {
        verdict.breach("libfaketime is required and not installed");
    }
    stage.close(verdict.breaches() == 0).await?;
    Ok(verdict)
}

/// 50 at once under one key: one is processed, the rest wait or get its answer.
async fn at_once(stage: &Stage, declaration: &Value, verdict: &mut Verdict) -> Result<()> {
    let mut senders = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, declaration) = (stage.post.alone(), declaration.clone());
        senders.spawn(async move { declare(&client, Some("k-2"), &declaration).await });
    }
    let answers: Vec<Response> = senders.join_all().await.into_iter().collect::<Result<_>>()?;
    let of = |status| answers.iter().filter(|answer| answer.status == status).count();
    let (taken, replayed, in_flight) = (of(202), of(200), of(409));
    verdict.count("at_once_202_200_409", vec![taken, replayed, in_flight]);
    verdict
        .hold(taken == 1 && taken + replayed + in_flight == AT_ONCE, || format!("at once: {taken} 202, {replayed} 200, {in_flight} 409"));
    let untold = answers.iter().filter(|answer| answer.status == 409 && header(&answer.headers, "retry-after").is_none()).count();
    verdict.hold(untold == 0, || "a key in flight is answered without Retry-After".into());
    let first = answers.iter().find(|answer| answer.status == 202);
    let unlike = first.is_some_and(|first| answers.iter().any(|answer| answer.status == 200 && !is_replay(answer, first)));
    verdict.hold(!unlike, || "a replay is not the first answer byte for byte".into());
    verdict.void_unless(replayed + in_flight > 0, "the requests did not meet");
    Ok(())
}

/// Another tenant under the same key is another request; tells whether they stay apart.
async fn tenants(stage: &Stage, verdict: &mut Verdict) -> Result<bool> {
    let japan = Client::plain(stage.gateway.intake.clone(), Some(JAPAN_KEY));
    let mut parcel = goods::parcel(4, &stage.nonce, &crate::clock::date(crate::clock::seconds()));
    parcel["item_id"] = goods::s10("EE", 4, "JP").into();
    parcel["sender"]["country"] = "JP".into();
    let theirs = declare(&japan, Some("k-1"), &parcel).await?;
    verdict.hold(theirs.status == 202, || format!("another tenant under the same key: {}", theirs.status));
    let ours = goods::parcel(5, &stage.nonce, &crate::clock::date(crate::clock::seconds()));
    let fifth = declare(&stage.post, Some("k-5"), &ours).await?;
    let id = fifth.json()["declaration_id"].as_str().unwrap_or_default().to_owned();
    let look = japan.get(&format!("/v1/declarations/{id}")).await.map_err(|failure| failure.why)?;
    Ok(look.status == 404 && fifth.status == 202)
}
