//! Mappings as operators see them.

use super::{StandIn, bench, get, post};

#[actix_web::test]
async fn reload_lists_what_is_wrong_and_says_where() {
    let good = bench(StandIn::default(), "");
    let seen = post(&good, "/v1/mappings/reload", "", "").await;
    assert_eq!((seen.status, seen.json()["mappings"][0]["brokers"].to_string()), (200, r#"["nl-broker","uk-broker"]"#.to_owned()));
    let faulty = bench(StandIn { mappings_are_faulty: true, ..StandIn::default() }, "");
    let seen = post(&faulty, "/v1/mappings/reload", "", "").await;
    assert_eq!((seen.status, seen.code().as_str()), (409, "reload_refused"));
    assert_eq!(seen.pointers(), ["hmrc-cds/declaration.xml:3:7"]);
}

/// A mapping whose files cannot be used is told everywhere with the version that serves, and readiness stays.
#[actix_web::test]
async fn a_mapping_that_the_store_serves_is_told_everywhere() {
    let bench = bench(StandIn { mappings_are_faulty: true, ..StandIn::default() }, "");
    let mapping = get(&bench, "/v1/mappings").await.json()["mappings"][0].clone();
    assert_eq!((mapping["state"].as_str(), mapping["version"].as_str()), (Some("stored"), Some("1+abc")));
    assert_eq!(mapping["faults"][0]["place"], "hmrc-cds/declaration.xml:3:7");
    let kept: Vec<_> = mapping["kept"].as_array().expect("rows").iter().map(|kept| kept["version"].as_str().expect("text")).collect();
    assert_eq!(kept, ["1+abc", "1+old"]);
    let broker = get(&bench, "/v1/brokers").await.json()["brokers"][0].clone();
    assert_eq!((broker["mapping_state"].as_str(), broker["mapping_version"].as_str()), (Some("stored"), Some("1+abc")));
    assert_eq!(get(&bench, "/v1/dead-letters").await.json()["dead_letters"][0]["mapping_version"], "1+old");
    assert_eq!(get(&bench, "/v1/notices?state=orphan").await.json()["notices"][0]["mapping_version"], "1+abc");
    let page = get(&bench, "/").await.text;
    for text in ["its stored version 1+abc serves", "hmrc-cds/declaration.xml:3:7", "&lt;canary&gt;", "hmrc-cds 1+old", "by 1+abc"] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert_eq!(get(&bench, "/health/ready").await.status, 200);
    let failing = super::bench(StandIn { store_fails: true, ..StandIn::default() }, "");
    let seen = get(&failing, "/v1/mappings").await.json();
    assert!(seen["mappings"][0]["kept"].is_null() && seen["mappings"][0]["state"] == "loaded", "{seen}");
}

/// A mapping that serves says nothing of a broker whose settings do not fit it; its breaker hides that neither.
#[actix_web::test]
async fn a_broker_for_which_no_message_can_be_made_says_why() {
    let bench = bench(StandIn::default(), "");
    let brokers = get(&bench, "/v1/brokers").await.json()["brokers"].clone();
    let usable = |at: usize| (brokers[at]["name"].as_str(), brokers[at]["usable"].as_bool(), brokers[at]["faults"].to_string());
    let why = r#"[{"broker":"nl-broker","key":"brokers.nl-broker.settings.office","detail":"is missing"}]"#;
    let sorted = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let (nl, uk) = (usable(0), usable(1));
    assert_eq!((nl.0, nl.1, sorted(&nl.2)), (Some("nl-broker"), Some(false), sorted(why)));
    assert_eq!((uk.0, uk.1, uk.2.as_str()), (Some("uk-broker"), Some(true), "[]"));
    assert_eq!((brokers[0]["state"].as_str(), brokers[0]["mapping_state"].as_str()), (Some("breaker_open"), Some("loaded")));
    let mapping = get(&bench, "/v1/mappings").await.json()["mappings"][0].clone();
    assert_eq!((mapping["state"].as_str(), &mapping["broker_faults"]), (Some("loaded"), &sorted(why)));
    let metrics = get(&bench, "/metrics").await.text;
    for line in ["preclear_broker_usable{broker=\"nl-broker\"} 0", "preclear_broker_usable{broker=\"uk-broker\"} 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
