//! Why a dataset could not be read.

use sightline_objects::ObjectError;

/// Why a dataset could not be read. What is wrong with one row is no such error, but that row's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// The store failed.
    #[error("could not read the dataset's {what}: {source}")]
    Store {
        /// What was read.
        what: String,
        /// How the store failed.
        source: ObjectError,
    },
    /// The manifest was replaced after its first page was read.
    #[error("manifest {path:?} was replaced while the run was planned; start a new run to read the new one")]
    Changed {
        /// The manifest.
        path: String,
    },
    /// The manifest is none, or is damaged.
    #[error("manifest {path:?} cannot be read: {message}")]
    Unreadable {
        /// The manifest.
        path: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Columns cannot be told apart or found.
    #[error("manifest {path:?} {message}; its columns are: {}", found.join(", "))]
    Columns {
        /// The manifest.
        path: String,
        /// What is missing or ambiguous.
        message: String,
        /// The columns that are there.
        found: Vec<String>,
    },
    /// The cursor is not one of this source: a Sightline of another version wrote it.
    #[error("cursor {cursor:?} is not one that reading this dataset gives: a Sightline of another version must go on")]
    Cursor {
        /// The cursor.
        cursor: String,
    },
}

impl DatasetError {
    /// Whether reading again later, by this process or by another, can succeed without anyone changing the dataset.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store { source, .. } => source.is_retryable(),
            Self::Cursor { .. } => true,
            Self::Changed { .. } | Self::Unreadable { .. } | Self::Columns { .. } => false,
        }
    }

    /// An error of the store while it read a manifest.
    pub(crate) fn of_manifest(path: &str, error: ObjectError) -> Self {
        match error {
            ObjectError::NotFound { .. } => Self::Unreadable {
                path: path.into(),
                message: "it does not exist below the dataset's root; check the path".into(),
            },
            ObjectError::Changed { .. } => Self::Changed { path: path.into() },
            source => Self::Store {
                what: format!("manifest {path:?}"),
                source,
            },
        }
    }

    pub(crate) fn unreadable(path: &str, message: impl Into<String>) -> Self {
        Self::Unreadable {
            path: path.into(),
            message: message.into(),
        }
    }
}
