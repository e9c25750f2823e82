//! One commit per declaration, and the same answer however often it is asked.

use preclear::store::{Accepted, StoreError};

use crate::rig::{Rig, day, declaration, declaration_on, item, key, later, message_of};

#[tokio::test]
async fn a_declaration_is_there_as_a_whole_with_its_message_due() {
    let rig = Rig::new("whole").await;
    let mut due = rig.store.subscribe_outbox();
    let mut new = declaration(1);
    let conversions = r#"[{"from":"EUR","to":"GBP","rate":"0.88","date":"2026-11-01","source":"HMRC"}]"#;
    new.filings[0].messages[0].conversions = Some(conversions.to_owned());
    assert!(matches!(rig.accept(&new).await, Accepted::Stored));
    crate::rig::changed(&mut due).await;

    let view = rig.store.declaration("KRA", new.declaration_id).await.expect("read").expect("there");
    assert_eq!((view.body.clone(), view.version, view.filings.len()), (new.body.clone(), 1, 1));
    assert_eq!(view.filings[0].delivery.as_str(), "queued");
    assert_eq!(view.filings[0].references[0].1, new.filings[0].messages[0].lrn);
    let rows = rig.due(later(0)).await;
    assert_eq!((rows.len(), &rows[0].body, rows[0].message_id), (1, &new.filings[0].messages[0].body, message_of(&new)));
    assert_eq!(rig.store.lrn_counter(item(1), day()).await.expect("read"), 1);

    let messages = rig.store.messages("KRA", new.declaration_id, false).await.expect("read").expect("there").messages;
    assert_eq!(messages[0].conversions.as_deref(), Some(conversions));

    assert!(rig.store.declaration("JPA", new.declaration_id).await.expect("read").is_none(), "another post's id is unknown");
    assert!(rig.store.item("JPA", item(1)).await.expect("read").is_none());
    assert!(rig.store.messages("JPA", new.declaration_id, true).await.expect("read").is_none());
    rig.end().await;
}

#[tokio::test]
async fn replay_conflict_known_and_keys() {
    let rig = Rig::new("matrix").await;
    let mut first = declaration(7);
    first.key = Some(key("k1", 1));
    assert!(matches!(rig.accept(&first).await, Accepted::Stored));
    let word = |accepted: &Accepted| match accepted {
        Accepted::Stored => "stored",
        Accepted::Replay(answer) if *answer == first.answer => "replay",
        Accepted::Replay(_) => "another answer",
        Accepted::ItemConflict => "conflict",
        Accepted::ItemKnown => "known",
        Accepted::KeyReused => "key reused",
        Accepted::LrnTaken => "lrn taken",
    };
    // key, body of the key, content, days between the posting dates, returned goods, seconds later → outcome
    type Case = (Option<&'static str>, u8, u8, i64, bool, i64, &'static str);
    let cases: &[Case] = &[
        (Some("k1"), 1, 7, 0, false, 1, "replay"),
        (Some("k1"), 2, 7, 0, false, 1, "key reused"),
        (Some("k1"), 1, 9, 0, false, 1, "replay"),
        (None, 0, 7, 0, false, 1, "replay"),
        (None, 0, 9, 0, false, 1, "conflict"),
        (Some("k2"), 3, 9, 0, false, 1, "conflict"),
        (Some("k2"), 3, 7, 0, false, 1, "replay"),
        (Some("k2"), 4, 7, 0, false, 1, "key reused"),
        (None, 0, 7, 364, false, 1, "known"),
        (None, 0, 7, -364, false, 1, "known"),
        (Some("k1"), 2, 9, 0, false, 86_401, "conflict"),
        (Some("k1"), 2, 7, 0, false, 86_401, "replay"),
        (Some("k1"), 2, 7, 0, false, 86_402, "replay"),
        (Some("k1"), 1, 7, 0, false, 86_403, "key reused"),
        (None, 0, 7, 20, true, 1, "stored"),
        (None, 0, 7, 365, false, 1, "known"),
        (None, 0, 7, 385, false, 1, "stored"),
        (None, 0, 7, -365, false, 1, "stored"),
    ];
    for (name, body, content, days, is_return, seconds, expected) in cases {
        let mut again = declaration_on(7, day() + jiff::Span::new().days(*days), &["declaration"]);
        again.key = name.map(|name| key(name, *body));
        (again.content_hash, again.is_return, again.received_at) = ([*content; 32], *is_return, later(*seconds));
        assert_eq!(word(&rig.accept(&again).await), *expected, "{name:?} {body} {content} {days} {is_return} {seconds}");
    }
    rig.clock.set(later(10));
    let known = rig.store.find_replay("KRA", None, item(7), day(), [7; 32]).await.expect("read");
    assert!(known.is_some_and(|known| word(&known) == "replay"));
    let other_post = rig.store.find_replay("JPA", Some(key("k1", 2)), item(7), day(), [7; 32]).await.expect("read");
    assert!(other_post.is_none(), "keys and items belong to one post");
    rig.clock.set(later(3 * 86_400));
    assert_eq!(rig.store.purge_keys().await.expect("purge"), 2);
    rig.end().await;
}

#[tokio::test]
async fn a_fault_in_the_middle_leaves_nothing_of_a_declaration() {
    let rig = Rig::new("middle").await;
    let good = declaration(1);
    rig.accept(&good).await;
    // Its second message has an id that is taken: the fault comes after the declaration, its bodies, its
    // filing and its first message were written.
    let mut bad = declaration_on(2, day(), &["first", "second"]);
    bad.key = Some(key("k", 1));
    bad.filings[0].messages[1].message_id = message_of(&good);
    let (failed, other) = tokio::join!(rig.store.accept(bad.clone()), rig.store.accept(declaration(3)));
    assert!(matches!(failed, Err(StoreError::Fault(_))), "{failed:?}");
    assert!(matches!(other, Ok(Accepted::Stored)), "its neighbour in the commit stands");
    assert!(rig.store.item("KRA", item(2)).await.expect("read").is_none());
    assert_eq!(rig.due(later(0)).await.len(), 2);
    bad.filings[0].messages[1].message_id = preclear::domain::ids::MessageId::new();
    assert!(matches!(rig.accept(&bad).await, Accepted::Stored), "neither its key nor its references are taken");
    rig.end().await;
}

#[tokio::test]
async fn two_posts_with_one_s10_do_not_share_a_reference() {
    let rig = Rig::new("lrn").await;
    assert!(matches!(rig.accept(&declaration(3)).await, Accepted::Stored));
    let mut other = declaration(3);
    other.post = "JPA".to_owned();
    assert!(matches!(rig.accept(&other).await, Accepted::LrnTaken));
    assert!(rig.store.item("JPA", item(3)).await.expect("read").is_none(), "nothing of it was stored");
    let counter = rig.store.lrn_counter(item(3), day()).await.expect("read") + 1;
    other.filings[0].messages[0].lrn = preclear::domain::ids::lrn(item(3), day(), counter).expect("counter");
    assert!(matches!(rig.accept(&other).await, Accepted::Stored));
    rig.end().await;
}

#[tokio::test]
async fn of_many_equal_requests_at_once_one_is_stored() {
    let rig = Rig::new("race").await;
    for round in 0..10 {
        let requests = (0..16).map(|_| rig.store.accept(declaration(100 + round)));
        let results = futures_util::future::join_all(requests).await;
        let stored = results.iter().filter(|r| matches!(r, Ok(Accepted::Stored))).count();
        let replayed = results.iter().filter(|r| matches!(r, Ok(Accepted::Replay(_)))).count();
        assert_eq!((stored, replayed), (1, 15));
    }
    assert_eq!(rig.due(later(0)).await.len(), 10);
    rig.end().await;
}

#[tokio::test]
async fn a_nearly_full_disk_stops_intake_only() {
    let folder = crate::rig::folder("space");
    let clock = std::sync::Arc::new(preclear::domain::time::FixedClock::new(later(0)));
    let mut options = preclear::store::StoreOptions::new(folder.join("store.db"), clock);
    options.min_free_mb = u64::MAX / (1024 * 1024);
    let store = preclear::store::Store::open(options).await.expect("open");
    assert!(matches!(store.accept(declaration(1)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    store.pause("uk-broker", None).await.expect("the rest goes on");
    store.close().await;
    std::fs::remove_dir_all(folder).expect("clean");
}
