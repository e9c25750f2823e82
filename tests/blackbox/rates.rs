//! Amounts in other currencies: by the operator's rate table, which is swapped whole and told when it is broken.

use crate::support::broker::Broker;
use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::setup::Setup;
use serde_json::{Value, json};
use std::path::Path;

/// The mapping `hmrc-cds` with a message of one sum in pounds.
fn converting(folder: &Path) {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/hmrc-cds"), folder.join("hmrc-cds"));
    std::fs::create_dir_all(&to).expect("folder");
    std::fs::copy(from.join("mapping.toml"), to.join("mapping.toml")).expect("copied");
    let template =
        "<Sum><FunctionalReferenceID>{message.lrn}</FunctionalReferenceID><Pounds>{contents | total('GBP', 'value', 2)}</Pounds></Sum>";
    std::fs::write(to.join("declaration.xml"), template).expect("written");
}

fn in_euro(serial: u32) -> Value {
    let mut parcel = goods::parcel(serial);
    parcel["contents"][0]["value"] = json!({ "amount": "24.00", "currency": "EUR" });
    parcel
}

/// The rate that a message was made with is shown with it; a broken table changes nothing, a good one everything from then on.
#[tokio::test]
async fn a_rate_is_kept_with_its_message_and_a_broken_table_is_refused() {
    let mut setup = Setup::new("rates");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    setup.mappings = setup.folder.file("mappings");
    converting(&setup.mappings);
    let table = setup.folder.file("rates.csv");
    let write = |rate: &str| {
        let text = format!("from,to,valid_from,valid_until,rate,source\nEUR,GBP,2020-01-01,,{rate},HMRC\n");
        std::fs::write(&table, text).expect("written");
    };
    write("0.88");
    setup.line("mappings", &format!("rates = {:?}", table.display().to_string()));
    let gateway = Gateway::start(setup).await;
    let rate_of = async |serial: u32| {
        let id = gateway.korea.accepted(&in_euro(serial)).await;
        gateway.korea.wait_delivered(&id).await;
        let shown = gateway.korea.json(&format!("/v1/declarations/{id}/messages")).await;
        let body = String::from_utf8(broker.about(&goods::item_id(serial))[0].body.to_vec()).expect("UTF-8");
        (shown["messages"][0]["conversions"].clone(), body)
    };
    let kept = |rate: &str| json!([{ "from": "EUR", "to": "GBP", "rate": rate, "date": "2020-01-01", "source": "HMRC" }]);
    let (conversions, body) = rate_of(1).await;
    assert_eq!(conversions, kept("0.88"));
    assert!(body.contains("<Pounds>21.12</Pounds>"), "{body}");

    write("\"0,9\"");
    let refused = gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(409);
    assert!(refused.text().contains("rates.csv:2:1\",") && refused.text().contains("rate has to be a decimal"), "{}", refused.text());
    assert_eq!(rate_of(2).await.0, kept("0.88"));
    write("0.9");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    assert_eq!(rate_of(3).await.0, kept("0.9"));

    // No rate is the sender's fault, at the field; what needs none keeps none.
    let mut dollars = in_euro(4);
    dollars["contents"][0]["value"]["currency"] = "USD".into();
    let fault = gateway.korea.declare(&dollars).await.expect(422).json();
    assert_eq!(fault["errors"][0]["pointer"], "/contents/0/value/currency", "{fault}");
    let pounds = gateway.korea.accepted(&goods::parcel(5)).await;
    let shown = gateway.korea.json(&format!("/v1/declarations/{pounds}/messages")).await;
    assert!(shown["messages"][0].get("conversions").is_none(), "{shown}");
}
