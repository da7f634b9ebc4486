use sightline_core::DocumentError;
use sightline_objects::ObjectError;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An object is there and cannot be used.
    #[error("cannot use {key}")]
    Document {
        /// The object's key below the state root.
        key: String,
        /// Why.
        source: DocumentError,
    },
}

impl StateError {
    /// Whether the same call can succeed later. One that was not allowed can: who may read and write here is the
    /// store's affair, and is corrected there. So can one that met what a newer Sightline wrote: another process knows
    /// it, and so will this one once it is replaced.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Object(error) => error.is_retryable() || matches!(error, ObjectError::AccessDenied { .. }),
            Self::Document { source, .. } => source.is_newer(),
        }
    }
}
