//! Where mappings come from: a folder on disk, or the set that is built into the program.
//!
//! A mapping is read whole and bounded before anything of it is understood, so that its version
//! (declared version + hash of its bytes) names exactly what was used. Official schemas are never
//! part of the built-in set; `schema/` in a mapping's folder is a user's own copy and is not read here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::faults::MappingFault;

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/mappings");

/// Largest file of a mapping, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Largest mapping in all, in bytes: each good version is kept in the store as a whole.
pub const MAX_MAPPING_BYTES: u64 = 64 * 1024 * 1024;
/// Most files of one mapping.
pub const MAX_FILES: usize = 2000;
/// Most mappings of one folder.
pub const MAX_MAPPINGS: usize = 200;

/// Where mappings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder that holds one folder for each mapping.
    Folder(PathBuf),
    /// The set that is built into the program.
    Embedded,
}

/// The files of one mapping, by their path inside its folder (`codes/charges.csv`).
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The mapping's name: its folder's.
    pub name: String,
    /// Contents by path.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Source {
    /// The rule of the command line: the folder given, else `./mappings` when it is there, else the built-in set.
    pub fn choose(given: Option<PathBuf>) -> Self {
        match given {
            Some(folder) => Self::Folder(folder),
            None if Path::new("mappings").is_dir() => Self::Folder(PathBuf::from("mappings")),
            None => Self::Embedded,
        }
    }

    /// The folder, when it is one on disk.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Embedded => None,
        }
    }

    /// Reads the files of every mapping. What cannot be read is a fault of that mapping alone.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(&self) -> Result<Vec<Result<Files, MappingFault>>, MappingFault> {
        match self {
            Self::Embedded => Ok(EMBEDDED.dirs().map(|dir| Ok(embedded(dir))).collect()),
            Self::Folder(folder) => read_folder(folder),
        }
    }
}

fn fault(file: &str, message: impl Into<String>) -> MappingFault {
    MappingFault { file: file.to_owned(), line: 0, column: 0, message: message.into(), suggestion: None }
}

fn embedded(dir: &Dir<'_>) -> Files {
    fn walk(dir: &Dir<'_>, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for file in dir.files() {
            if let Some(path) = file.path().strip_prefix(root).ok().and_then(Path::to_str) {
                files.insert(path.to_owned(), file.contents().to_vec());
            }
        }
        dir.dirs().filter(|dir| !is_schema(dir.path(), root)).for_each(|dir| walk(dir, root, files));
    }
    let mut files = BTreeMap::new();
    walk(dir, dir.path(), &mut files);
    Files { name: dir.path().to_string_lossy().into_owned(), files }
}

fn is_schema(path: &Path, root: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|path| path == Path::new("schema"))
}

fn read_folder(folder: &Path) -> Result<Vec<Result<Files, MappingFault>>, MappingFault> {
    let unreadable = |error: std::io::Error| fault(&folder.to_string_lossy(), format!("the folder of mappings cannot be read: {error}"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    if names.len() > MAX_MAPPINGS {
        return Err(fault(&folder.to_string_lossy(), format!("at most {MAX_MAPPINGS} mappings in one folder")));
    }
    Ok(names.into_iter().map(|name| read_mapping(folder, name)).collect())
}

fn read_mapping(folder: &Path, name: String) -> Result<Files, MappingFault> {
    let mut files = BTreeMap::new();
    let root = folder.join(&name);
    let mut folders = vec![(root, String::new())];
    let mut size = 0;
    while let Some((path, inside)) = folders.pop() {
        let unreadable = |error: std::io::Error| fault(&format!("{name}/{inside}"), format!("cannot be read: {error}"));
        for entry in std::fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let below = if inside.is_empty() { file_name.clone() } else { format!("{inside}/{file_name}") };
            let about = entry.path().metadata().map_err(unreadable)?;
            if file_name.starts_with('.') || below == "schema" || below.split('/').count() > 8 {
                continue;
            }
            if about.is_dir() {
                folders.push((entry.path(), below));
            } else if about.len() > MAX_FILE_BYTES {
                return Err(fault(&format!("{name}/{below}"), format!("a file of a mapping may have {MAX_FILE_BYTES} bytes at most")));
            } else {
                size += about.len();
                files.insert(below, std::fs::read(entry.path()).map_err(unreadable)?);
            }
            if size > MAX_MAPPING_BYTES {
                return Err(fault(&name, format!("the files of a mapping may have {MAX_MAPPING_BYTES} bytes in all at most")));
            }
            if files.len() > MAX_FILES {
                return Err(fault(&name, format!("at most {MAX_FILES} files in one mapping")));
            }
        }
    }
    Ok(Files { name, files })
}

impl Files {
    /// A file's bytes.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The paths below a folder that end with something.
    pub fn below<'f>(&'f self, folder: &'f str, ending: &'f str) -> impl Iterator<Item = (&'f str, &'f [u8])> {
        let inside = move |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')) && path.ends_with(ending);
        self.files.iter().filter(move |(path, _)| inside(path)).map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// The names of the folders directly below a folder: the cases.
    pub fn folders_below(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .below(folder, "")
            .filter_map(|(path, _)| path[folder.len() + 1..].split_once('/').map(|(name, _)| name.to_owned()))
            .collect();
        names.dedup();
        names
    }

    /// The first 12 hexadecimal digits of [`Files::digest`].
    pub fn hash(&self) -> String {
        self.digest().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// SHA-256 over what makes the messages: every file but cases and documents.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.archive()).into()
    }

    /// What makes the messages, as one run of bytes: of each file the length of its path (8 bytes, little-endian),
    /// the path, the length of its contents and the contents, in the order of the paths.
    pub fn archive(&self) -> Vec<u8> {
        let counts = |path: &str| !path.starts_with("cases/") && !path.starts_with("notices/") && !path.ends_with(".md");
        let mut archive = Vec::new();
        for (path, bytes) in self.files.iter().filter(|(path, _)| counts(path)) {
            for part in [path.as_bytes(), bytes] {
                archive.extend_from_slice(&(part.len() as u64).to_le_bytes());
                archive.extend_from_slice(part);
            }
        }
        archive
    }

    /// The files of an archive; none when it is not one. Whoever kept its hash compares it with [`Files::digest`].
    pub fn from_archive(name: &str, mut archive: &[u8]) -> Option<Self> {
        fn part<'a>(archive: &mut &'a [u8]) -> Option<&'a [u8]> {
            let (length, rest) = archive.split_first_chunk::<8>()?;
            let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            *archive = rest;
            Some(part)
        }
        let mut files = BTreeMap::new();
        while !archive.is_empty() {
            let path = String::from_utf8(part(&mut archive)?.to_vec()).ok()?;
            files.insert(path, part(&mut archive)?.to_vec());
        }
        Some(Self { name: name.to_owned(), files })
    }
}
