//! An index that is opened when it is asked for.

use crate::{IndexError, OpenOptions, VectorIndex, open};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// An index for a process that can do its other work without: opened at the first use that succeeds, and kept.
#[derive(Debug)]
pub struct LazyIndex {
    address: String,
    options: OpenOptions,
    opened: OnceCell<Arc<dyn VectorIndex>>,
}

impl LazyIndex {
    /// The index at an address; see [`open`].
    #[must_use]
    pub fn at(address: String, options: OpenOptions) -> Self {
        Self {
            address,
            options,
            opened: OnceCell::new(),
        }
    }

    /// An index that is open already.
    #[must_use]
    pub fn of(index: Arc<dyn VectorIndex>) -> Self {
        Self {
            address: String::new(),
            options: OpenOptions::default(),
            opened: OnceCell::new_with(Some(index)),
        }
    }

    /// The index.
    ///
    /// # Errors
    /// As [`open`]; the next call tries again.
    pub async fn get(&self) -> Result<&Arc<dyn VectorIndex>, IndexError> {
        self.opened.get_or_try_init(|| open(&self.address, &self.options)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_index_that_could_not_be_opened_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("there/index.db");
        std::fs::write(folder.path().join("there"), "a file where a folder should be").unwrap();
        let lazy = LazyIndex::at(format!("sqlite:{}", file.display()), OpenOptions::default());
        assert!(lazy.get().await.is_err());
        std::fs::remove_file(folder.path().join("there")).unwrap();
        assert!(lazy.get().await.unwrap().list().await.unwrap().is_empty());
    }
}
