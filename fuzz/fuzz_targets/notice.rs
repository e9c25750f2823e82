//! Any bytes as a notice, a reply and the list of a poll, for every shipped mapping.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use preclear::mapping::{Registry, Source};

static SHIPPED: LazyLock<Registry> = LazyLock::new(|| Registry::load(&Source::Embedded).0);

fuzz_target!(|notice: &[u8]| {
    for mapping in SHIPPED.iter() {
        if let Ok(facts) = mapping.read(notice) {
            assert!(facts.len() <= 10_000, "the bound of facts");
            assert_eq!(mapping.read(notice).expect("read before"), facts, "read the same twice");
        }
        let _ = mapping.reply(notice, Some("0191e0e0-0000-7000-8000-000000000000"));
        let _ = mapping.poll_entries(notice);
    }
});
