//! Lanes against a broker in this process, over real mutual TLS. What is awaited is a signal, never a
//! time; whoever hangs is ended by the limit of [`rig::run`].

mod auth;
mod broker;
mod outbox;
mod rig;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use self::broker::{Say, TestBroker};
use self::rig::{Rig, TestRules, run, shows};
use super::*;
use crate::domain::delivery::{DeadReason, DeliveryState};
use crate::domain::fact::ReferenceKind;
use crate::domain::time::SystemClock;
use crate::net::testing::{Leaf, Pki};
use crate::store::Settlement;

#[test]
fn a_message_is_one_post_with_our_certificate_and_its_own_id() {
    run(async {
        let rig = Rig::new("", vec![]).await;
        let (row, lanes) = rig.one().await;
        let requests = rig.broker.requests(1).await;
        assert_eq!(requests.len(), 1);
        let request = &requests[0];
        assert!(request.head.starts_with("POST /declarations HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.body, row.row.body);
        assert!(request.peer.is("gateway.example"));
        let trace = request.header("traceparent").expect("a trace");
        assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && trace.ends_with("-01") && trace != outbox::TRACE);
        for (name, value) in [
            ("content-type", "application/xml; charset=UTF-8"),
            ("idempotency-key", &row.row.message_id.to_string()),
            ("x-conversation-id", &row.row.conversation_id.to_string()),
            ("accept", "application/test"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
        assert!(request.header("transfer-encoding").is_none() && request.header("accept-encoding").is_none());
        let Some(Settlement::Delivered { references, .. }) = row.settled else { panic!("{:?}", row.settled) };
        assert_eq!(references, [(ReferenceKind::Conversation, "c-1".to_owned())]);
        let mut status = lanes.watch("b").expect("a lane");
        let _ = status.wait_for(|status| status.last_success_at.is_some() && status.state == LaneState::Ready).await.expect("lives");
        assert_eq!(lanes.shutdown(Duration::from_secs(30)).await, 0);
    });
}

#[test]
fn what_is_seen_on_the_wire_becomes_what_the_table_says() {
    run(async {
        let none = |_: &Settlement| true;
        let refused = |settlement: &Settlement| {
            let Settlement::Dead { reason: DeadReason::Refused, facts } = settlement else { return false };
            facts.len() == 1 && facts[0].refused && facts[0].reasons.len() == 1
        };
        let job = |settlement: &Settlement| {
            let Settlement::Delivered { references, facts } = settlement else { return false };
            facts.len() == 1 && *references == [(ReferenceKind::Job, "j-7".to_owned())]
        };
        let spent = |settlement: &Settlement| matches!(settlement, Settlement::Retry { spent: true, .. });
        let unspent = |settlement: &Settlement| matches!(settlement, Settlement::Retry { spent: false, .. });
        type Check = fn(&Settlement) -> bool;
        let cases: [(Say, &str, DeliveryState, Check); 18] = [
            (Say::Answer(200, "", "<ok/>"), "delivered", DeliveryState::Delivered, job),
            (Say::Answer(200, "", "<refused/>"), "refused", DeliveryState::Dead, refused),
            (Say::Answer(200, "", "<html>hello"), "unreadable_reply", DeliveryState::InDoubt, none),
            (Say::HalfAnswer, "incomplete_reply", DeliveryState::InDoubt, none),
            (Say::Answer(400, "", "<refused/>"), "refused", DeliveryState::Dead, refused),
            (Say::Answer(422, "", ""), "refused", DeliveryState::Dead, none),
            (Say::Answer(408, "", ""), "not_taken", DeliveryState::Queued, spent),
            (Say::Answer(503, "", ""), "not_taken", DeliveryState::Queued, spent),
            (Say::Answer(429, "Retry-After: 60\r\n", ""), "held_off", DeliveryState::Queued, unspent),
            (Say::Answer(503, "Retry-After: 60\r\n", ""), "held_off", DeliveryState::Queued, unspent),
            (Say::Answer(502, "", ""), "in_doubt", DeliveryState::InDoubt, none),
            (Say::Reset, "cut", DeliveryState::InDoubt, none),
            (Say::ResetEarly, "cut", DeliveryState::InDoubt, none),
            (Say::Close, "cut", DeliveryState::InDoubt, none),
            (Say::Junk, "cut", DeliveryState::InDoubt, none),
            (Say::Endless, "incomplete_reply", DeliveryState::InDoubt, none),
            (Say::Drip, "incomplete_reply", DeliveryState::InDoubt, none),
            (Say::Nothing, "silence", DeliveryState::InDoubt, none),
        ];
        for (say, outcome, state, check) in cases {
            // A second try would come too late to be seen here.
            let settings = "idempotent = true\nretry = { first_ms = 1000000, max_ms = 1000000 }";
            let settings =
                if matches!(say, Say::Nothing | Say::Drip) { settings.to_owned() + "\ntimeout_s = 1" } else { settings.to_owned() };
            let rig = Rig::new(&settings, vec![say]).await;
            let (row, _lanes) = rig.one().await;
            assert_eq!((row.attempts[0].outcome, row.row.state), (outcome, state));
            assert!(row.settled.as_ref().is_some_and(check), "{outcome}: {:?}", row.settled);
            assert_eq!(rig.broker.count(), 1, "{outcome}");
        }
    });
}

#[test]
fn a_broker_that_asks_for_a_pause_gets_it_for_all_messages() {
    run(async {
        let rig = Rig::new("max_in_flight = 1", vec![Say::Answer(429, "Retry-After: 2\r\n", "")]).await;
        let first = rig.outbox.queue();
        let second = rig.outbox.queue();
        let lanes = rig.lanes();
        let status = shows(&lanes, LaneState::Held, Some("retry_after")).await;
        assert!(status.held_until.is_some());
        rig.outbox.all_delivered().await;
        let requests = rig.broker.requests(3).await;
        assert!(requests[1].at - requests[0].at >= Duration::from_secs(2), "the second came early");
        assert_eq!(rig.outbox.with(|inner| inner.rows[&first].row.attempts), 1, "flow control spends nothing");
        assert_eq!(rig.outbox.with(|inner| inner.rows[&second].attempts.len()), 1);
    });
}

#[test]
fn in_doubt_the_same_bytes_go_again_under_the_same_id() {
    run(async {
        let rig = Rig::new("idempotent = true", vec![Say::Reset, Say::Answer(500, "", ""), Say::Answer(503, "", "")]).await;
        let message = rig.outbox.queue();
        let _lanes = rig.lanes();
        rig.outbox.all_delivered().await;
        let requests = rig.broker.requests(4).await;
        assert_eq!(requests.len(), 4);
        let id = message.to_string();
        assert!(requests.iter().all(|r| r.body == requests[0].body && r.header("idempotency-key") == Some(id.as_str())));
    });
}

#[test]
fn in_doubt_at_a_broker_that_keeps_repeats_is_for_a_person() {
    run(async {
        let rig = Rig::new("idempotent = false", vec![Say::Reset]).await;
        let sent = rig.outbox.queue();
        let found = rig.outbox.put(DeliveryState::InDoubt); // by a crash
        let _lanes = rig.lanes();
        for message in [sent, found] {
            let row = rig.outbox.tried(message, 1).await;
            assert!(matches!(row.settled, Some(Settlement::Dead { reason: DeadReason::Unresolved, .. })), "{:?}", row.settled);
        }
        assert_eq!(rig.broker.count(), 1);
    });
}

#[test]
fn a_fault_of_the_channel_kills_no_message_and_the_broker_drains_after_it() {
    run(async {
        let script = [401, 403, 404, 302].map(|status| Say::Answer(status, "Location: /elsewhere\r\n", "")).to_vec();
        let rig = Rig::new("max_in_flight = 1\nretry = { first_ms = 1000000, max_ms = 1000000 }", script).await;
        let messages = [rig.outbox.queue(), rig.outbox.queue(), rig.outbox.queue()];
        let lanes = rig.lanes();
        for reason in ["unauthorized", "forbidden", "not_found", "redirect"] {
            shows(&lanes, LaneState::Open, Some(reason)).await;
        }
        rig.outbox.all_delivered().await;
        assert_eq!(rig.broker.count(), 7, "one probe per half-open period");
        rig.outbox.with(|inner| {
            assert!(messages.iter().all(|message| inner.rows[message].row.attempts == 1));
            assert_eq!(inner.hastened, 1);
        });
    });
}

#[test]
fn without_a_connection_nothing_is_spent_or_recorded() {
    run(async {
        let mut rig = Rig::new("", vec![]).await;
        let (stranger, usual) = (Pki::new(), rig.config["b"].clone());
        let free_port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let refused = format!("https://localhost:{free_port}/");
        for (url, ca, reason) in [(Some(refused), None, "connect"), (None, Some(stranger.ca_file()), "tls")] {
            let mut config = usual.clone();
            if let Some(url) = url {
                config.url.0 = url.parse().expect("a URL");
            }
            if let Some(ca) = ca {
                let text = std::fs::read_to_string(ca).expect("read");
                rig.pki.write("ca.pem", &text);
            }
            rig.config.insert("b".to_owned(), config);
            let message = rig.outbox.queue();
            let lanes = rig.lanes();
            shows(&lanes, LaneState::Open, Some(reason)).await;
            rig.outbox.until(|inner| inner.rows[&message].row.state == DeliveryState::Queued).await;
            lanes.shutdown(Duration::from_secs(30)).await;
            assert!(rig.outbox.with(|inner| inner.rows[&message].attempts.is_empty()));
        }
        assert_eq!(rig.broker.count(), 0);
    });
}

#[test]
fn a_broker_that_does_not_believe_our_certificate_gets_nothing_through() {
    run(async {
        let mut rig = Rig::new("idempotent = true", vec![]).await;
        let stranger = Pki::new();
        rig.broker = TestBroker::start(&rig.pki, stranger.ca_file(), vec![]).await;
        let port = rig.broker.address.port();
        rig.config.get_mut("b").expect("a broker").url.0.set_port(Some(port)).expect("a port");
        let message = rig.outbox.queue();
        let lanes = rig.lanes();
        // Its alert tells us; when the connection ends before we read it, we cannot know, and try again.
        shows(&lanes, LaneState::Open, Some("tls")).await;
        assert_eq!(rig.broker.count(), 0);
        assert!(rig.outbox.with(|inner| inner.rows[&message].row.state != DeliveryState::Delivered));
    });
}

#[test]
fn without_a_fit_certificate_nothing_is_sent_until_there_is_one() {
    run(async {
        let rig = Rig::new("", vec![]).await;
        let (certificate, key) = (rig.pki.path("gateway.pem"), rig.pki.path("gateway.key"));
        let (good, good_key) = (std::fs::read_to_string(&certificate).expect("read"), std::fs::read_to_string(&key).expect("read"));
        std::fs::remove_file(&key).expect("removed");
        let message = rig.outbox.queue();
        let lanes = rig.lanes();
        shows(&lanes, LaneState::Disabled, Some("key_unreadable")).await;
        rig.pki.issue(Leaf::server("gateway"));
        assert!(
            matches!(lanes.reload_certificates("b").await, Err(LaneError::Material(fault)) if fault.as_str() == "certificate_wrong_purpose")
        );
        shows(&lanes, LaneState::Disabled, Some("certificate_wrong_purpose")).await;
        assert_eq!(rig.broker.count(), 0);
        rig.pki.write("gateway.pem", &good);
        rig.pki.write("gateway.key", &good_key);
        lanes.reload_certificates("b").await.expect("fit");
        rig.outbox.tried(message, 1).await;
        // A bad file later keeps what is in use.
        rig.pki.write("gateway.key", "half a k");
        assert!(matches!(lanes.reload_certificates("b").await, Err(LaneError::Material(_))));
        rig.outbox.queue();
        rig.outbox.all_delivered().await;
        assert!(matches!(lanes.reload_certificates("nobody").await, Err(LaneError::UnknownBroker)));
    });
}

#[test]
fn a_pause_outlives_the_process_and_ends_by_resume() {
    run(async {
        let rig = Rig::new("", vec![]).await;
        let lanes = rig.lanes();
        let status = lanes.pause("b", Some("line\nbreak")).await.expect("paused");
        assert_eq!((status.state, status.reason.as_deref()), (LaneState::Paused, Some("linebreak")));
        lanes.shutdown(Duration::from_secs(30)).await;
        let message = rig.outbox.queue();
        let lanes = rig.lanes();
        shows(&lanes, LaneState::Paused, Some("linebreak")).await;
        assert_eq!(rig.broker.count(), 0);
        lanes.resume("b").await.expect("resumed");
        rig.outbox.tried(message, 1).await;
    });
}

#[test]
fn shutdown_finishes_what_is_in_hand_and_takes_nothing_new() {
    run(async {
        let notify = Arc::new(Notify::new());
        let rig = Rig::new("max_in_flight = 1", vec![Say::After(Arc::clone(&notify))]).await;
        let first = rig.outbox.queue();
        let second = rig.outbox.queue();
        rig.outbox.with(|inner| inner.failures = 2); // the store stumbles as well
        let lanes = Arc::new(rig.lanes());
        rig.broker.requests(1).await;
        let ending = tokio::spawn({
            let lanes = Arc::clone(&lanes);
            async move { lanes.shutdown(Duration::from_secs(30)).await }
        });
        shows(&lanes, LaneState::Stopping, None).await;
        notify.notify_one();
        assert_eq!(ending.await.expect("ended"), 0);
        rig.outbox.with(|inner| {
            assert_eq!(inner.rows[&first].row.state, DeliveryState::Delivered);
            assert_eq!(inner.rows[&second].row.state, DeliveryState::Queued);
        });
        assert_eq!(rig.broker.count(), 1);
    });
}

#[test]
fn shutdown_is_bounded_and_says_what_it_cut() {
    run(async {
        let rig = Rig::new("", vec![Say::Nothing]).await;
        let message = rig.outbox.queue();
        let lanes = rig.lanes();
        rig.broker.requests(1).await;
        assert_eq!(lanes.shutdown(Duration::from_millis(100)).await, 1);
        assert_eq!(rig.outbox.with(|inner| inner.rows[&message].row.state), DeliveryState::Sending);
    });
}

#[test]
fn no_second_at_the_broker_sees_more_than_the_permit() {
    run(async {
        let rig = Rig::new("max_in_flight = 32\nrate = { per_second = 100, burst = 20 }", vec![]).await;
        for _ in 0..250 {
            rig.outbox.queue();
        }
        let _lanes = rig.lanes();
        let requests = rig.broker.requests(250).await;
        for (index, first) in requests.iter().enumerate() {
            let within = requests[index..].iter().take_while(|request| request.at - first.at < Duration::from_secs(1)).count();
            assert!(within <= 120, "{within} within one second");
        }
        let ids: std::collections::HashSet<_> =
            requests.iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
        assert_eq!(ids.len(), 250);
    });
}

#[test]
fn behind_a_closed_door_an_attempt_is_undone() {
    run(async {
        let rig = Rig::new("", vec![]).await;
        let message = rig.outbox.queue();
        let row = rig.outbox.with(|inner| inner.rows[&message].row.clone());
        let config = Arc::new(rig.config["b"].clone());
        let hand = attempt::Hand {
            name: "b".to_owned(),
            client: crate::net::client::BrokerClient::new(&config, "2026-11-22T10:00:00Z".parse().expect("an instant")).expect("a client"),
            line: Arc::new(crate::net::line::Line::new(&config.rate)),
            config,
            outbox: Arc::clone(&rig.outbox),
            clock: Arc::new(SystemClock),
            rules: Arc::new(TestRules(false)),
            door: Arc::default(),
            holds: Arc::default(),
        };
        assert!(matches!(hand.carry(row).await, attempt::Finished::NotSent));
        let (state, tries) = rig.outbox.with(|inner| (inner.rows[&message].row.state, inner.rows[&message].attempts.len()));
        assert_eq!((state, tries, rig.broker.count()), (DeliveryState::Queued, 0, 0));
    });
}

/// Where repeats are not dropped a doubt is never sent again on a guess: the broker is asked, until the give-up time.
#[test]
fn a_doubt_is_asked_about_where_repeats_are_not_dropped() {
    run(async {
        let mut rig = Rig::new("idempotent = false", vec![Say::Reset]).await;
        rig.asks = true;
        let (row, lanes) = rig.one().await;
        assert_eq!(row.row.state, DeliveryState::InDoubt);
        rig.outbox.until(|inner| inner.asked.len() >= 3).await;
        assert_eq!(rig.outbox.with(|inner| inner.rows[&row.row.message_id].attempts.len()), 1, "asked, not sent");
        lanes.shutdown(Duration::from_secs(5)).await;

        let mut rig = Rig::new("idempotent = false\nretry = { first_ms = 1, max_ms = 5, give_up_after_s = 1 }", vec![]).await;
        rig.asks = true;
        let message = rig.outbox.put(DeliveryState::InDoubt);
        rig.outbox.with(|inner| {
            let row = inner.rows.get_mut(&message).expect("known");
            row.row.first_attempt_at = row.due_at.checked_sub(Duration::from_secs(5)).ok();
        });
        let _lanes = rig.lanes();
        let row = rig.outbox.tried(message, 1).await;
        assert!(matches!(row.settled, Some(Settlement::Dead { reason: DeadReason::Unresolved, .. })), "{:?}", row.settled);
    });
}
