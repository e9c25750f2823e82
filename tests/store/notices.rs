//! Notices come early, twice, late and unreadable, and never touch what is not theirs.

use preclear::domain::clearance::ClearanceStatus as C;
use preclear::domain::delivery::{DeadReason, DeliveryState};
use preclear::domain::fact::{Fact, ReferenceKind};
use preclear::store::{NewNotice, NoticeResult, Reading, Settlement};

use crate::rig::{BROKER, Rig, attempt, changed, declaration, delivered, fact, later, message_of, start};

fn read(facts: Vec<Fact>) -> Reading {
    Reading::Facts { mapping_version: "1.0.0+0".to_owned(), facts }
}

#[tokio::test]
async fn a_notice_before_the_answer_to_its_submission_is_read_again() {
    let rig = Rig::new("orphan").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let mut notices = rig.store.subscribe_notices();
    let notice = rig.notice(1, Some("conv-1")).await;
    changed(&mut notices).await;
    assert_eq!(rig.store.notices_to_read(Vec::new(), 10).await.expect("read").len(), 1);
    let reading = read(vec![Fact { mrn: Some("26GB1".to_owned()), ..fact(C::Accepted, later(50)) }]);
    assert_eq!(rig.store.settle_notice(notice, reading.clone()).await.expect("settle"), NoticeResult::Orphan);
    assert!(rig.store.notices_to_read(Vec::new(), 10).await.expect("read").is_empty());
    assert_eq!(rig.store.parked_notices(Some(NoticeResult::Orphan), 10).await.expect("read").len(), 1);

    notices.mark_unchanged();
    let message = message_of(&new);
    rig.store.begin_attempt(message, start()).await.expect("begin");
    let references = vec![(ReferenceKind::Conversation, "conv-1".to_owned())];
    rig.store.settle(message, attempt(), Settlement::Delivered { references, facts: Vec::new() }).await.expect("settle");
    changed(&mut notices).await;
    let again = rig.store.notices_to_read(Vec::new(), 10).await.expect("read");
    assert_eq!(again[0].notice_id, notice);
    assert_eq!(rig.store.settle_notice(notice, reading).await.expect("settle"), NoticeResult::Applied);
    assert!(rig.store.parked_notices(None, 10).await.expect("read").is_empty());

    // The MRN is bound now: a notice that knows nothing else finds its item.
    let third = rig.notice(3, None).await;
    let reading = read(vec![Fact { mrn: Some("26GB1".to_owned()), ..fact(C::Released, later(55)) }]);
    assert_eq!(rig.store.settle_notice(third, reading).await.expect("settle"), NoticeResult::Applied);
    let view = rig.store.declaration("KRA", new.declaration_id).await.expect("read").expect("there");
    let types: Vec<&str> = view.history.iter().map(|e| e.event_type.as_str()).collect();
    assert_eq!(types, ["clearance.submitted", "clearance.accepted", "clearance.released"]);
    assert!(view.filings[0].references.contains(&(ReferenceKind::Mrn, "26GB1".to_owned())));
    let shown = rig.store.messages("KRA", new.declaration_id, true).await.expect("read").expect("there");
    assert_eq!(shown.notices.iter().filter(|n| n.content.is_some()).count(), 2);
    rig.end().await;
}

#[tokio::test]
async fn a_fact_finds_its_item_by_what_a_later_one_of_the_same_notice_binds() {
    let rig = Rig::new("binds").await;
    let new = declaration(1);
    rig.accept(&new).await;
    rig.send(message_of(&new), delivered()).await;
    let lrn = new.filings[0].messages[0].lrn.clone();
    let notice = rig.notice(1, None).await;
    let mrn = Some("26GB1".to_owned());
    let facts =
        vec![Fact { mrn: mrn.clone(), ..fact(C::Released, later(60)) }, Fact { mrn, lrn: Some(lrn), ..fact(C::Accepted, later(50)) }];
    assert_eq!(rig.store.settle_notice(notice, read(facts)).await.expect("settle"), NoticeResult::Applied);
    assert!(rig.store.parked_notices(None, 10).await.expect("read").is_empty(), "nothing of it waits");
    assert!(rig.store.notices_to_read(Vec::new(), 10).await.expect("read").is_empty());
    let view = rig.store.declaration("KRA", new.declaration_id).await.expect("read").expect("there");
    assert_eq!(view.filings[0].state.status.as_str(), "released");
    rig.end().await;
}

#[tokio::test]
async fn repeats_are_dropped_and_a_second_reading_answers_the_first() {
    let rig = Rig::new("repeat").await;
    let new = declaration(1);
    rig.accept(&new).await;
    rig.send(message_of(&new), delivered()).await;
    let lrn = new.filings[0].messages[0].lrn.clone();
    let first = rig.notice(1, None).await;
    rig.notice(1, None).await;
    assert_eq!(rig.store.notices_to_read(Vec::new(), 10).await.expect("read").len(), 1, "one key, one notice");
    let reading = read(vec![Fact { lrn: Some(lrn.clone()), ..fact(C::Accepted, later(50)) }]);
    for _ in 0..2 {
        assert_eq!(rig.store.settle_notice(first, reading.clone()).await.expect("settle"), NoticeResult::Applied);
    }
    let same_again = rig.notice(2, None).await;
    assert_eq!(rig.store.settle_notice(same_again, reading).await.expect("settle"), NoticeResult::Recorded);
    let late = rig.notice(3, None).await;
    let reading = read(vec![Fact { lrn: Some(lrn.clone()), ..fact(C::Registered, later(40)) }]);
    assert_eq!(rig.store.settle_notice(late, reading).await.expect("settle"), NoticeResult::Recorded);
    let unknown = rig.notice(4, None).await;
    let reading = read(vec![Fact { lrn: Some(lrn), code: Some("99".to_owned()), unknown_code: true, ..Fact::default() }]);
    assert_eq!(rig.store.settle_notice(unknown, reading).await.expect("settle"), NoticeResult::UnknownCode);
    let by_version = |notice: &preclear::store::ParkedNotice| notice.mapping_version.clone();
    let unreadable = rig.notice(5, None).await;
    let reading = Reading::Unreadable { reason: "doctype", mapping_version: Some("1.0.0+0".to_owned()) };
    assert_eq!(rig.store.settle_notice(unreadable, reading).await.expect("settle"), NoticeResult::Unreadable);
    let parked = rig.store.parked_notices(Some(NoticeResult::Unreadable), 10).await.expect("read");
    assert_eq!(parked.iter().map(by_version).collect::<Vec<_>>(), [Some("1.0.0+0".to_owned())], "which version could not read it");
    let page = rig.store.events_after("KRA", None, 10).await.expect("read");
    assert_eq!(page.events.len(), 2, "submitted and accepted, nothing twice");
    rig.end().await;
}

#[tokio::test]
async fn a_broker_touches_only_its_own() {
    let rig = Rig::new("foreign").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let notice = preclear::domain::ids::NoticeId::new();
    let foreign = NewNotice {
        notice_id: notice,
        broker: "other-broker".to_owned(),
        via: "callback",
        dedupe_key: [1; 32],
        content_type: "application/xml".to_owned(),
        body: bytes::Bytes::from_static(b"<x/>"),
        conversation: None,
        received_at: later(60),
    };
    assert!(!rig.store.take_notice(foreign).await.expect("stored").duplicate);
    let reading = read(vec![Fact { lrn: Some(new.filings[0].messages[0].lrn.clone()), ..fact(C::Released, later(50)) }]);
    assert_eq!(rig.store.settle_notice(notice, reading).await.expect("settle"), NoticeResult::Orphan);
    assert_eq!(rig.due_ids(later(60)).await, [message_of(&new)]);
    rig.end().await;
}

#[tokio::test]
async fn a_verdict_settles_what_was_in_doubt_and_the_attempt_is_kept() {
    let rig = Rig::new("verdict").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let message = message_of(&new);
    rig.store.begin_attempt(message, start()).await.expect("begin");
    let notice = rig.notice(1, None).await;
    let reading = read(vec![Fact { lrn: Some(new.filings[0].messages[0].lrn.clone()), ..fact(C::Accepted, later(50)) }]);
    rig.store.settle_notice(notice, reading).await.expect("settle");
    rig.store.settle(message, attempt(), Settlement::InDoubt { due_at: later(70) }).await.expect("settle");
    assert!(rig.due_ids(later(99)).await.is_empty(), "it is not sent again");
    let view = rig.store.messages("KRA", new.declaration_id, false).await.expect("read").expect("there");
    assert_eq!((view.messages[0].state, view.messages[0].attempts.len()), (DeliveryState::Delivered, 1));
    rig.end().await;
}

#[tokio::test]
async fn a_technical_refusal_read_later_makes_the_message_dead_and_tells_the_post() {
    let rig = Rig::new("refused").await;
    let new = declaration(1);
    rig.accept(&new).await;
    rig.send(message_of(&new), delivered()).await;
    let notice = rig.notice(1, None).await;
    let refusal = Fact { lrn: Some(new.filings[0].messages[0].lrn.clone()), refused: true, ..Fact::default() };
    assert_eq!(rig.store.settle_notice(notice, read(vec![refusal.clone()])).await.expect("settle"), NoticeResult::Applied);
    let repeat = rig.notice(2, None).await;
    assert_eq!(rig.store.settle_notice(repeat, read(vec![refusal])).await.expect("settle"), NoticeResult::Recorded);
    let view = rig.store.declaration("KRA", new.declaration_id).await.expect("read").expect("there");
    assert_eq!((view.filings[0].delivery, view.filings[0].dead_reason), (DeliveryState::Dead, Some(DeadReason::Refused)));
    let types: Vec<&str> = view.history.iter().map(|e| e.event_type.as_str()).collect();
    assert_eq!(types, ["clearance.submitted", "delivery.refused"]);
    let counts: Vec<_> = rig.store.backlog().await.expect("read").into_iter().map(|r| (r.broker, r.state, r.count)).collect();
    assert_eq!(counts, [(BROKER.to_owned(), DeliveryState::Dead, 1)]);
    rig.end().await;
}
