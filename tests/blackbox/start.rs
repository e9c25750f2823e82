//! A start on a full store: readiness and the first message do not wait for what is finished.

use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::notice::{Notice, mrn};
use crate::support::until;
use std::time::{Duration, Instant};

/// Copies of every row of the one finished item, under ids of their own: what a store of that size holds.
const COPY: &str = "
PRAGMA synchronous = OFF;
PRAGMA cache_size = -400000;
BEGIN;
CREATE TEMP TABLE copy AS
  WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
  SELECT n, randomblob(16) AS declaration, randomblob(16) AS filing, randomblob(16) AS message, randomblob(16) AS notice FROM n;
INSERT INTO declarations (declaration_id, post, item_id, posted_on, version, content_hash, lrn_used, cancelled, arrived_at)
  SELECT c.declaration, post, printf('X%012d', c.n), posted_on, version, content_hash, lrn_used, cancelled, arrived_at FROM copy c, declarations;
INSERT INTO versions (declaration_id, version, body_id, answer_id, content_hash, warnings, conversation_id, traceparent, received_at, reason_code, reason_text)
  SELECT c.declaration, version, body_id, answer_id, content_hash, warnings, conversation_id, traceparent, received_at, reason_code, reason_text FROM copy c, versions;
INSERT INTO attempts (message_id, number, started_at, finished_at, outcome, http_status, spent, notice_id)
  SELECT c.message, number, started_at, finished_at, outcome, http_status, spent, notice_id FROM copy c, attempts;
INSERT INTO refs (broker, kind, value, message_id) SELECT broker, kind, printf('%s-%d', value, c.n), c.message FROM copy c, refs;
INSERT INTO notice_messages (message_id, notice_id) SELECT c.message, c.notice FROM copy c;
INSERT INTO events (post, position, event_id, type, item_id, declaration_id, filing_id, track, status, occurred_at, received_at, json)
  SELECT post, (SELECT newest FROM logs WHERE logs.post = events.post) * c.n + position, randomblob(16), type, item_id, c.declaration, c.filing, track, status, occurred_at, received_at, json
  FROM copy c, events;
UPDATE logs SET newest = (SELECT max(position) FROM events WHERE events.post = logs.post);
INSERT INTO keys (post, route, key, body_hash, declaration_id, version, used_at) SELECT post, route, printf('%s-%d', key, c.n), body_hash, c.declaration, version, used_at FROM copy c, keys;
UPDATE tallies SET count = count * (SELECT count(*) + 1 FROM copy);
";

/// Tables whose copies keep all columns but those named.
const WHOLE: [(&str, &[(&str, &str)]); 4] = [
    ("filings", &[("declaration_id", "c.declaration"), ("filing_id", "c.filing")]),
    ("messages", &[("message_id", "c.message"), ("lrn", "printf('%s-%d', lrn, c.n)")]),
    ("message_filings", &[("message_id", "c.message"), ("filing_id", "c.filing"), ("declaration_id", "c.declaration")]),
    ("notices", &[("notice_id", "randomblob(16)"), ("dedupe_key", "randomblob(32)")]),
];

fn fill(file: &std::path::Path, items: u32) {
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.execute_batch(&COPY.replace('?', &items.to_string())).unwrap();
    for (table, own) in WHOLE {
        let columns: Vec<String> = {
            let mut statement = conn.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let values: Vec<&str> =
            columns.iter().map(|name| own.iter().find(|(of, _)| of == name).map_or(name.as_str(), |(_, value)| value)).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        conn.execute_batch(&format!("INSERT INTO {table} ({columns}) SELECT {values} FROM copy c, {table}")).unwrap();
    }
    conn.execute_batch("COMMIT; DROP TABLE temp.copy; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
}

/// Issue: start to readiness to the first message at the broker under 2 s with 1,000,000 finished items. Takes minutes and 3 GB:
/// `cargo test --release --test blackbox -- --ignored --nocapture a_start_on`; `PRECLEAR_ITEMS` chooses another number.
#[tokio::test]
#[ignore = "fills a store of some gigabytes"]
async fn a_start_on_a_million_finished_items_is_quick() {
    let items = std::env::var("PRECLEAR_ITEMS").ok().and_then(|items| items.parse().ok()).unwrap_or(1_000_000);
    let (mut gateway, broker) = Gateway::plain("start").await;
    let id =
        gateway.korea.declare_with_key(&goods::parcel(1), "start").await.expect(202).json()["declaration_id"].as_str().unwrap().to_owned();
    gateway.korea.wait_delivered(&id).await;
    let lrn = broker.ledger()[0].lrn();
    gateway.uk_broker().notify(&Notice::new("01", &lrn).mrn(&mrn(1))).await;
    gateway.uk_broker().notify(&Notice::new("09", &lrn).mrn(&mrn(1)).after(1)).await;
    gateway.korea.wait_clearance(&id, "cleared").await;
    gateway.stop().await;
    fill(&gateway.setup.folder.file("preclear.db"), items);

    // Of three starts, each after a kill, the slowest counts.
    let mut slowest = Duration::ZERO;
    for serial in 2..5 {
        gateway.launch().await;
        gateway.korea.accepted(&goods::parcel(serial)).await;
        gateway.kill();
        let before = broker.ledger().len();
        let began = Instant::now();
        gateway.launch().await;
        until("readiness", 60, async || (gateway.ops.get("/health/ready").await.status == 200).then_some(())).await;
        let ready = began.elapsed();
        gateway.korea.accepted(&goods::parcel(serial + 10)).await;
        until("a message", 60, async || (broker.ledger().len() > before).then_some(())).await;
        println!("{items} items: ready after {ready:.1?}, first message after {:.1?}", began.elapsed());
        slowest = slowest.max(began.elapsed());
        gateway.stop().await;
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
