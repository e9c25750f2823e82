//! Named places at which a test can kill the process.
//!
//! Why it exists: a crash between two steps of the road is rare by chance and has to be met on purpose, at the step that a
//! promise hangs on. A kill at a named place is the same every time; a kill at a random time is not.
//!
//! Only a build with the feature `fault-points` has them: without it [`pass`] is nothing and [`dangerous_no_fsync`] is false. With it
//! `PRECLEAR_FAULT_POINT=name:n` ends the process by SIGKILL at the n-th pass of that name (n from 1), and
//! `PRECLEAR_DANGEROUS_NO_FSYNC=1` lets the store skip its syncs, so that a rig for power cuts can show that it would notice.
//!
//! Must not: do anything else at a point, or be part of what is installed.

/// Every point, in the order of the road. Between two of them lies a step that a crash may tear apart.
#[cfg(any(feature = "fault-points", test))]
pub const NAMES: &[&str] = &[
    "intake.before_commit",
    "intake.after_commit",
    "store.before_commit",
    "store.after_commit",
    "prepare.before_commit",
    "prepare.after_commit",
    "forward.after_begin",
    "forward.after_send",
    "forward.before_settle",
    "forward.after_settle",
    "callback.before_store",
    "callback.after_store",
    "callback.before_merge",
    "callback.after_merge",
    "tracking.before_post",
    "tracking.after_post",
];

/// Passes a point; the process ends here when it is the chosen one and its count is reached.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub const fn pass(_name: &'static str) {}

/// Whether the store is to skip its syncs: never.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub const fn dangerous_no_fsync() -> bool {
    false
}

#[cfg(feature = "fault-points")]
pub use armed::{dangerous_no_fsync, pass};

#[cfg(feature = "fault-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// The point that kills, and the passes that are left until it does.
    struct Chosen {
        name: String,
        left: AtomicU64,
    }

    fn chosen() -> Option<&'static Chosen> {
        static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();
        CHOSEN.get_or_init(|| std::env::var("PRECLEAR_FAULT_POINT").ok().as_deref().and_then(read)).as_ref()
    }

    fn read(text: &str) -> Option<Chosen> {
        let read = || {
            let (name, count) = text.rsplit_once(':')?;
            let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
            super::NAMES.contains(&name).then(|| Chosen { name: name.to_owned(), left: AtomicU64::new(count) })
        };
        let chosen = read();
        if chosen.is_none() {
            // A rig that waits for a kill that cannot come would call the run a good one.
            tracing::error!("PRECLEAR_FAULT_POINT: `name:n` with a name of `preclear fault-points` and n from 1; no point is chosen");
        }
        chosen
    }

    /// Passes a point; the process ends here when it is the chosen one and its count is reached.
    pub fn pass(name: &'static str) {
        let Some(chosen) = chosen().filter(|chosen| chosen.name == name) else { return };
        if chosen.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // As a power cut would: no destructor, no flush, no answer.
            let _ = kill_process(getpid(), Signal::KILL);
            // The signal is on its way to this thread too: nothing may happen after the point.
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether the store is to skip its syncs.
    pub fn dangerous_no_fsync() -> bool {
        std::env::var_os("PRECLEAR_DANGEROUS_NO_FSYNC").is_some_and(|value| value == "1")
    }

    #[cfg(test)]
    mod tests {
        use super::read;

        #[test]
        fn a_choice_is_a_known_name_and_a_count() {
            assert!(read("forward.after_send:3").is_some());
            for wrong in ["", "forward.after_send", "forward.after_send:0", "forward.after_send:x", "forward.nowhere:1"] {
                assert!(read(wrong).is_none(), "{wrong}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NAMES;

    /// A misspelled name would be a point that never kills, and a run without a kill looks like a good one.
    #[test]
    fn every_point_is_in_the_list_and_stands_in_the_source() {
        let mut passed = std::collections::BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if entry.extension().is_some_and(|end| end == "rs") {
                    let text = std::fs::read_to_string(entry).expect("a source");
                    let call = concat!("fault_points::pass", "(\"");
                    passed.extend(
                        text.match_indices(call).map(|(at, call)| text[at + call.len()..].split('"').next().expect("a name").to_owned()),
                    );
                }
            }
        }
        let expected = NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(passed, expected);
    }
}
