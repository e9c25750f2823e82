//! What only the inside can show: a fault in the middle of a commit, a full disk, a job that panics.

use std::sync::Arc;

use super::Sqlite;
use super::job::Fail;
use super::pack::Packed;
use crate::domain::audit::of_settlement;
use crate::domain::delivery::DeliveryState;
use crate::domain::ids::MessageId;
use crate::domain::time::{FixedClock, from_millis};
use crate::store::{StoreError, StoreOptions};

fn store(name: &str) -> (Sqlite, std::path::PathBuf) {
    let folder = std::env::temp_dir().join(format!("preclear-{name}-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).expect("folder");
    let clock = Arc::new(FixedClock::new(from_millis(1_760_000_000_000)));
    let mut options = StoreOptions::new(folder.join("store.db"), clock);
    options.min_free_mb = 0;
    (Sqlite::open(options).expect("open"), folder)
}

fn body(byte: u8, size: usize) -> Packed {
    Packed { size, bytes: vec![byte; size].into() }
}

async fn bodies(store: &Sqlite) -> i64 {
    store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM bodies", [], |row| row.get(0))?)).await.expect("count")
}

#[tokio::test]
async fn a_failing_job_takes_back_its_own_changes_and_no_others() {
    let (store, folder) = store("savepoint");
    let prove = |tx: &super::job::Tx<'_>| tx.chain(of_settlement(MessageId::new(), DeliveryState::Queued));
    let fails = store.write(0, move |tx| {
        tx.keep(&body(1, 4))?;
        prove(tx);
        Err::<(), _>(Fail::Fault("planted"))
    });
    let panics = store.write(0, |tx| -> Result<(), Fail> {
        tx.keep(&body(1, 4))?;
        panic!("planted")
    });
    let stands = store.write(0, move |tx| {
        prove(tx);
        Ok(tx.keep(&body(2, 5))?)
    });
    let last = store.write(0, |tx| Ok(tx.keep(&body(3, 6))?));
    let (first, failed, panicked, stood, last) = tokio::join!(store.write(0, |tx| Ok(tx.keep(&body(3, 6))?)), fails, panics, stands, last);
    first.and(last).expect("what came before and after stands");
    assert!(matches!(failed, Err(StoreError::Fault(_))));
    assert!(matches!(panicked, Err(StoreError::Fault(_))));
    stood.expect("the others stand");
    assert_eq!(bodies(&store).await, 3);
    let evidence = store.verify_audit().await.expect("read");
    assert_eq!((evidence.bad, evidence.chains[0].entries), (None, 1), "what was taken back proves nothing");
    store.close().await;
    std::fs::remove_dir_all(folder).expect("clean");
}

#[tokio::test]
async fn a_full_disk_refuses_whole_transactions_and_recovers_by_itself() {
    let (store, folder) = store("full");
    let pages: i64 = store.read(|conn| Ok(conn.query_row("PRAGMA page_count", [], |row| row.get(0))?)).await.expect("pages");
    limit(&store, pages + 4).await;
    let mut kept = 0;
    let refused = loop {
        match store
            .write(0, |tx| {
                tx.keep(&body(7, 3000))?;
                tx.keep(&body(8, 3000))?;
                Ok(())
            })
            .await
        {
            Ok(()) => kept += 2,
            Err(error) => break error,
        }
        assert!(kept < 100, "the limit was never met");
    };
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert_eq!(bodies(&store).await, kept, "what was refused is not there, not even half");
    limit(&store, 1_000_000).await;
    store
        .write(0, |tx| {
            tx.keep(&body(7, 3000))?;
            Ok(())
        })
        .await
        .expect("space is back");
    store.check().await.expect("ready again");
    assert_eq!(bodies(&store).await, kept + 1);
    store.close().await;
    std::fs::remove_dir_all(folder).expect("clean");
}

async fn limit(store: &Sqlite, pages: i64) {
    store.write(0, move |tx| Ok(tx.conn.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?)).await.expect("pragma");
}

#[tokio::test]
async fn too_much_waiting_is_refused_and_a_closed_store_says_so() {
    let (store, folder) = store("closing");
    // The writer is held inside a job while the queue fills.
    let (held, free) = (Arc::new(tokio::sync::Notify::new()), std::sync::mpsc::channel::<()>());
    let (release, gate) = free;
    let started = Arc::clone(&held);
    let holding = store.write(0, move |_| {
        started.notify_one();
        gate.recv().map_err(|_| Fail::Fault("gate"))
    });
    let big = 200 * 1024 * 1024;
    let flood = async {
        held.notified().await;
        let first = store.take_in(big, |_| Ok(()));
        let second = async {
            tokio::task::yield_now().await;
            let refused = store.take_in(big, |_| Ok(())).await;
            assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
            release.send(()).expect("held");
        };
        tokio::join!(first, second).0.expect("taken");
    };
    tokio::join!(holding, flood).0.expect("held job");
    store.close().await;
    assert!(matches!(store.write(0, |_| Ok(())).await, Err(StoreError::Closing)));
    std::fs::remove_dir_all(folder).expect("clean");
}

#[tokio::test]
async fn a_second_process_on_one_file_is_refused() {
    let (store, folder) = store("lock");
    let clock = Arc::new(FixedClock::new(from_millis(0)));
    let second = Sqlite::open(StoreOptions::new(folder.join("store.db"), clock));
    assert!(matches!(second, Err(crate::store::OpenError::InUse)));
    store.close().await;
    std::fs::remove_dir_all(folder).expect("clean");
}
