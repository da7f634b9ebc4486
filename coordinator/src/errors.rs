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
        // Of a newer Sightline, too: a caller who asks again meets this coordinator as it is.
        StateError::Document { .. } => ServiceError::failed_precondition("STATE_UNREADABLE", describe(&error)),
        error if error.is_retryable() => ServiceError::unavailable("STATE_UNAVAILABLE", describe(&error), RETRY_AFTER),
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
    use sightline_core::StopDocument;
    use sightline_core::document::Document;
    use sightline_datasets::DatasetError;
    use sightline_objects::{ObjectError, Symptom};
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
            symptom: Symptom::Away,
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

    #[test]
    fn what_a_newer_coordinator_wrote_keeps_links_waiting_and_callers_are_told_of_it() {
        let source = StopDocument::from_bytes(b"{\"format\":\"sightline.stop\",\"version\":1,\"more\":1}").unwrap_err();
        let key = String::from("runs/r/stop.json");
        let error = PlanError::State(StateError::Document { key, source });
        assert!(error.is_retryable(), "{error}");
        let told = Status::from(plan_error(error));
        assert_eq!(told.code(), Code::FailedPrecondition);
        assert!(
            told.message().contains("stop.json") && told.message().contains("newer Sightline"),
            "{told}"
        );
    }

    #[test]
    fn a_cursor_of_another_version_keeps_its_link_waiting_and_stops_no_run() {
        let cursor = String::from("{\"etag\":\"e\",\"at\":0,\"more\":1}");
        let unknown = PlanError::Dataset(DatasetError::Cursor { cursor });
        assert!(unknown.is_retryable() && !unknown.dataset_is_unreadable(), "{unknown}");
    }
}
