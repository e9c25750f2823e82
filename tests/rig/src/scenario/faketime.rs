//! The gateway under another wall clock, by libfaketime where it is installed; its monotonic clock stays true.

use anyhow::Result;
use std::path::{Path, PathBuf};

/// Where distributions put it.
const PLACES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// A wall clock that can be set.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// At true time; none when the library is not installed.
    pub fn find(dir: &Path) -> Result<Option<Clock>> {
        let Some(library) = PLACES.iter().map(PathBuf::from).find(|path| path.exists()) else { return Ok(None) };
        let clock = Clock { library, file: dir.join("faketime") };
        clock.set("+0")?;
        Ok(Some(clock))
    }

    /// What the process needs; the monotonic clock is left alone, as on a machine whose wall clock is set.
    pub fn env(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Sets the wall clock, as an offset from the true one: `+25h`, `-1h`, `+400d`.
    pub fn set(&self, offset: &str) -> Result<()> {
        // Renamed into place: a half-written file would be another time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset}\n"))?;
        Ok(std::fs::rename(new, &self.file)?)
    }
}
