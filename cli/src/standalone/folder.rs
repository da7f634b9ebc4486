//! The data folder of a standalone.

use anyhow::Context as _;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use url::Url;

/// A data folder that this process has to itself.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    /// The lock goes with the process, however it ends.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is not there, and locks it: the queue is in memory, so two processes on one folder
    /// would each work on all of its runs.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let wrong = || format!("cannot use the data folder {} (--data)", path.display());
        std::fs::create_dir_all(path).with_context(wrong)?;
        let path = path.canonicalize().with_context(wrong)?;
        let lock = File::create(path.join("lock")).with_context(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "the data folder {} is in use by another sightline: end it, or give another folder with --data",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(wrong),
        }
    }

    /// Where runs, plans and results lie.
    pub(super) fn state_url(&self) -> anyhow::Result<String> {
        let state = self.path.join("state");
        let url = Url::from_file_path(&state).map_err(|()| anyhow::anyhow!("{} has no URL", state.display()))?;
        Ok(url.to_string())
    }

    /// The file of the index.
    pub(super) fn index_address(&self) -> anyhow::Result<String> {
        let file = self.path.join("index.db");
        let text = file
            .to_str()
            .with_context(|| format!("the path {} is not UTF-8", file.display()))?;
        Ok(format!("sqlite:{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/data");
        let first = DataFolder::open(&path).unwrap();
        let second = DataFolder::open(&path).unwrap_err();
        assert!(second.to_string().contains("in use by another sightline"), "{second}");
        drop(first);
        DataFolder::open(&path).unwrap();
    }

    #[test]
    fn state_and_index_lie_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(dir.path()).unwrap();
        let path = dir.path().canonicalize().unwrap();
        assert_eq!(
            folder.index_address().unwrap(),
            format!("sqlite:{}/index.db", path.display())
        );
        assert_eq!(folder.state_url().unwrap(), format!("file://{}/state", path.display()));
    }
}
