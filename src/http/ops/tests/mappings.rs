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
