//! Good versions of the mappings: kept once each by the hash of their files.
//!
//! The store does not understand them: it keeps an archive of files as bytes and gives it back. Whoever
//! asks for one compares its hash before anything of it is served.

use std::path::Path;

use bytes::Bytes;

use super::{Backend, OpenError, Store, StoreError, sqlite};
use crate::domain::time::Timestamp;

/// Versions of one mapping that are kept beside those that messages name.
pub const KEPT_MAPPING_VERSIONS: u32 = 20;

/// A good version of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingVersion {
    /// Name of the mapping.
    pub name: String,
    /// Declared version and first digits of the hash, as messages name it.
    pub version: String,
    /// SHA-256 of the files.
    pub hash: [u8; 32],
    /// The files, as one archive.
    pub files: Bytes,
}

/// A kept version without its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMapping {
    /// Name of the mapping.
    pub name: String,
    /// Version as messages name it.
    pub version: String,
    /// When it was last taken into use.
    pub kept_at: Timestamp,
}

/// Mappings.
impl Store {
    /// Keeps versions that are taken into use now, all or none: each is the newest of its name after that.
    /// A version that is the newest already costs nothing. How many were not known before.
    ///
    /// # Errors
    /// When nothing can be committed: do not use them, for messages would name what is not kept.
    pub async fn keep_mappings(&self, versions: Vec<MappingVersion>) -> Result<usize, StoreError> {
        on!(self, keep_mappings(versions))
    }

    /// The newest version of every name but some. The files are as they were stored: compare their hash.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn newest_mappings(&self, except: Vec<String>) -> Result<Vec<MappingVersion>, StoreError> {
        on!(self, newest_mappings(except))
    }

    /// The versions that are kept, by name and newest first; of each name at most
    /// [`KEPT_MAPPING_VERSIONS`] are listed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn kept_mappings(&self) -> Result<Vec<KeptMapping>, StoreError> {
        on!(self, kept_mappings())
    }

    /// Removes versions beyond the newest [`KEPT_MAPPING_VERSIONS`] of their name that no message names; how many.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn prune_mappings(&self) -> Result<usize, StoreError> {
        on!(self, prune_mappings())
    }

    /// What [`Store::newest_mappings`] would give, from a file that a running gateway may be using; nothing is
    /// written. Blocks. No file, or one from before mappings were kept, has none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn peek_newest_mappings(file: &Path, except: &[String]) -> Result<Vec<MappingVersion>, OpenError> {
        sqlite::peek_newest_mappings(file, except)
    }
}
