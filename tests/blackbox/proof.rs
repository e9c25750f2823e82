//! Brokers that know us by another proof than the client certificate: an OAuth 2.0 token, user and password.

use crate::support::broker::{Broker, Post, Reply, Turn, status};
use crate::support::gateway::{Gateway, run};
use crate::support::setup::Setup;
use crate::support::{goods, lists};
use serde_json::json;

const SECRET: &str = "canary-secret-8841";
const CLIENT: &str = "canary-client-8841";
const TOKEN: &str = "canary-token-8841";

/// No mutual TLS, no CA of its own, a token: as some authorities have it. Until the secret is there the broker is disabled and
/// says why; then one token serves all messages. Neither secret nor token is seen anywhere.
#[tokio::test]
async fn a_broker_by_token_alone_whom_the_machine_trusts() {
    let mut setup = Setup::new("proof");
    setup.log = "trace".into();
    let broker = Broker::without_certificates(&setup.pki, |post: &Post, turn: &Turn| match post.header("authorization") {
        // The first token is refused once, as if it had been revoked.
        "Bearer canary-token-8841-0" if turn.of_all < 2 => Reply::Accept,
        "Bearer canary-token-8841-1" => Reply::Accept,
        _ => status(401),
    })
    .await;
    let tokens = Broker::without_certificates(&setup.pki, |_, turn| {
        Reply::Text(
            200,
            json!({ "access_token": format!("{TOKEN}-{}", turn.of_all), "token_type": "Bearer", "expires_in": 14400 }).to_string(),
        )
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    setup.leave_out("uk-broker", &["ca", "certificate", "key"]);
    let secret = setup.folder.file("secret");
    let auth = format!(
        "{{ kind = \"oauth2\", token_url = \"{}\", client_id = \"{CLIENT}\", secret_file = {:?}, scope = \"write:customs\" }}",
        tokens.url().replace("/customs/declarations", "/oauth/token"),
        secret.display().to_string(),
    );
    setup.tune("uk-broker", "auth", &auth);
    // Whom this machine trusts.
    setup.environment.push(("SSL_CERT_FILE".into(), setup.folder.file("ca.pem").display().to_string()));
    let config = setup.config_path().display().to_string();
    let checked = run(&setup, &["check", "--config", &config]);
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains("brokers.uk-broker.auth") && !told.contains("canary"), "{told}");

    let mut gateway = Gateway::start(setup).await;
    let first = gateway.korea.accepted(&goods::parcel(1)).await;
    let brokers = gateway.ops.json("/v1/brokers").await;
    let row = lists::row(&brokers, "uk-broker").expect("listed").to_string();
    assert!(row.contains("disabled") && row.contains("secret_unreadable"), "{row}");
    assert_eq!((broker.connections(), tokens.connections()), (0, 0), "nothing is sent without the configured proof");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    gateway.ops.post("/v1/brokers/uk-broker/reload-certificates", &json!({})).await.expect(200);
    let mut ids = vec![first];
    for serial in 2..=6 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    let asked = tokens.ledger();
    assert_eq!(asked.len(), 2, "one token for all, and one for that which was refused");
    let form = String::from_utf8_lossy(&asked[0].body).into_owned();
    assert_eq!(form, format!("grant_type=client_credentials&scope=write%3Acustoms&client_id={CLIENT}&client_secret={SECRET}"));
    assert!(broker.ledger().iter().chain(&asked).all(|post| post.certificate.is_empty()));
    let dead = gateway.ops.json("/v1/dead-letters").await;
    assert!(lists::rows(&dead).is_empty(), "{dead}");

    let pages = [gateway.metrics().await, brokers.to_string(), gateway.ops.get("/").await.expect(200).text()];
    gateway.stop().await;
    let log = gateway.log();
    assert!(log.len() > 10_000, "void: the log is not at its most talkative");
    for text in pages.iter().chain([&log]) {
        let at = text.find("canary").map(|at| text[at.saturating_sub(200)..at].to_owned());
        assert_eq!(at, None, "a secret, a token or an id is shown after this");
    }
}

/// User and password beside the client certificate, from the environment.
#[tokio::test]
async fn user_and_password_go_beside_the_certificate() {
    let mut setup = Setup::new("basic");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    setup.tune("uk-broker", "auth", r#"{ kind = "basic", user = "post", password_env = "UK_PASSWORD" }"#);
    setup.environment.push(("UK_PASSWORD".into(), "pa:ss".into()));
    let gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let post = &broker.ledger()[0];
    assert_eq!(post.header("authorization"), "Basic cG9zdDpwYTpzcw==");
    assert_eq!(post.certificate, gateway.setup.pki.gateway_client.sha256);
}
