//! Versions of mappings: kept once, found again, bounded, and never taken from a message that names one.

use bytes::Bytes;
use preclear::store::{KEPT_MAPPING_VERSIONS, MappingVersion, Store};

use crate::rig::{Rig, declaration};

fn version(name: &str, number: u8) -> MappingVersion {
    let files = Bytes::from(format!("files of {name}, number {number}; ").repeat(40));
    MappingVersion { name: name.to_owned(), version: format!("1.0.0+{number}"), hash: [number; 32], files }
}

async fn listed(rig: &Rig, name: &str) -> Vec<String> {
    let kept = rig.store.kept_mappings().await.expect("read");
    kept.into_iter().filter(|kept| kept.name == name).map(|kept| kept.version).collect()
}

#[tokio::test]
async fn the_newest_is_what_was_last_taken_into_use_over_a_restart() {
    let mut rig = Rig::new("mappings").await;
    assert_eq!(rig.store.keep_mappings(vec![version("a", 1), version("b", 1)]).await.expect("kept"), 2);
    assert_eq!(rig.store.keep_mappings(vec![version("a", 2)]).await.expect("kept"), 1);
    assert_eq!(rig.store.keep_mappings(vec![version("a", 2), version("b", 1)]).await.expect("kept"), 0, "nothing is kept twice");
    rig.restart().await;
    assert_eq!(rig.store.newest_mappings(Vec::new()).await.expect("read"), [version("a", 2), version("b", 1)]);
    assert_eq!(rig.store.newest_mappings(vec!["a".to_owned()]).await.expect("read"), [version("b", 1)]);
    // An operator goes back to the version before: it is the newest now.
    assert_eq!(rig.store.keep_mappings(vec![version("a", 1)]).await.expect("kept"), 0);
    assert_eq!(listed(&rig, "a").await, ["1.0.0+1", "1.0.0+2"]);
    assert_eq!(rig.store.newest_mappings(vec!["b".to_owned()]).await.expect("read"), [version("a", 1)]);
    // Looked at beside the process that has the file open.
    assert_eq!(Store::peek_newest_mappings(&rig.file(), &["b".to_owned()]).expect("read"), [version("a", 1)]);
    assert!(Store::peek_newest_mappings(&rig.file().with_file_name("none.db"), &[]).expect("no file, no versions").is_empty());
    // And where nobody has: nothing is left beside it.
    rig.store.close().await;
    let beside = || std::fs::read_dir(rig.file().parent().expect("folder")).expect("list").count();
    let before = beside();
    assert_eq!(Store::peek_newest_mappings(&rig.file(), &["b".to_owned()]).expect("read"), [version("a", 1)]);
    assert_eq!(beside(), before);
    rig.end().await;
}

#[tokio::test]
async fn old_versions_go_unless_a_message_names_them() {
    let rig = Rig::new("prune").await;
    let mut new = declaration(1);
    // The message names the oldest version of all.
    new.filings[0].messages[0].mapping = "a".to_owned();
    new.filings[0].messages[0].mapping_version = "1.0.0+1".to_owned();
    rig.accept(&new).await;
    let all = u8::try_from(KEPT_MAPPING_VERSIONS).expect("few") + 3;
    for number in 1..=all {
        rig.store.keep_mappings(vec![version("a", number)]).await.expect("kept");
    }
    rig.store.keep_mappings(vec![version("b", 1)]).await.expect("kept");
    let mut removed = 0;
    while let 1.. = rig.store.prune_mappings().await.expect("pruned") {
        removed += 1;
    }
    assert_eq!(removed, 1, "one call took the two that nobody names");
    let versions: i64 = rusqlite::Connection::open(rig.file())
        .and_then(|conn| conn.query_row("SELECT count(*) FROM mappings WHERE name = 'a'", [], |row| row.get(0)))
        .expect("count");
    assert_eq!(versions, i64::from(KEPT_MAPPING_VERSIONS) + 1, "the newest, and the one that a message names");
    assert_eq!(listed(&rig, "a").await.last(), Some(&"1.0.0+4".to_owned()), "the newest twenty are listed");
    // The named one can be taken into use again: it was never lost.
    assert_eq!(rig.store.keep_mappings(vec![version("a", 1)]).await.expect("kept"), 0);
    assert_eq!(listed(&rig, "b").await, ["1.0.0+1"]);
    rig.end().await;
}

#[tokio::test]
async fn what_the_disk_damaged_is_not_what_was_kept_and_is_mended_by_keeping_it_again() {
    let rig = Rig::new("damaged").await;
    rig.store.keep_mappings(vec![version("a", 1)]).await.expect("kept");
    let conn = rusqlite::Connection::open(rig.file()).expect("open");
    for damage in ["UPDATE mappings SET bytes = x'00ff'", "UPDATE mappings SET size = 3", "UPDATE mappings SET bytes = zeroblob(size)"] {
        assert_eq!(conn.execute(damage, []).expect("damaged"), 1);
        let found = rig.store.newest_mappings(Vec::new()).await.expect("a damaged row is no failure of the others");
        assert_ne!(found[0].files, version("a", 1).files, "{damage}");
        assert_eq!(rig.store.keep_mappings(vec![version("a", 1)]).await.expect("kept"), 0);
        assert_eq!(rig.store.newest_mappings(Vec::new()).await.expect("read"), [version("a", 1)], "{damage}");
    }
    drop(conn);
    rig.end().await;
}
