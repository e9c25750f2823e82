//! The life of a mapping: good versions are kept, a broken one changes nothing that works, a message keeps its version.

use crate::support::broker::{Broker, Reply};
use crate::support::gateway::{Gateway, run};
use crate::support::mappings::Mappings;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, lists, metrics, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const TEMPLATE: &str = "hmrc-cds/declaration.xml";

async fn mapping(gateway: &Gateway, name: &str) -> Value {
    let list = gateway.ops.json("/v1/mappings").await;
    lists::row(&list, name).unwrap_or_else(|| panic!("{name} in {list}")).clone()
}

/// The version that made the first message of a declaration.
async fn version_of(gateway: &Gateway, id: &str) -> String {
    let shown = gateway.korea.json(&format!("/v1/declarations/{id}/messages")).await;
    shown["messages"][0]["mapping_version"].as_str().expect("a version").to_owned()
}

async fn shown_notices(gateway: &Gateway, id: &str) -> Vec<Value> {
    let shown = gateway.korea.json(&format!("/v1/declarations/{id}/messages")).await;
    shown["notices"].as_array().expect("a list").clone()
}

async fn state_metric(gateway: &Gateway, mapping: &str) -> Option<f64> {
    metrics::value(&gateway.metrics().await, "preclear_mapping_state", &[("mapping", mapping)])
}

/// A reload of broken files is refused with the place and changes nothing; a start with them serves the stored version and
/// says so everywhere; a reload of mended files takes the new version.
#[tokio::test]
async fn a_broken_mapping_on_disk_changes_nothing_that_works() {
    let mut setup = Setup::new("mapping-broken");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds"]);
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let mut gateway = Gateway::start(setup).await;
    let first = gateway.korea.accepted(&goods::parcel(1)).await;
    let good = version_of(&gateway, &first).await;
    assert_eq!(mapping(&gateway, "hmrc-cds").await["state"], "loaded");
    assert_eq!(state_metric(&gateway, "hmrc-cds").await, Some(0.0));

    let line = mappings.edit(TEMPLATE, "{message.lrn}", "{message.lnr}");
    let refused = gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(409);
    assert_eq!(refused.code(), "reload_refused");
    assert!(!refused.json().to_string().contains("503"), "the mapping in use goes on serving");
    let place = lists::pointers(&refused.json())[0].clone();
    let column = place.strip_prefix(&format!("{TEMPLATE}:{line}:")).unwrap_or_else(|| panic!("{place} is not in line {line}"));
    assert!(column.parse::<u32>().is_ok_and(|column| column > 0), "{place}");
    let now = mapping(&gateway, "hmrc-cds").await;
    assert_eq!((&now["state"], &now["version"]), (&json!("loaded"), &json!(good)));
    assert_eq!(now["kept"].as_array().map(Vec::len), Some(1), "a refused reload keeps nothing: {now}");
    let second = gateway.korea.accepted(&goods::parcel(2)).await;
    assert_eq!(version_of(&gateway, &second).await, good);

    gateway.kill();
    gateway.launch().await;
    let fallen = mapping(&gateway, "hmrc-cds").await;
    assert_eq!((&fallen["state"], &fallen["version"]), (&json!("stored"), &json!(good)));
    assert_eq!(fallen["faults"][0]["place"], json!(place));
    let third = gateway.korea.accepted(&goods::parcel(3)).await;
    assert_eq!(version_of(&gateway, &third).await, good);
    gateway.korea.wait_delivered(&third).await;
    told_everywhere(&gateway, &good, &place).await;

    mappings.edit(TEMPLATE, "{message.lnr}", "{message.lrn}");
    mappings.edit("hmrc-cds/mapping.toml", "version = \"", "version = \"9");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    let mended = mapping(&gateway, "hmrc-cds").await;
    assert_eq!((&mended["state"], &mended["faults"]), (&json!("loaded"), &json!([])));
    assert_ne!(mended["version"], json!(good));
    assert_eq!(mended["kept"][0]["version"], mended["version"]);
    assert_eq!(mended["kept"][1]["version"], json!(good));
    assert_eq!(state_metric(&gateway, "hmrc-cds").await, Some(0.0));
}

/// A fall-back is an alarm and not a failure.
async fn told_everywhere(gateway: &Gateway, good: &str, place: &str) {
    gateway.ops.get("/health/ready").await.expect(200);
    assert_eq!(state_metric(gateway, "hmrc-cds").await, Some(1.0));
    let brokers = gateway.ops.json("/v1/brokers").await;
    let row = lists::row(&brokers, "uk-broker").expect("listed");
    assert_eq!((&row["mapping_state"], &row["mapping_version"]), (&json!("stored"), &json!(good)));
    let page = gateway.ops.get("/").await.expect(200).text();
    assert!(page.contains(good) && page.contains(place), "{page}");
    assert!(gateway.log().contains("a stored version serves"), "the alarm is in the log");
    let check = run(&gateway.setup, &["check", "--config", "preclear.toml"]);
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(1), "{told}");
    assert!(told.contains(place) && told.contains(&format!("would serve the stored version {good}")), "{told}");
}

/// P2 over a reload: what is queued goes with its bytes and its version; new declarations and notices are the new version's.
#[tokio::test]
async fn a_queued_message_keeps_its_bytes_and_notices_are_read_by_the_newest() {
    let mut setup = Setup::new("mapping-queued");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds"]);
    mappings.edit("hmrc-cds/notices.toml", "code = \"09\"", "code = \"X09\"");
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    let broker = Broker::start(
        &setup.pki,
        move |_, _| if is_down.load(Ordering::SeqCst) { Reply::Text(503, "later".into()) } else { Reply::Accept },
    )
    .await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let gateway = Gateway::start(setup).await;
    let queued = gateway.korea.accepted(&goods::parcel(1)).await;
    let old = version_of(&gateway, &queued).await;
    let before = broker.wait_for(1).await[0].clone();

    mappings.edit(TEMPLATE, "<md:WCOTypeName>DEC<", "<md:WCOTypeName>DEC-NEW<");
    mappings.edit("hmrc-cds/notices.toml", "code = \"X09\"", "code = \"09\"");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    let later = gateway.korea.accepted(&goods::parcel(2)).await;
    let new = version_of(&gateway, &later).await;
    assert_ne!(new, old);
    down.store(false, Ordering::SeqCst);
    gateway.korea.wait_delivered(&queued).await;
    gateway.korea.wait_delivered(&later).await;
    assert_eq!(version_of(&gateway, &queued).await, old);
    let after = broker.about(&goods::item_id(1)).last().expect("sent again").clone();
    assert_eq!((&after.message_id, &after.body), (&before.message_id, &before.body), "the same bytes under the same id");
    assert!(!String::from_utf8_lossy(&after.body).contains("DEC-NEW"));
    assert!(String::from_utf8_lossy(&broker.about(&goods::item_id(2))[0].body).contains("DEC-NEW"));

    let replies = shown_notices(&gateway, &queued).await;
    assert!(replies.iter().any(|reply| reply["via"] == "reply" && reply["mapping_version"] == json!(old)), "{replies:?}");
    gateway.uk_broker().notify(&Notice::new("09", &before.lrn()).mrn(&mrn(1)).after(1)).await;
    gateway.korea.wait_clearance(&queued, "cleared").await;
    let notices = shown_notices(&gateway, &queued).await;
    assert!(notices.iter().any(|notice| notice["via"] == "callback" && notice["mapping_version"] == json!(new)), "{notices:?}");
}

/// Nothing stored: that broker's declarations are 503 and its notices wait; the other broker lives on. Mended, all goes on.
#[tokio::test]
async fn a_broken_mapping_without_a_stored_version_harms_its_own_broker_only() {
    let mut setup = Setup::new("mapping-nothing");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds", "other-cds"]);
    mappings.edit(TEMPLATE, "{message.lrn}", "{message.lnr}");
    let (broken, sound) = (Broker::willing(&setup.pki).await, Broker::willing(&setup.pki).await);
    setup.broker("uk-broker", &broken.url(), "recipient.city == 'London'");
    setup.broker("other-broker", &sound.url(), "recipient.country == 'GB'");
    setup.tune("other-broker", "mapping", "\"other-cds\"");
    let gateway = Gateway::start(setup).await;
    gateway.ops.get("/health/ready").await.expect(200);
    let refused = gateway.korea.declare(&goods::parcel(1)).await.expect(503);
    assert_eq!(refused.code(), "mapping_unavailable");
    let other = gateway.korea.accepted(&goods::parcel_to(2, "Leeds")).await;
    gateway.korea.wait_delivered(&other).await;
    let row = mapping(&gateway, "hmrc-cds").await;
    assert_eq!((&row["state"], &row["version"], &row["brokers"]), (&json!("broken"), &Value::Null, &json!(["uk-broker"])));
    assert_eq!(mapping(&gateway, "other-cds").await["state"], "loaded");
    assert_eq!(state_metric(&gateway, "hmrc-cds").await, Some(2.0));
    assert_eq!(state_metric(&gateway, "other-cds").await, Some(0.0));
    let brokers = gateway.ops.json("/v1/brokers").await;
    let fault = &lists::row(&brokers, "uk-broker").expect("listed")["faults"][0];
    assert_eq!(fault["key"], "brokers.uk-broker.mapping", "{fault}");
    assert_eq!(lists::row(&brokers, "other-broker").expect("listed")["usable"], true);

    gateway.uk_broker().notify(&Notice::new("01", "EE000000000KR260101A1").mrn(&mrn(9))).await;
    mappings.edit(TEMPLATE, "{message.lnr}", "{message.lrn}");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let parked = until("the notice that waited for a mapping", 20, async || {
        let list = gateway.ops.json("/v1/notices?state=orphan").await;
        lists::rows(&list).first().cloned()
    })
    .await;
    assert_eq!(parked["mapping_version"], mapping(&gateway, "hmrc-cds").await["version"]);
}

/// The mapping serves, and asks for a setting that the broker's configuration does not have: told with its key, and no value.
#[tokio::test]
async fn a_broker_whose_settings_do_not_fit_says_so_though_its_mapping_is_loaded() {
    let mut setup = Setup::new("mapping-settings");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds"]);
    let first = "[[settings]]\nname = \"declarant_eori\"";
    let stamp = "[[settings]]\nname = \"stamp\"\ntype = \"string\"\nrequired = true\nexample = \"x\"\ndescription = \"x\"\n";
    mappings.edit("hmrc-cds/mapping.toml", first, &format!("{stamp}\n{first}"));
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let gateway = Gateway::start(setup).await;
    assert_eq!(gateway.korea.declare(&goods::parcel(1)).await.expect(503).code(), "mapping_unavailable");
    let brokers = gateway.ops.json("/v1/brokers").await;
    let row = lists::row(&brokers, "uk-broker").expect("listed");
    assert_eq!((&row["usable"], &row["mapping_state"]), (&json!(false), &json!("loaded")), "{row}");
    let listed = mapping(&gateway, "hmrc-cds").await;
    for faults in [&row["faults"], &listed["broker_faults"]] {
        assert_eq!(faults[0]["key"], "brokers.uk-broker.settings.stamp", "{faults}");
    }
    let metrics = gateway.metrics().await;
    assert_eq!(metrics::value(&metrics, "preclear_broker_usable", &[("broker", "uk-broker")]), Some(0.0));
    assert_eq!(state_metric(&gateway, "hmrc-cds").await, Some(0.0));
    mappings.edit("hmrc-cds/mapping.toml", "name = \"stamp\"\ntype = \"string\"\nrequired = true", "name = \"stamp\"\ntype = \"string\"");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    assert_eq!(lists::row(&gateway.ops.json("/v1/brokers").await, "uk-broker").expect("listed")["usable"], true);
}

/// A broker moved to another mapping and the old folder is gone: what the old one made still goes, for its rules are stored.
#[tokio::test]
async fn messages_of_a_removed_mapping_are_still_sent() {
    let mut setup = Setup::new("mapping-former");
    let mappings = Mappings::own(&mut setup, &["old-cds", "hmrc-cds"]);
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    setup.tune("uk-broker", "mapping", "\"old-cds\"");
    let mut gateway = Gateway::start(setup).await;
    gateway.ops.post("/v1/brokers/uk-broker/pause", &json!({})).await.expect(200);
    let waiting = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.kill();
    mappings.remove("old-cds");
    gateway.setup.tune("uk-broker", "mapping", "\"hmrc-cds\"");
    gateway.launch().await;
    let list = gateway.ops.json("/v1/mappings").await;
    assert!(lists::row(&list, "old-cds").is_none(), "what nobody names is no alarm: {list}");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    gateway.ops.post("/v1/brokers/uk-broker/resume", &json!({})).await.expect(200);
    gateway.korea.wait_delivered(&waiting).await;
    assert_eq!(broker.ledger().len(), 1);
}
