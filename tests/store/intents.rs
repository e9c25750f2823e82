//! Intents: what was decided on older rows is not written, what waits is looked at when its filing changes, and order holds.

use std::time::Duration;

use bytes::Bytes;
use preclear::domain::clearance::ClearanceStatus;
use preclear::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use preclear::domain::fact::{Fact, Status};
use preclear::domain::ids::{ConversationId, MessageId, lrn};
use preclear::domain::intent::{Becomes, ReasonCode, Refusal, Waits};
use preclear::store::{
    Amended, IntentResult, IntentRow, Means, NewDeclaration, NewIntent, NewMessage, Prepared, Reading, Settlement, TrackingEvent, Wanted,
    WantedReason,
};

use crate::rig::{BROKER, POST, Rig, day, declaration, delivered, fact, item, start};

const MEANS: Means = Means { makes: true, patience: Duration::from_secs(3600) };

/// An amendment (with a body) or a cancellation of version 1 and upwards.
fn wish(of: &NewDeclaration, version: u32, body: Option<&str>) -> NewIntent {
    NewIntent {
        post: POST.to_owned(),
        declaration_id: of.declaration_id,
        kind: if body.is_some() { MessageKind::Amendment } else { MessageKind::Cancellation },
        version,
        amended: body.map(|body| Amended {
            body: Bytes::from(body.to_owned()),
            content_hash: [version as u8 + 9; 32],
            warnings_json: "[]".to_owned(),
        }),
        reason: WantedReason { code: ReasonCode::Value, text: None },
        conversation_id: ConversationId::new(),
        traceparent: None,
        received_at: start(),
        key: None,
        answer: Bytes::from(format!("answer {version}")),
        filings: vec![(of.filings[0].filing_id, BROKER.to_owned())],
    }
}

fn message(counter: u16, kind: MessageKind) -> NewMessage {
    NewMessage {
        message_id: MessageId::new(),
        kind,
        content_type: "application/xml".to_owned(),
        body: Bytes::from(format!("<{kind}>{counter}</{kind}>")),
        body_hash: [4; 32],
        mapping: "hmrc-cds".to_owned(),
        mapping_version: "1.0.0+0".to_owned(),
        lrn: lrn(item(1), day(), counter).expect("counter"),
        conversions: None,
    }
}

async fn wanted(rig: &Rig, wish: NewIntent) {
    assert!(matches!(rig.store.want(wish).await.expect("commit"), Wanted::Stored));
}

async fn due(rig: &Rig) -> Vec<IntentRow> {
    rig.store.intents_due(start(), 10).await.expect("read").into_iter().map(|(_, row)| row.expect("readable")).collect()
}

async fn settle(rig: &Rig, row: &IntentRow, prepared: Prepared) -> IntentResult {
    rig.store.settle_intent(row.intent_id, row.looks, MEANS, prepared).await.expect("commit")
}

fn made(becomes: Becomes, message: NewMessage) -> Prepared {
    Prepared::Made { becomes, messages: vec![message], presents: false }
}

async fn waits(rig: &Rig, row: &IntentRow, why: Waits) {
    assert_eq!(settle(rig, row, Prepared::Waits { why, look_at: None }).await, IntentResult::Done);
}

/// Rendered as a new declaration while nothing was sent; before it commits the lane begins: nothing is written, it is looked at anew.
#[tokio::test]
async fn a_decision_on_older_rows_is_not_written() {
    let rig = Rig::new("intent-race").await;
    let new = declaration(1);
    rig.accept(&new).await;
    wanted(&rig, wish(&new, 1, Some("{}"))).await;
    let row = due(&rig).await.remove(0);
    let first = rig.due_ids(start()).await[0];
    rig.store.begin_attempt(first, start()).await.expect("begin").expect("due");
    assert_eq!(settle(&rig, &row, made(Becomes::Original, message(2, MessageKind::Declaration))).await, IntentResult::Changed);
    assert!(rig.due_ids(start()).await.is_empty(), "no second declaration beside the one under way");
    let row = due(&rig).await.remove(0);
    assert_eq!(row.standing.messages[0].state, DeliveryState::Sending);
    // A look at an older standing does not put it to sleep: what happened since is still to be looked at.
    rig.store.settle(first, crate::rig::attempt(), delivered()).await.expect("settle");
    assert_eq!(settle(&rig, &row, Prepared::Waits { why: Waits::EarlierMessages, look_at: None }).await, IntentResult::Changed);
    let row = due(&rig).await.remove(0);
    assert_eq!(row.standing.messages[0].state, DeliveryState::Delivered);
    waits(&rig, &row, Waits::Answer).await;
    assert!(due(&rig).await.is_empty(), "it sleeps until its filing changes");
    rig.end().await;
}

/// The verdict of customs wakes it; the message it becomes stands behind the declaration, and the next intent behind it.
#[tokio::test]
async fn intents_of_a_filing_are_carried_out_one_after_the_other() {
    let rig = Rig::new("intent-order").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let first = rig.due_ids(start()).await[0];
    rig.send(
        first,
        Settlement::Delivered {
            references: Vec::new(),
            facts: vec![Fact { mrn: Some("26GB1".to_owned()), ..fact(ClearanceStatus::Accepted, start()) }],
        },
    )
    .await;
    wanted(&rig, wish(&new, 1, Some("{\"v\":2}"))).await;
    wanted(&rig, wish(&new, 2, None)).await;
    let rows = due(&rig).await;
    assert_eq!(
        rows.iter().map(|row| (row.kind, row.is_behind)).collect::<Vec<_>>(),
        [(MessageKind::Amendment, false), (MessageKind::Cancellation, true)]
    );
    assert_eq!((rows[0].mrn.as_deref(), rows[0].version, rows[0].next_lrn), (Some("26GB1"), 2, 2));
    waits(&rig, &rows[1], Waits::EarlierMessages).await;
    let amendment = message(2, MessageKind::Amendment);
    let id = amendment.message_id;
    assert_eq!(settle(&rig, &rows[0], made(Becomes::Message, amendment.clone())).await, IntentResult::Done);
    assert_eq!(rig.due_ids(start()).await, [id]);
    let rows = due(&rig).await;
    assert_eq!(rows.len(), 1, "the cancellation is first now, and looked at");
    assert!(!rows[0].is_behind && rows[0].standing.state.unanswered.is_empty(), "nothing left us yet");
    // Refused by the broker, it is answered by nobody any more.
    rig.store.begin_attempt(id, start()).await.expect("begin").expect("due");
    assert_eq!(due(&rig).await[0].standing.state.unanswered, [MessageKind::Amendment]);
    let refused = Settlement::Dead { reason: DeadReason::Refused, facts: Vec::new() };
    rig.store.settle(id, crate::rig::attempt(), refused).await.expect("settle");
    let rows = due(&rig).await;
    assert!(rows[0].standing.state.unanswered.is_empty());
    // The same once more: an LRN is never used twice.
    assert_eq!(settle(&rig, &rows[0], made(Becomes::Message, amendment)).await, IntentResult::Changed);
    rig.end().await;
}

/// Amending what is dead takes it off the list; a cancellation of what was refused ends it by us; a wish that is refused is told.
#[tokio::test]
async fn dead_messages_are_replaced_and_refusals_told() {
    let rig = Rig::new("intent-dead").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let first = rig.due_ids(start()).await[0];
    rig.send(first, Settlement::Dead { reason: DeadReason::Refused, facts: Vec::new() }).await;
    wanted(&rig, wish(&new, 1, Some("{}"))).await;
    let row = due(&rig).await.remove(0);
    assert_eq!(settle(&rig, &row, made(Becomes::Original, message(2, MessageKind::Declaration))).await, IntentResult::Done);
    let letters = rig.store.dead_letters(preclear::store::DeadLetterFilter { limit: 10, ..Default::default() }).await.expect("read");
    assert!(letters.is_empty());
    wanted(&rig, wish(&new, 2, None)).await;
    let row = due(&rig).await.remove(0);
    assert_eq!(
        settle(&rig, &row, Prepared::Refused { why: Refusal::Ended, reasons: Vec::new() }).await,
        IntentResult::Changed,
        "it has not ended"
    );
    assert_eq!(settle(&rig, &row, Prepared::Cancelled).await, IntentResult::Done);
    assert!(rig.due_ids(start()).await.is_empty(), "what was queued is withdrawn");
    let view = rig.store.declaration(POST, new.declaration_id).await.expect("read").expect("known");
    assert_eq!(view.filings[0].state.status, Status::Clearance(ClearanceStatus::Cancelled));
    let events = rig.store.events_after(POST, None, 10).await.expect("read").events;
    let kinds: Vec<String> =
        events.iter().map(|(_, json)| serde_json::from_str::<serde_json::Value>(json).expect("JSON")["type"].to_string()).collect();
    assert_eq!(kinds, ["\"delivery.refused\"", "\"clearance.cancelled\""]);
    assert!(matches!(rig.store.want(wish(&new, 2, None)).await.expect("commit"), Wanted::Replay(answer) if answer == "answer 2"));
    assert!(matches!(rig.store.want(wish(&new, 1, Some("{}"))).await.expect("commit"), Wanted::Changed), "made for an older version");
    rig.end().await;
}

/// A declaration that waits for its consignment is rendered from version 1 while the post amends it: the older bytes never stand
/// for the newer version.
#[tokio::test]
async fn an_amendment_is_not_lost_to_a_declaration_that_is_being_made() {
    let rig = Rig::new("intent-late").await;
    let mut new = declaration(1);
    new.filings[0].waits = true;
    new.filings[0].messages.clear();
    rig.accept(&new).await;
    let row = due(&rig).await.remove(0);
    wanted(&rig, wish(&new, 1, Some("{\"v\":2}"))).await;
    let older = made(Becomes::Original, message(1, MessageKind::Declaration));
    assert_eq!(settle(&rig, &row, older).await, IntentResult::Changed);
    let row = due(&rig).await.remove(0);
    assert_eq!((row.version, row.body.as_ref()), (2, &b"{\"v\":2}"[..]));
    rig.end().await;
}

/// What waits for customs holds up nobody: an arrival before a rejection, then the correction, then its refusal by the broker, then a
/// cancellation.
#[tokio::test]
async fn nothing_waits_for_what_waits_for_it() {
    let rig = Rig::new("intent-deadlock").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let first = rig.due_ids(start()).await[0];
    rig.send(first, delivered()).await;
    let arrival = TrackingEvent { event: "EMD".to_owned(), at: start(), office: None };
    assert!(rig.store.tracking(POST, item(1), arrival, vec![BROKER.to_owned()]).await.expect("tell"));
    let row = due(&rig).await.remove(0);
    waits(&rig, &row, Waits::Answer).await;
    let notice = rig.notice(1, None).await;
    let rejection = Fact { lrn: Some(new.filings[0].messages[0].lrn.clone()), ..fact(ClearanceStatus::Rejected, start()) };
    let facts = Reading::Facts { mapping_version: "1".to_owned(), facts: vec![rejection] };
    rig.store.settle_notice(notice, facts).await.expect("settle");
    wanted(&rig, wish(&new, 1, Some("{}"))).await;
    let rows = due(&rig).await;
    let amendment = rows.iter().find(|row| row.kind == MessageKind::Amendment).expect("an amendment");
    assert!(!amendment.is_behind, "the presentation waits for it, not it for the presentation");
    assert_eq!(settle(&rig, amendment, made(Becomes::Original, message(2, MessageKind::Declaration))).await, IntentResult::Done);
    // The corrected one is refused by the broker: of the present cycle nothing was taken.
    let second = rig.due_ids(start()).await[0];
    rig.send(second, Settlement::Dead { reason: DeadReason::Refused, facts: Vec::new() }).await;
    wanted(&rig, wish(&new, 2, None)).await;
    let rows = due(&rig).await;
    let cancellation = rows.iter().find(|row| row.kind == MessageKind::Cancellation).expect("a cancellation");
    assert!(!cancellation.is_behind);
    assert_eq!(settle(&rig, cancellation, Prepared::Cancelled).await, IntentResult::Done);
    rig.end().await;
}
