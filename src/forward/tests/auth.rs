//! Lanes whose broker wants another proof beside the certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::broker::Say;
use super::rig::{Rig, run, shows};
use crate::domain::delivery::DeliveryState;
use crate::forward::{LaneError, LaneState};
use crate::net::testing::{Pki, TestServer};
use crate::store::Settlement;

/// A token server with an authority of its own, and the setting that leads to it.
async fn tokens(up: &Arc<AtomicBool>) -> (Pki, TestServer, String) {
    let (pki, up) = (Pki::new(), Arc::clone(up));
    pki.write("secret", "s3cr3t\n");
    let server = TestServer::start(&pki, move |number, _| match up.load(Ordering::SeqCst) {
        true => (200, "", format!(r#"{{"access_token":"tok-{number}","expires_in":3600}}"#)),
        false => (503, "", String::new()),
    })
    .await;
    let auth = format!(
        "auth = {{ kind = 'oauth2', token_url = 'https://localhost:{}/token', client_id = 'c', secret_file = '{}', ca = '{}' }}",
        server.port,
        pki.path("secret").display(),
        pki.ca_file().display(),
    );
    (pki, server, auth)
}

#[test]
fn a_token_is_fetched_once_and_a_refused_one_anew_in_the_same_try() {
    run(async {
        let (_pki, server, auth) = tokens(&Arc::new(AtomicBool::new(true))).await;
        let script = vec![Say::Answer(202, "", ""), Say::Answer(401, "", ""), Say::Answer(202, "", ""), Say::Answer(202, "", "")];
        let rig = Rig::new(&format!("max_in_flight = 1\n{auth}"), script).await;
        let messages = [rig.outbox.queue(), rig.outbox.queue(), rig.outbox.queue()];
        let lanes = rig.lanes();
        rig.outbox.all_delivered().await;
        let requests = rig.broker.requests(4).await;
        let tokens: Vec<_> = requests.iter().map(|request| request.header("authorization").unwrap_or_default()).collect();
        assert_eq!(tokens, ["Bearer tok-1", "Bearer tok-1", "Bearer tok-2", "Bearer tok-2"]);
        assert_eq!(server.seen().len(), 2, "one token for three messages, and one for the refused");
        assert!(requests.iter().all(|request| request.peer.is("gateway.example")), "the certificate is shown as ever");
        let (refused, again) = (&requests[1], &requests[2]);
        assert_eq!((&refused.body, refused.header("idempotency-key")), (&again.body, again.header("idempotency-key")));
        rig.outbox.with(|inner| {
            assert!(messages.iter().all(|message| inner.rows[message].row.attempts == 1 && inner.rows[message].attempts.len() == 1));
        });
        assert_eq!(lanes.status()[0].state, LaneState::Ready);
    });
}

#[test]
fn a_token_that_is_refused_again_is_the_channels_fault() {
    run(async {
        let (_pki, server, auth) = tokens(&Arc::new(AtomicBool::new(true))).await;
        let refusals = [Say::Answer(401, "", ""), Say::Answer(401, "", ""), Say::Answer(401, "", "")];
        let rig = Rig::new(&format!("max_in_flight = 1\n{auth}"), refusals.to_vec()).await;
        let message = rig.outbox.queue();
        let lanes = rig.lanes();
        shows(&lanes, LaneState::Open, Some("unauthorized")).await;
        // The first try came with a new token, so that another would be no better: one request, one fetch.
        assert_eq!((rig.broker.count(), server.seen().len()), (1, 1));
        rig.outbox.all_delivered().await;
        assert_eq!(rig.broker.count(), 4, "then twice in one probe, and once when all is well");
        assert_eq!(rig.outbox.with(|inner| inner.rows[&message].row.attempts), 1, "no attempt was spent");
    });
}

#[test]
fn without_a_token_nothing_is_sent_spent_or_recorded() {
    run(async {
        let up = Arc::new(AtomicBool::new(false));
        let (_pki, _server, auth) = tokens(&up).await;
        let rig = Rig::new(&auth, vec![]).await;
        let messages = [rig.outbox.queue(), rig.outbox.queue()];
        let lanes = rig.lanes();
        shows(&lanes, LaneState::Open, Some("token_unavailable")).await;
        assert_eq!(rig.broker.count(), 0);
        rig.outbox.with(|inner| {
            let untouched = |row: &super::outbox::Row| row.row.state == DeliveryState::Queued && row.attempts.is_empty();
            assert!(messages.iter().all(|message| untouched(&inner.rows[message])));
        });
        up.store(true, Ordering::SeqCst);
        rig.outbox.all_delivered().await;
        let settled = rig.outbox.with(|inner| inner.rows[&messages[0]].clone());
        assert!(matches!(settled.settled, Some(Settlement::Delivered { .. })) && settled.row.attempts == 1);
    });
}

#[test]
fn a_missing_secret_disables_the_broker_until_it_is_there() {
    run(async {
        let (pki, server, auth) = tokens(&Arc::new(AtomicBool::new(true))).await;
        std::fs::remove_file(pki.path("secret")).expect("removed");
        let rig = Rig::new(&auth, vec![]).await;
        let message = rig.outbox.queue();
        let lanes = rig.lanes();
        shows(&lanes, LaneState::Disabled, Some("secret_unreadable")).await;
        assert!(matches!(lanes.reload_certificates("b").await, Err(LaneError::Material(_))));
        pki.write("secret", "first");
        lanes.reload_certificates("b").await.expect("it is there");
        rig.outbox.tried(message, 1).await;
        // A rotated secret is used from the reload on.
        pki.write("secret", "second");
        lanes.reload_certificates("b").await.expect("it is there");
        rig.outbox.queue();
        rig.outbox.all_delivered().await;
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert!(seen[0].ends_with("client_secret=first") && seen[1].ends_with("client_secret=second"), "{seen:?}");
        lanes.shutdown(Duration::from_secs(30)).await;
    });
}
