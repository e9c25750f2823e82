//! A set of mappings of the test's own, to be broken and mended on the disk.

use super::setup::Setup;
use std::path::{Path, PathBuf};

/// A folder of mappings beside the configuration.
pub struct Mappings(PathBuf);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Mappings {
    /// Copies of the shipped mapping of CDS under some names; the set-up uses them from now on.
    pub fn own(setup: &mut Setup, names: &[&str]) -> Mappings {
        let folder = setup.folder.file("mappings");
        for name in names {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/hmrc-cds"), &folder.join(name));
        }
        setup.mappings = folder.clone();
        Mappings(folder)
    }

    /// Replaces a text of a file, which must stand in it once; gives the line of it.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> usize {
        let path = self.0.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from} in {file}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        text[..text.find(from).unwrap()].lines().count()
    }

    /// Removes a mapping's folder.
    pub fn remove(&self, name: &str) {
        std::fs::remove_dir_all(self.0.join(name)).unwrap();
    }
}
