//! Why an operation on the index failed.

use sightline_core::CollectionName;

/// Why an operation on the index failed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is no such collection.
    #[error("collection {0} does not exist")]
    NoCollection(CollectionName),
    /// The collection exists and is not what was asked for.
    #[error("collection {collection} exists and differs: {message}")]
    Conflict {
        /// The collection.
        collection: CollectionName,
        /// What differs.
        message: String,
    },
    /// The index refuses these rows or this query, and always will.
    #[error("the index refused to {action} in {collection}: {message}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The collection.
        collection: String,
        /// What the index said.
        message: String,
    },
    /// The index's address, or what lies there, cannot be used, and never can.
    #[error("cannot open the index: {message}")]
    BadAddress {
        /// What is wrong, and what would be right. Holds no secrets.
        message: String,
    },
    /// The index is away, slow, throttling, or gave a broken answer: try again later.
    #[error("the index is not available: could not {action}: {message}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What happened.
        message: String,
    },
}

impl IndexError {
    /// Which error it is, as traces and metrics name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoCollection(_) => "no_collection",
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "refused",
            Self::BadAddress { .. } => "bad_address",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl IndexError {
    pub(crate) fn refused(action: &'static str, collection: &CollectionName, message: impl Into<String>) -> Self {
        Self::Refused {
            action,
            collection: collection.to_string(),
            message: message.into(),
        }
    }
}
