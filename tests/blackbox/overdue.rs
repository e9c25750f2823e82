//! Customs says nothing: the post and the operator are told.

use crate::support::broker::Broker;
use crate::support::gateway::Gateway;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, metrics, until};

/// `clearance.overdue` once, also over a kill; the gauge falls with the first decision.
#[tokio::test]
async fn silence_of_customs_is_told_once() {
    let mut setup = Setup::new("overdue");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "answer_within_s", "1");
    let mut gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let item = goods::item_id(1);
    let told = async |gateway: &Gateway| gateway.korea.event_types(&item).await.iter().filter(|kind| *kind == "clearance.overdue").count();
    until("the event", 20, async || (told(&gateway).await > 0).then_some(())).await;
    let gauge = async |gateway: &Gateway| metrics::value(&gateway.metrics().await, "preclear_overdue", &[("broker", "uk-broker")]);
    until("the gauge", 20, async || (gauge(&gateway).await == Some(1.0)).then_some(())).await;
    gateway.kill();
    gateway.launch().await;
    until("the gauge after a kill", 20, async || (gauge(&gateway).await == Some(1.0)).then_some(())).await;
    gateway.uk_broker().notify(&Notice::new("01", &broker.ledger()[0].lrn()).mrn(&mrn(1))).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
    until("the gauge to fall", 20, async || (gauge(&gateway).await == Some(0.0)).then_some(())).await;
    assert_eq!(told(&gateway).await, 1, "once");
    gateway.stop().await;
}
