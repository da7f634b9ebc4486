//! SQLite's errors in the words of the seam.

use crate::IndexError;
use rusqlite::ErrorCode;

/// What can go wrong while a connection is held.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite's own.
    Sqlite(rusqlite::Error),
    /// Already in the seam's words.
    Index(IndexError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Failure {
    pub(super) fn into_index_error(self, action: &'static str) -> IndexError {
        let error = match self {
            Self::Index(error) => return error,
            Self::Sqlite(error) => error,
        };
        let message = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => IndexError::BadAddress {
                message: format!("{message}; name a file that Sightline made, or one that does not exist"),
            },
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::OperationInterrupted
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged
                | ErrorCode::PermissionDenied,
            ) => IndexError::Unavailable { action, message },
            _ => IndexError::Refused {
                action,
                collection: "the file".into(),
                message,
            },
        }
    }
}
