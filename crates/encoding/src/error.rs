//! Why a call is not encoded, and which gRPC status that is.

use sightline_core::VectorField;
use sightline_service::ServiceError;
use std::time::Duration;

/// When a caller may come again after a model behind an address was changed: at once, nearly.
const CHANGED_RETRY: Duration = Duration::from_millis(100);

/// Why a call is not encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The model has no such side.
    #[error("model {model} makes no {field}: ask one that does")]
    NoSide {
        /// The model.
        model: String,
        /// The side that was asked for.
        field: VectorField,
    },
    /// Too much waits for the model.
    #[error("too much waits for the model ({what}): try again later")]
    Busy {
        /// What there is too much of.
        what: String,
        /// When there may be room.
        retry_after: Duration,
    },
    /// The encoder is away, or did not answer in time.
    #[error("the encoder at {url} does not answer ({reason}): is it running?")]
    Away {
        /// Its address.
        url: String,
        /// What was seen.
        reason: String,
        /// When it may be back.
        retry_after: Duration,
    },
    /// Another model is served than the caller was told.
    #[error("the encoder at {url} serves another model than a moment ago ({now}): ask again")]
    Changed {
        /// Its address.
        url: String,
        /// What it serves now.
        now: String,
    },
    /// The encoder refused the call, and would again.
    #[error("the encoder at {url} refused the call: {reason}")]
    Refused {
        /// Its address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The model or its device failed.
    #[error("the model failed: {0}")]
    Model(String),
}

impl EncodeError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retry_after().is_some()
    }

    /// How long to wait before the same call is made again; none where it would fail again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } | Self::Away { retry_after, .. } => Some(*retry_after),
            Self::Changed { .. } => Some(CHANGED_RETRY),
            Self::NoSide { .. } | Self::Refused { .. } | Self::Model(_) => None,
        }
    }
}

impl From<EncodeError> for ServiceError {
    fn from(error: EncodeError) -> Self {
        let message = error.to_string();
        match error {
            EncodeError::NoSide { .. } => Self::failed_precondition("MODEL_LACKS_SIDE", message),
            EncodeError::Busy { retry_after, .. } => Self::resource_exhausted("ENCODER_BUSY", message, retry_after),
            EncodeError::Away { retry_after, .. } => Self::unavailable("ENCODER_UNAVAILABLE", message, retry_after),
            EncodeError::Changed { .. } => Self::unavailable("ENCODER_CHANGED", message, CHANGED_RETRY),
            EncodeError::Refused { .. } => Self::failed_precondition("ENCODER_REFUSED", message),
            error @ EncodeError::Model(_) => Self::internal(error),
        }
    }
}
