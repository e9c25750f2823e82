//! Parked notices are read again: by order, by state and broker; or since a newer version of their mapping serves.

use std::collections::BTreeMap;

use preclear::domain::clearance::ClearanceStatus;
use preclear::domain::fact::Fact;
use preclear::domain::operate::ActKind;
use preclear::store::{Handled, NoticeResult, ParkedSelection, Reading, Store};

use crate::rig::{BROKER, POST, Rig, changed, declaration, delivered, fact, later, message_of};

fn unreadable(version: Option<&str>) -> Reading {
    Reading::Unreadable { reason: "cut_off", mapping_version: version.map(str::to_owned) }
}

fn facts(version: &str, fact: Fact) -> Reading {
    Reading::Facts { mapping_version: version.to_owned(), facts: vec![fact] }
}

fn parked(state: NoticeResult) -> ParkedSelection {
    ParkedSelection { state, broker: None }
}

async fn waiting(store: &Store) -> usize {
    store.notices_to_read(Vec::new(), 2000).await.expect("read").len()
}

/// One unreadable, one of an unknown code, one orphan; all read by the version `1`.
async fn three(rig: &Rig) -> String {
    let new = declaration(1);
    rig.accept(&new).await;
    rig.send(message_of(&new), delivered()).await;
    let lrn = new.filings[0].messages[0].lrn.clone();
    let settle = async |key, reading| {
        let notice = rig.notice(key, None).await;
        rig.store.settle_notice(notice, reading).await.expect("settled")
    };
    assert_eq!(settle(1, unreadable(Some("1"))).await, NoticeResult::Unreadable);
    let unknown = Fact { lrn: Some(lrn.clone()), unknown_code: true, ..Fact::default() };
    assert_eq!(settle(2, facts("1", unknown)).await, NoticeResult::UnknownCode);
    let orphan = Fact { lrn: Some("EE000000000KR260101A1".to_owned()), ..fact(ClearanceStatus::Accepted, later(1)) };
    assert_eq!(settle(3, facts("1", orphan)).await, NoticeResult::Orphan);
    lrn
}

#[tokio::test]
async fn an_order_sets_back_what_it_names_and_a_repeat_stays_a_repeat() {
    let rig = Rig::new("reread").await;
    let lrn = three(&rig).await;
    let mut signal = rig.store.subscribe_notices();
    signal.borrow_and_update();
    let other = ParkedSelection { state: NoticeResult::Unreadable, broker: Some("other".to_owned()) };
    assert_eq!(rig.store.reread(other, None).await.expect("done"), Handled { matched: 0, done: 0 });
    assert_eq!(rig.store.count_parked(parked(NoticeResult::Unreadable)).await.expect("read"), 1);
    assert_eq!((waiting(&rig.store).await, signal.has_changed().expect("open")), (0, false), "nothing changed, nobody is woken");

    let own = ParkedSelection { state: NoticeResult::Unreadable, broker: Some(BROKER.to_owned()) };
    assert_eq!(rig.store.reread(own.clone(), Some("mended".to_owned())).await.expect("done"), Handled { matched: 1, done: 1 });
    changed(&mut signal).await;
    assert_eq!(rig.store.reread(own, None).await.expect("done"), Handled { matched: 0, done: 0 }, "it waits already");
    rig.notice(1, None).await;
    let rows = rig.store.notices_to_read(Vec::new(), 10).await.expect("read");
    assert_eq!(rows.len(), 1, "the repeat is none of its own");
    let verdict = Fact { lrn: Some(lrn), ..fact(ClearanceStatus::Accepted, later(1)) };
    assert_eq!(rig.store.settle_notice(rows[0].notice_id, facts("2", verdict.clone())).await.expect("settled"), NoticeResult::Applied);
    assert_eq!(rig.store.settle_notice(rows[0].notice_id, facts("2", verdict)).await.expect("settled"), NoticeResult::Applied);
    let events = rig.store.events_after(POST, None, 100).await.expect("read").events;
    let accepted = events.iter().filter(|(_, json)| json.contains("\"clearance.accepted\"")).count();
    assert_eq!(accepted, 1);

    for state in [NoticeResult::UnknownCode, NoticeResult::Orphan] {
        assert_eq!(rig.store.reread(parked(state), None).await.expect("done"), Handled { matched: 1, done: 1 });
    }
    assert_eq!(waiting(&rig.store).await, 2);
    let acts: Vec<_> = rig.store.acts(10).await.expect("read").into_iter().map(|act| (act.kind, act.done)).collect();
    let counts = [1, 1, 0, 1, 0].map(|done| (ActKind::Reread, Some(done)));
    assert_eq!(acts, counts, "newest first, those that found nothing too");
    assert_eq!(rig.store.verify_audit().await.expect("read").bad, None);
    rig.end().await;
}

#[tokio::test]
async fn a_newer_version_reads_again_what_an_older_one_could_not() {
    let rig = Rig::new("reread-outdated").await;
    three(&rig).await;
    let ours = rig.notice(4, None).await;
    rig.store.settle_notice(ours, unreadable(None)).await.expect("settled");
    let serves = |broker: &str, version: &str| BTreeMap::from([(broker.to_owned(), version.to_owned())]);
    for (versions, expected) in [(serves(BROKER, "1"), 0), (serves("other", "2"), 0), (serves(BROKER, "2"), 2), (serves(BROKER, "2"), 0)] {
        assert_eq!(rig.store.reread_outdated(versions.clone()).await.expect("done"), expected, "{versions:?}");
    }
    assert_eq!(waiting(&rig.store).await, 2, "the orphan waits for its item, and a fault of ours for us");
    rig.end().await;
}

/// More than one step and one look: every one of them, once.
#[tokio::test]
async fn many_are_set_back_in_steps() {
    let rig = Rig::new("reread-many").await;
    let conn = rusqlite::Connection::open(rig.file()).expect("open");
    conn.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
         INSERT INTO notices (notice_id, broker, via, dedupe_key, content_type, body_id, body_hash, size, received_at, state, mapping_version)
         SELECT randomblob(16), CASE i % 10 WHEN 0 THEN 'uk-broker' ELSE 'other' END, 'callback', randomblob(32), 'x', 0, randomblob(32), 0, 5,
                'unreadable', '1' FROM n",
        [],
    )
    .expect("filled");
    assert_eq!(rig.store.reread_outdated(BTreeMap::from([(BROKER.to_owned(), "2".to_owned())])).await.expect("done"), 1200);
    let rest = ParkedSelection { state: NoticeResult::Unreadable, broker: Some("other".to_owned()) };
    assert_eq!(rig.store.reread(rest, None).await.expect("done"), Handled { matched: 10_800, done: 10_800 });
    assert_eq!(rig.store.acts(10).await.expect("read")[0].done, Some(10_800), "one act, however many steps");
    rig.end().await;
}
