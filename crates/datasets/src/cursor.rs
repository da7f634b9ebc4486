//! Where reading a file goes on: self-contained, so that any process can.

use crate::DatasetError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A place in a file of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileCursor<P> {
    /// The file's tag when its first page was read.
    pub(crate) etag: String,
    /// The place.
    pub(crate) at: P,
}

/// Between two lines of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextPlace {
    /// Bytes before it.
    pub(crate) offset: u64,
    /// Number of the line that starts here, from 1.
    pub(crate) line: u64,
}

/// Between two rows of a Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParquetPlace {
    /// Row group, from 0.
    pub(crate) group: usize,
    /// Row in the group, from 0.
    pub(crate) row: usize,
    /// Rows before it in the file.
    pub(crate) rows: u64,
}

impl<P: Serialize + DeserializeOwned> FileCursor<P> {
    pub(crate) fn write(&self) -> String {
        // A struct of texts and whole numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn read(cursor: &str) -> Result<Self, DatasetError> {
        serde_json::from_str(cursor).map_err(|_| DatasetError::Cursor { cursor: cursor.into() })
    }
}
