//! Why a call fails, and the only place that says which gRPC status that is.

use crate::query::names;
pub use crate::query::violations::Violation;
use sightline_core::collection::SpaceMismatch;
use sightline_core::{CollectionName, RowId, VectorField};
use sightline_encoding::EncodeError;
use sightline_index::IndexError;
use sightline_service::ServiceError;
use std::time::Duration;
use tonic::Status;

/// When a caller may try again while the index is away.
const INDEX_RETRY: Duration = Duration::from_secs(2);

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Fields of the request are wrong.
    #[error("the request is not valid: {}", .0.iter().map(|v| format!("{}: {}", v.field, v.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// There is no such collection.
    #[error("collection {0} does not exist")]
    NoCollection(CollectionName),
    /// There is no such alias.
    #[error("alias {0} does not exist")]
    NoAlias(CollectionName),
    /// There is a collection of that name, and it is another.
    #[error("collection {0} is there already, with other fields or another index: name another, or delete it")]
    CollectionExists(CollectionName),
    /// There is an alias of that name.
    #[error(
        "{alias} is an alias of collection {collection}: give the new collection another name, or delete the alias"
    )]
    NameOfAlias {
        /// The alias.
        alias: CollectionName,
        /// What it points at.
        collection: CollectionName,
    },
    /// There is no such item.
    #[error("collection {collection} has no item {item}")]
    NoItem {
        /// The collection.
        collection: CollectionName,
        /// The item.
        item: RowId,
    },
    /// The model makes another space than the collection holds.
    #[error(transparent)]
    OtherSpace(Box<SpaceMismatch>),
    /// The model claims to make the collection's space and computes other vectors.
    #[error(
        "this gateway's model computes other vectors than those that {field} of collection {collection} was made with \
         (built-in input {input:?}: cosine {cosine:.4}, at least {least} is needed): its files or its libraries are \
         damaged; install the model again"
    )]
    OtherVectors {
        /// The collection.
        collection: CollectionName,
        /// The field.
        field: VectorField,
        /// The built-in input.
        input: String,
        /// The cosine of the two vectors.
        cosine: f64,
        /// The least that is taken.
        least: f32,
    },
    /// The collection was made with a built-in input that this version does not have.
    #[error(
        "{field} of collection {collection} was made with the built-in input {input:?}, which this version does not \
         know: use the version that made the collection, or a newer one"
    )]
    UnknownCanary {
        /// The collection.
        collection: CollectionName,
        /// The field.
        field: VectorField,
        /// The built-in input.
        input: String,
    },
    /// The gateway has no model.
    #[error("this gateway serves no model: search by item or by vector, or start it with a model (model.folder)")]
    NoModel,
    /// The model lacks a side, or its sides do not share a space.
    #[error("model {model} cannot make {input}s into vectors of {field}: {reason}")]
    CannotEncode {
        /// The model.
        model: String,
        /// `text` or `picture`.
        input: &'static str,
        /// The field.
        field: VectorField,
        /// Why, and what would do.
        reason: &'static str,
    },
    /// The model failed, is busy or away.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A mistake of ours.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl GatewayError {
    /// One wrong field.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::Invalid(vec![Violation { field, message }])
    }

    /// A value that was checked is not there.
    pub(crate) fn nothing() -> Self {
        Self::Internal("a checked value is missing")
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Encode(error) => error.is_retryable(),
            Self::Index(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<GatewayError> for ServiceError {
    fn from(error: GatewayError) -> Self {
        let message = error.to_string();
        let precondition = |reason| Self::failed_precondition(reason, message.clone());
        match error {
            GatewayError::Invalid(violations) => {
                let mut violations = violations.into_iter();
                let first = violations.next().map(|v| Self::invalid_argument(v.field, v.message));
                let Some(first) = first else {
                    return Self::internal(message);
                };
                violations.fold(first, |error, v| error.and_field(v.field, v.message))
            }
            GatewayError::NoCollection(name) | GatewayError::Index(IndexError::NoCollection(name)) => {
                Self::not_found("collection", names::of_collection(&name))
            }
            GatewayError::NoAlias(name) => Self::not_found("alias", names::of_alias(&name)),
            GatewayError::CollectionExists(name) => {
                Self::already_exists("collection", names::of_collection(&name), message)
            }
            GatewayError::NameOfAlias { alias, .. } => Self::already_exists("alias", names::of_alias(&alias), message),
            GatewayError::NoItem { collection, item } => Self::not_found("item", names::of_item(&collection, &item)),
            GatewayError::OtherSpace(_) => precondition("MODEL_MISMATCH"),
            GatewayError::OtherVectors { .. } => precondition("MODEL_DAMAGED"),
            GatewayError::UnknownCanary { .. } => precondition("UNKNOWN_CANARY"),
            GatewayError::NoModel => precondition("NO_MODEL"),
            GatewayError::CannotEncode { .. } => precondition("MODEL_LACKS_SIDE"),
            GatewayError::Encode(error) => error.into(),
            GatewayError::Index(IndexError::Unavailable { .. }) => {
                Self::unavailable("INDEX_UNAVAILABLE", message, INDEX_RETRY)
            }
            GatewayError::Index(IndexError::Refused { .. } | IndexError::Conflict { .. }) => {
                precondition("INDEX_REFUSED")
            }
            error @ (GatewayError::Index(IndexError::BadAddress { .. }) | GatewayError::Internal(_)) => {
                Self::internal(error)
            }
        }
    }
}

impl From<GatewayError> for Status {
    fn from(error: GatewayError) -> Self {
        ServiceError::from(error).into()
    }
}
