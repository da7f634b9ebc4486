//! SHA-256 of large files, streamed, and remembered while a file stays as it is.

use crate::error::FolderError;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

const CHUNK_BYTES: usize = 1 << 20;
const MAX_ENTRIES: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Digests of files, kept in memory only. A file that changed in size or time is read again.
///
/// Opening the same folder twice in one process (a gateway with several collections of one model, say) then reads its
/// weights once. Keep one for the life of the process; a start of the process always reads every byte.
#[derive(Debug, Default)]
pub struct DigestCache {
    known: Mutex<BTreeMap<PathBuf, (Version, String)>>,
}

impl DigestCache {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sha256(&self, path: &Path) -> Result<String, FolderError> {
        let mut file = File::open(path).map_err(|error| FolderError::read(path, error))?;
        let metadata = file.metadata().map_err(|error| FolderError::read(path, error))?;
        let version = Version {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        };
        if let Some(known) = self.recall(path, &version) {
            return Ok(known);
        }
        let digest = sha256_of(&mut file).map_err(|error| FolderError::read(path, error))?;
        self.remember(path, version, &digest);
        Ok(digest)
    }

    fn recall(&self, path: &Path, version: &Version) -> Option<String> {
        // A thread that panicked while holding the lock left the map whole: its entries are inserted in one step.
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .get(path)
            .filter(|(seen, _)| seen == version)
            .map(|(_, digest)| digest.clone())
    }

    fn remember(&self, path: &Path, version: Version, digest: &str) {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MAX_ENTRIES {
            known.clear();
        }
        known.insert(path.to_owned(), (version, digest.to_owned()));
    }
}

fn sha256_of(file: &mut impl Read) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;

    #[test]
    fn a_file_that_grew_is_read_again() {
        let folder = TestFolder::new();
        let path = folder.write("weights", b"abc");
        let cache = DigestCache::new();
        let first = cache.sha256(&path).unwrap();
        assert_eq!(first, sightline_core::digest::sha256_hex(b"abc"));
        folder.write("weights", b"abcd");
        assert_eq!(
            cache.sha256(&path).unwrap(),
            sightline_core::digest::sha256_hex(b"abcd")
        );
    }

    #[test]
    fn a_file_longer_than_a_chunk_has_the_digest_of_all_its_bytes() {
        let bytes = vec![7_u8; CHUNK_BYTES * 2 + 17];
        let folder = TestFolder::new();
        let path = folder.write("weights", &bytes);
        assert_eq!(
            DigestCache::new().sha256(&path).unwrap(),
            sightline_core::digest::sha256_hex(&bytes)
        );
    }
}
