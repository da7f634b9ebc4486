//! Where a folder came from: `sightline-source.json`, written last, so that it also says that the folder is whole.

use crate::error::HubError;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// The record's name in the folder.
pub(crate) const FILE: &str = "sightline-source.json";

/// Where a folder came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The server, without a password.
    pub endpoint: String,
    /// `org/name`.
    pub repository: String,
    /// What was asked for: a branch, a tag or a commit.
    pub revision: String,
    /// The commit that it was.
    pub commit: String,
    /// Every file that was fetched.
    pub files: Vec<SourceFile>,
}

/// A file as the hub has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path in the folder, with `/`.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// `sha256:…` of its bytes, or `git:…`, the SHA-1 that git gives a file.
    pub digest: String,
}

impl Source {
    /// Reads a folder's record; none where the folder did not come from the hub, or is not whole.
    ///
    /// # Errors
    /// Where there is a record that cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, HubError> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::NotADirectory => {
                return Ok(None);
            }
            Err(error) => return Err(HubError::io("read", &path, error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| HubError::Record { path, source })
    }

    /// Writes it beside its name and moves it there, so that it is whole or not there.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), HubError> {
        let path = folder.join(FILE);
        let part = folder.join(format!("{FILE}.part"));
        let mut text = serde_json::to_vec_pretty(self).map_err(|source| HubError::Record {
            path: path.clone(),
            source,
        })?;
        text.push(b'\n');
        std::fs::write(&part, text).map_err(|error| HubError::io("write", &part, error))?;
        std::fs::rename(&part, &path).map_err(|error| HubError::io("write", &path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Source::read(folder.path()).unwrap(), None);
        assert_eq!(Source::read(&folder.path().join("none")).unwrap(), None);
        let source = Source {
            endpoint: "https://hub.test".into(),
            repository: "a/b".into(),
            revision: "main".into(),
            commit: "0".repeat(40),
            files: vec![SourceFile {
                path: "1_Pooling/config.json".into(),
                bytes: 3,
                digest: "git:00".into(),
            }],
        };
        source.write(folder.path()).unwrap();
        assert_eq!(Source::read(folder.path()).unwrap(), Some(source));
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let error = Source::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(FILE) && error.contains("pull the model again"),
            "{error}"
        );
    }
}
