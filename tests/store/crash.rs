//! A process is killed in the middle of its work; what it had acknowledged is there when the next starts.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use preclear::domain::time::{FixedClock, SystemClock};
use preclear::store::{Accepted, Store, StoreOptions};

use crate::rig::{POST, declaration, folder, item, open, start};

const FOLDER: &str = "PRECLEAR_TEST_CRASH_FOLDER";
const FIRST: &str = "PRECLEAR_TEST_CRASH_FIRST";

/// Not a test of its own: the process that the one below kills. It tells each acknowledged number on a line.
#[test]
fn accepting_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let mut options = StoreOptions::new(std::path::PathBuf::from(folder).join("store.db"), Arc::new(SystemClock));
        options.min_free_mb = 0;
        let store = Store::open(options).await.expect("open");
        let first: u32 = std::env::var(FIRST).expect("the parent says").parse().expect("a number");
        let tasks = (0..8u32).map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (first + task..).step_by(8) {
                    if let Ok(Accepted::Stored) = store.accept(declaration(number)).await {
                        let line = format!("{number}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent reads");
                    }
                }
            })
        });
        futures_util::future::join_all(tasks).await;
    });
}

#[tokio::test]
async fn every_acknowledged_declaration_survives_a_kill() {
    let folder = folder("kill");
    let clock = Arc::new(FixedClock::new(start()));
    let mut acknowledged: Vec<u32> = Vec::new();
    for round in 0..4u32 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "--nocapture", "crash::accepting_until_killed"])
            .env(FOLDER, &folder)
            .env(FIRST, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("child");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let wanted = acknowledged.len() + 40 + 60 * round as usize;
        // The harness prints lines of its own; numbers are ours.
        acknowledged.extend(lines.by_ref().filter_map(|line| line.parse::<u32>().ok()).take(wanted - acknowledged.len()));
        child.kill().expect("killed while it works");
        child.wait().expect("gone");
        // What it had acknowledged before the signal reached it counts too.
        acknowledged.extend(lines.filter_map(|line| line.parse::<u32>().ok()));
        assert!(acknowledged.len() >= wanted, "the child was to be killed at work");

        let store = open(&folder, &clock).await;
        let mut due = std::collections::HashSet::new();
        for row in store.due("uk-broker", preclear::domain::time::from_millis(i64::MAX), due.clone(), 1_000_000).await.expect("due") {
            due.insert(row.message_id);
        }
        for number in &acknowledged {
            let view =
                store.item(POST, item(*number)).await.expect("read").unwrap_or_else(|| panic!("{number} was acknowledged and is gone"));
            assert_eq!(view.filings.len(), 1);
            let messages = store.messages(POST, view.declaration_id, false).await.expect("read").expect("there");
            assert!(due.contains(&messages.messages[0].message_id), "{number} is stored but would never be sent");
        }
        store.close().await;
    }
    std::fs::remove_dir_all(folder).expect("clean");
}
