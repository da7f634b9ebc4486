//! What callers are told of what failed: what to try again and when, and what is wrong with what they asked for.

use crate::planner::{PlanError, describe};
use crate::request::Violations;
use crate::service::RETRY_AFTER;
use sightline_index::IndexError;
use sightline_queue::QueueError;
use sightline_service::ServiceError;
use sightline_state::StateError;

pub(crate) fn state_error(error: StateError) -> ServiceError {
    match error {
        error if error.is_retryable() => ServiceError::unavailable("STATE_UNAVAILABLE", describe(&error), RETRY_AFTER),
        StateError::Document { .. } => ServiceError::failed_precondition("STATE_UNREADABLE", describe(&error)),
        StateError::Object(error) => ServiceError::internal(error),
    }
}

/// What a caller is told of planning that failed.
pub(crate) fn plan_error(error: PlanError) -> ServiceError {
    match error {
        PlanError::State(error) => state_error(error),
        PlanError::Index(error) => index_error(error),
        PlanError::Queue(error) => queue_error(error),
        error if error.dataset_is_unreadable() => {
            ServiceError::failed_precondition("DATASET_UNREADABLE", describe(&error))
        }
        error if error.is_retryable() => {
            ServiceError::unavailable("DATASET_UNAVAILABLE", describe(&error), RETRY_AFTER)
        }
        error => ServiceError::internal(describe(&error)),
    }
}

pub(crate) fn index_error(error: IndexError) -> ServiceError {
    if error.is_retryable() {
        ServiceError::unavailable("INDEX_UNAVAILABLE", describe(&error), RETRY_AFTER)
    } else {
        ServiceError::internal(error)
    }
}

pub(crate) fn queue_error(error: QueueError) -> ServiceError {
    if error.is_retryable() {
        ServiceError::unavailable("QUEUE_UNAVAILABLE", describe(&error), RETRY_AFTER)
    } else {
        ServiceError::internal(error)
    }
}

pub(crate) fn violations(wrong: Violations) -> ServiceError {
    let mut fields = wrong.0.into_iter();
    let (field, description) = fields.next().unwrap_or_default();
    fields.fold(
        ServiceError::invalid_argument(field, description),
        |error, (field, text)| error.and_field(field, text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_objects::ObjectError;
    use tonic::{Code, Status};

    fn told(source: ObjectError) -> Status {
        let root = "s3://pictures".to_owned();
        Status::from(plan_error(PlanError::Root { root, source }))
    }

    #[test]
    fn a_dataset_that_is_away_is_to_be_tried_again_and_one_that_is_refused_is_not() {
        let (action, key) = ("list", String::from("x"));
        let away = told(ObjectError::Unavailable {
            action,
            key: key.clone(),
            message: "no route to host".into(),
        });
        assert_eq!(away.code(), Code::Unavailable);
        assert!(away.message().contains("no route to host"), "{away}");
        let refused = told(ObjectError::AccessDenied {
            action,
            key,
            message: "HTTP 403".into(),
        });
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
}
