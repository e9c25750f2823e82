//! The chain of evidence: what is in it, that it goes on over restarts, and that whatever is changed is named.

use std::collections::BTreeMap;
use std::path::Path;

use preclear::domain::audit::{Bad, Entry, EntryKind, Why};
use preclear::domain::delivery::DeadReason;
use preclear::domain::operate::{ActKind, ReplayMode};
use preclear::store::{Act, AttemptRecord, BadEvidence, DeadSelection, NewDeclaration, Replay, Settlement, Store, Verified};
use rusqlite::Connection;

use crate::rig::{BROKER, Rig, attempt, declaration, delivered, message_of, start};

async fn verified(store: &Store) -> Verified {
    store.verify_audit().await.expect("read")
}

fn entries(found: &Verified) -> u64 {
    found.chains.iter().map(|chain| chain.entries).sum()
}

/// A store with something of every kind in its chain: two declarations, a reply, a notice, a death, three acts.
async fn lived(name: &str) -> (Rig, Vec<NewDeclaration>) {
    let rig = Rig::new(name).await;
    let all: Vec<_> = (1..=2).map(declaration).collect();
    for new in &all {
        rig.accept(new).await;
    }
    let [first, second] = [message_of(&all[0]), message_of(&all[1])];
    rig.store.begin_attempt(first, start()).await.expect("begin");
    let answered = AttemptRecord { reply: Some(("text/xml".to_owned(), "<taken/>".into())), ..attempt() };
    rig.store.settle(first, answered, delivered()).await.expect("settle");
    rig.send(second, Settlement::Dead { reason: DeadReason::Refused, facts: Vec::new() }).await;
    rig.notice(1, None).await;
    let selection = DeadSelection { broker: Some(BROKER.to_owned()), ..DeadSelection::default() };
    let replay = Replay { mode: ReplayMode::SameBytes, spacing: BTreeMap::new() };
    rig.store.replay_dead(selection.clone(), replay, Some("their outage is over".to_owned())).await.expect("replayed");
    rig.store.purge_dead(selection, "nothing is left".to_owned()).await.expect("purged");
    let act = Act { kind: ActKind::Pause, broker: Some(BROKER.to_owned()), reason: None };
    rig.store.record_act(act).await.expect("kept");
    (rig, all)
}

#[tokio::test]
async fn everything_that_lasts_is_chained_and_the_chain_goes_on_after_a_restart() {
    let (mut rig, _) = lived("audit-all").await;
    let before = verified(&rig.store).await;
    assert_eq!(before.bad, None);
    let [chain] = before.chains[..] else { panic!("one writer, one chain: {before:?}") };
    // Versions and messages of two, three settlements, a reply and a callback, three acts.
    assert_eq!((chain.entries, before.rows), (4 + 3 + 2 + 3, 4 + 2 + 3));
    let mut counted = BTreeMap::new();
    for link in rig.store.audit_links(None, 100).await.expect("read") {
        for entry in Entry::read_all(&link.entries).expect("entries") {
            *counted.entry(entry.kind.as_str()).or_insert(0) += 1;
        }
    }
    assert_eq!(counted, BTreeMap::from([("act", 3), ("declaration", 2), ("message", 2), ("notice", 2), ("settlement", 3)]));

    rig.restart().await;
    rig.accept(&declaration(3)).await;
    let after = verified(&rig.store).await;
    assert_eq!((after.bad, after.chains.len(), after.chains[0].chain, after.chains[0].links), (None, 1, chain.chain, chain.links + 1));
    assert_eq!(entries(&after), entries(&before) + 2);
    let rest = rig.store.audit_links(Some((chain.chain, chain.links)), 100).await.expect("read");
    assert_eq!(rest.iter().map(|link| link.number).collect::<Vec<_>>(), [chain.links + 1]);

    // What adds nothing to the evidence adds no link, and a repeated notice is no second one.
    rig.store.hasten(BROKER, start()).await.expect("done");
    rig.notice(1, None).await;
    assert_eq!(verified(&rig.store).await.chains, after.chains);
    rig.end().await;
}

#[tokio::test]
async fn acts_are_kept_with_what_they_were_about() {
    let (rig, _) = lived("audit-acts").await;
    let acts = rig.store.acts(10).await.expect("read");
    let told: Vec<_> = acts.iter().map(|act| (act.kind, act.done, act.reason.as_deref())).collect();
    let expected = [
        (ActKind::Pause, None, None),
        (ActKind::Purge, Some(0), Some("nothing is left")),
        (ActKind::Replay, Some(1), Some("their outage is over")),
    ];
    assert_eq!(told, expected);
    assert_eq!(acts[2].filter.as_deref(), Some("{\"broker\":\"uk-broker\",\"mode\":\"same_bytes\"}"));
    rig.end().await;
}

/// Flips a bit of a value in place, keeping its type.
fn flip(conn: &Connection, table: &str, column: &str, pick: &str) {
    let value: rusqlite::types::Value =
        conn.query_row(&format!("SELECT {column} FROM {table} WHERE {pick}"), [], |row| row.get(0)).expect("a row");
    use rusqlite::types::Value;
    let flipped = match value {
        Value::Integer(number) => Value::Integer(number ^ 64),
        Value::Blob(mut bytes) => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            Value::Blob(bytes)
        }
        Value::Text(text) => {
            let last = text.chars().last().map_or('a', |last| if last == 'x' { 'y' } else { 'x' });
            Value::Text(format!("{}{last}", &text[..text.len() - 1]))
        }
        other => panic!("nothing to flip in {other:?}"),
    };
    let changed = conn.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {pick}"), [flipped]).expect("changed");
    assert_eq!(changed, 1, "{table}.{column}");
}

/// A lived store's file, with one change, opened again.
async fn after(folder: &Path, name: &str, change: impl FnOnce(&Connection)) -> Verified {
    let copy = folder.join(name);
    std::fs::create_dir_all(&copy).expect("folder");
    std::fs::copy(folder.join("whole.db"), copy.join("store.db")).expect("copied");
    let conn = Connection::open(copy.join("store.db")).expect("open");
    change(&conn);
    conn.close().expect("closed");
    let store = crate::rig::open(&copy, &std::sync::Arc::new(preclear::domain::time::FixedClock::new(start()))).await;
    let found = verified(&store).await;
    store.close().await;
    found
}

#[tokio::test]
async fn one_flipped_bit_of_any_column_is_named() {
    let (rig, all) = lived("audit-flip").await;
    let folder = crate::rig::folder("audit-flipped");
    let links = verified(&rig.store).await.chains[0].links;
    rig.store.close().await;
    std::fs::copy(rig.file(), folder.join("whole.db")).expect("copied");
    assert_eq!(after(&folder, "untouched", |_| ()).await.bad, None);

    let third = "number = 3";
    for (column, why) in [("at", Why::Hash), ("previous", Why::Previous), ("entries", Why::Hash), ("hash", Why::Hash)] {
        let found = after(&folder, &format!("links-{column}"), |conn| flip(conn, "links", column, third)).await;
        assert!(matches!(found.bad, Some(BadEvidence::Link(Bad { number: 3, why: seen, .. })) if seen == why), "{column}: {found:?}");
        assert_eq!(found.chains[0].links, 2, "{column}");
    }
    for column in ["number", "chain"] {
        let found = after(&folder, &format!("links-{column}"), |conn| flip(conn, "links", column, third)).await;
        assert!(matches!(found.bad, Some(BadEvidence::Link(Bad { why: Why::Gap, .. }))), "{column}: {found:?}");
    }
    for (name, pick, why) in [("first", "number = 1", Why::Gap), ("inner", third, Why::Gap)] {
        let found = after(&folder, name, |conn| drop(conn.execute(&format!("DELETE FROM links WHERE {pick}"), []))).await;
        assert!(matches!(found.bad, Some(BadEvidence::Link(bad)) if bad.why == why), "{name}: {found:?}");
    }
    let cut = after(&folder, "cut", |conn| drop(conn.execute(&format!("DELETE FROM links WHERE number = {links}"), []))).await;
    assert!(matches!(cut.bad, Some(BadEvidence::Row { kind: EntryKind::Act, why: Why::Missing, .. })), "what the last one proved: {cut:?}");

    let id = all[0].declaration_id.0.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let own = format!("declaration_id = x'{id}'");
    let body = |table: &str| format!("body_id = (SELECT min(body_id) FROM {table})");
    let one_act = "act = 'replay'";
    let table: [(&str, &str, &str, EntryKind, Why); 17] = [
        ("salts", "salt", &own, EntryKind::Declaration, Why::Differs),
        ("versions", "version", &own, EntryKind::Declaration, Why::Differs),
        ("versions", "body_id", &own, EntryKind::Declaration, Why::Differs),
        ("versions", "link_id", &own, EntryKind::Declaration, Why::Missing),
        ("bodies", "bytes", &body("versions"), EntryKind::Declaration, Why::Differs),
        ("bodies", "bytes", &body("messages"), EntryKind::Message, Why::Differs),
        ("messages", "body_hash", "state = 'delivered'", EntryKind::Message, Why::Differs),
        ("messages", "link_id", "state = 'delivered'", EntryKind::Message, Why::Missing),
        ("bodies", "bytes", &body("notices"), EntryKind::Notice, Why::Differs),
        ("notices", "body_hash", "via = 'reply'", EntryKind::Notice, Why::Differs),
        ("notices", "salt", "via = 'callback'", EntryKind::Notice, Why::Differs),
        ("acts", "at", one_act, EntryKind::Act, Why::Differs),
        ("acts", "act", one_act, EntryKind::Act, Why::Differs),
        ("acts", "broker", one_act, EntryKind::Act, Why::Differs),
        ("acts", "filter", one_act, EntryKind::Act, Why::Differs),
        ("acts", "reason", one_act, EntryKind::Act, Why::Differs),
        ("acts", "done", one_act, EntryKind::Act, Why::Differs),
    ];
    for (number, (table, column, pick, kind, why)) in table.into_iter().enumerate() {
        let found = after(&folder, &format!("row-{number}"), |conn| flip(conn, table, column, pick)).await;
        let named = matches!(found.bad, Some(BadEvidence::Row { kind: seen, why: told, .. }) if (seen, told) == (kind, why));
        assert!(named, "{table}.{column} where {pick}: {:?}", found.bad);
    }
    std::fs::remove_dir_all(folder).expect("clean");
    rig.end().await;
}

#[tokio::test]
async fn what_is_erased_with_its_salt_leaves_a_chain_that_verifies() {
    let (rig, all) = lived("audit-erased").await;
    let conn = Connection::open(rig.file()).expect("open");
    let erased = all[0].declaration_id.0.as_bytes();
    conn.execute("DELETE FROM salts WHERE declaration_id = ?1", [erased]).expect("erased");
    conn.execute(
        "UPDATE bodies SET bytes = x'00', size = 1 WHERE body_id IN (SELECT body_id FROM versions WHERE declaration_id = ?1)",
        [erased],
    )
    .expect("erased");
    let found = verified(&rig.store).await;
    assert_eq!((found.bad, found.rows), (None, 4 - 2 + 2 + 3));
    // Without its salt erased, it would be told.
    conn.execute("UPDATE bodies SET bytes = x'00', size = 1 WHERE body_id IN (SELECT body_id FROM versions)", []).expect("erased");
    let second = all[1].declaration_id.0;
    assert_eq!(verified(&rig.store).await.bad, Some(BadEvidence::Row { kind: EntryKind::Declaration, subject: second, why: Why::Differs }));
    rig.end().await;
}

/// Many rows, many pages: all of them are held, none twice.
#[tokio::test]
async fn a_long_chain_is_followed_in_pages() {
    let rig = Rig::new("audit-long").await;
    for number in 1..=250 {
        rig.accept(&declaration(number)).await;
    }
    let found = verified(&rig.store).await;
    assert_eq!((found.bad, found.rows, entries(&found)), (None, 500, 500));
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = rig.store.audit_links(after, 30).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some((last.chain, last.number));
        seen.extend(page.iter().map(|link| link.number));
    }
    assert_eq!(seen, (1..=found.chains[0].links).collect::<Vec<_>>());
    rig.end().await;
}
