//! The gentle end: what is under way is finished, new traffic is sent away, exit 0 in time.

use crate::support::broker::{Broker, Reply};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::{goods, until};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// SIGTERM: readiness is 503 while a message is still under way, its answer is waited for, then exit 0; nothing is sent twice.
#[tokio::test]
async fn it_drains_and_exits_with_zero() {
    let permits = Arc::new(Semaphore::new(0));
    let held = permits.clone();
    let (mut gateway, broker) = Gateway::with_broker("drain", move |_, _| Reply::AcceptWhen(held.clone())).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    gateway.ops.get("/health/ready").await.expect(200);
    gateway.terminate();
    until("readiness to go", 10, async || (gateway.ops.get("/health/ready").await.status == 503).then_some(())).await;
    gateway.ops.get("/health/live").await.expect(200);
    permits.add_permits(10);
    assert_eq!(gateway.wait_exit(25).await.code(), Some(0), "{}", gateway.log());
    gateway.launch().await;
    gateway.korea.wait_delivered(&id).await;
    gateway.stop().await;
    assert_eq!(broker.ledger().len(), 1, "the message under way was finished, not repeated");
}

/// A broker that never answers cannot hold up the end; the message is sent again under its id by the next process.
#[tokio::test]
async fn a_silent_broker_does_not_hold_up_the_end() {
    let mut setup = Setup::new("drain-silent");
    let broker = Broker::start(&setup.pki, |_, turn| match turn.of_all {
        0 => Reply::Hang,
        _ => Reply::Accept,
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "timeout_s", "60");
    let mut gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    gateway.stop().await;
    gateway.launch().await;
    gateway.korea.wait_delivered(&id).await;
    assert_eq!(broker.by_message().len(), 1, "one message id with one set of bytes");
}
