//! Errors of services, and the only place that turns them into gRPC statuses.

use sightline_telemetry::current_trace_id;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `google.rpc.ErrorInfo` of ours.
pub const ERROR_DOMAIN: &str = "sightline";

/// Wrong fields that are named at most.
const MAX_FIELDS: usize = 8;
/// Longest path of a field that is told.
const MAX_FIELD_BYTES: usize = 80;
/// Longest description of one field, name or value that is told: room for what is wrong and a list of what would be right,
/// such as a filter's fields.
const MAX_DESCRIPTION_BYTES: usize = 300;
/// The descriptions of all fields together: in base64, and beside a message that is percent-encoded, they still fit in the
/// 8 KiB of headers that some clients and proxies take.
const MAX_DESCRIPTIONS_BYTES: usize = 1600;
/// Longest message.
const MAX_MESSAGE_BYTES: usize = 900;

/// A text cut at a character's border, with a mark where something is missing.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call fails. `Status::from` adds the details: `ErrorInfo` always, `BadRequest`, `ResourceInfo` and `RetryInfo`
/// where they apply.
///
/// A reason is UPPER_SNAKE and a part of the interface: programs branch on it, people read the message.
#[derive(Debug)]
pub struct ServiceError {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    fields: Vec<(String, String)>,
    resource: Option<(&'static str, String)>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

impl ServiceError {
    fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            fields: Vec::new(),
            resource: None,
            retry_after: None,
            source: None,
        }
    }

    /// A field of the request is wrong; `field` is its path, `dataset.prefix` or `legs[1].weight`.
    #[must_use]
    pub fn invalid_argument(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, "INVALID_ARGUMENT", "").and_field(field, message)
    }

    /// There is no such thing; `name` is its resource name.
    #[must_use]
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        let message = format!("there is no {kind} {name:?}");
        Self::new(Code::NotFound, "NOT_FOUND", message).on_resource(kind, name)
    }

    /// There is one already, and it differs.
    #[must_use]
    pub fn already_exists(kind: &'static str, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message).on_resource(kind, name.into())
    }

    /// The request is well formed and cannot be served as things are, and trying again does not help.
    #[must_use]
    pub fn failed_precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// Something that the service needs is away: the same request may work after `retry_after`.
    #[must_use]
    pub fn unavailable(reason: &'static str, message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Code::Unavailable, reason, message).after(retry_after)
    }

    /// A limit is reached: the same request may work after `retry_after`.
    #[must_use]
    pub fn resource_exhausted(reason: &'static str, message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Code::ResourceExhausted, reason, message).after(retry_after)
    }

    /// A mistake of ours. The caller gets the id of its trace, and the log has the cause under this id.
    #[must_use]
    pub fn internal(source: impl Into<BoxError>) -> Self {
        let mut error = Self::new(Code::Internal, "INTERNAL", "internal error");
        error.source = Some(source.into());
        error
    }

    /// Another reason than the code's own name.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// A further wrong field.
    #[must_use]
    pub fn and_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.fields.push((field.into(), message.into()));
        self
    }

    /// A fact that a program may want, such as the name of the model that was expected.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// What caused it: for the log, not for the caller.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the same request may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retry_after.is_some()
    }

    /// What a caller is told, in a size that every client takes: a status travels in headers, of which some clients
    /// and proxies take no more than 8 KiB.
    fn cut(mut self) -> Self {
        let told = self.told();
        self.message = cut(&told, MAX_MESSAGE_BYTES);
        self.fields.truncate(MAX_FIELDS);
        let room = self.room_for_a_description();
        for (field, message) in &mut self.fields {
            *field = cut(field, MAX_FIELD_BYTES);
            *message = cut(message, room);
        }
        if let Some((_, name)) = &mut self.resource {
            *name = cut(name, MAX_DESCRIPTION_BYTES);
        }
        for value in self.metadata.values_mut() {
            *value = cut(value, MAX_DESCRIPTION_BYTES);
        }
        self
    }

    /// The message; of wrong fields the first few, and how many there are besides.
    fn told(&self) -> String {
        if self.fields.is_empty() {
            return self.message.clone();
        }
        let shown = self.fields.iter().take(MAX_FIELDS);
        let room = self.room_for_a_description();
        let described: Vec<String> = shown
            .map(|(field, message)| format!("{}: {}", cut(field, MAX_FIELD_BYTES), cut(message, room)))
            .collect();
        match self.fields.len().saturating_sub(MAX_FIELDS) {
            0 => described.join("; "),
            more => format!("{}; and {more} more", described.join("; ")),
        }
    }

    /// Bytes for what is wrong with one field: all of them where few fields are wrong, their share where many are.
    fn room_for_a_description(&self) -> usize {
        (MAX_DESCRIPTIONS_BYTES / self.fields.len().clamp(1, MAX_FIELDS)).min(MAX_DESCRIPTION_BYTES)
    }

    fn on_resource(mut self, kind: &'static str, name: String) -> Self {
        self.resource = Some((kind, name));
        self
    }

    fn after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.told())
    }
}

impl StdError for ServiceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let mut error = error.cut();
        if error.code == Code::Internal {
            let id = current_trace_id();
            let source = error
                .source
                .as_deref()
                .map(|source| source as &(dyn StdError + 'static));
            tracing::error!(
                error_id = id.as_deref(),
                error = source,
                "a call failed with an internal error"
            );
            if let Some(id) = id {
                error.message = format!("internal error; the service's log tells more under error_id {id}");
                error.metadata.insert("error_id".to_owned(), id);
            }
        } else if let Some(source) = error.source.as_deref() {
            let source: &(dyn StdError + 'static) = source;
            tracing::warn!(
                reason = error.reason,
                error = source,
                "a call was refused: {}",
                error.message
            );
        }
        let mut details = ErrorDetails::with_error_info(error.reason, ERROR_DOMAIN, error.metadata);
        for (field, description) in error.fields {
            details.add_bad_request_violation(field, description);
        }
        if let Some((kind, name)) = error.resource {
            details.set_resource_info(kind, name, "", "");
        }
        if error.retry_after.is_some() {
            details.set_retry_info(error.retry_after);
        }
        Self::with_error_details(error.code, error.message, details)
    }
}

/// The reason in a status of ours, `INVALID_ARGUMENT` say; `None` where the status is of another make.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == ERROR_DOMAIN).then_some(info.reason)
}

/// A status in words for a person: its message, and when to try again.
#[must_use]
pub fn explain(status: &Status) -> String {
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    match status.get_details_retry_info().and_then(|info| info.retry_delay) {
        Some(delay) => format!("{message} (try again in {} s)", delay.as_secs_f64().ceil()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_fields_reach_the_caller_by_path() {
        let error =
            ServiceError::invalid_argument("alpha", "must lie in [0, 1]").and_field("top_k", "must be at least 1");
        assert!(!error.is_retryable());
        let status = Status::from(error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "alpha: must lie in [0, 1]; top_k: must be at least 1");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let paths: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(paths, ["alpha", "top_k"]);
        assert_eq!(reason(&status).as_deref(), Some("INVALID_ARGUMENT"));
    }

    #[test]
    fn a_request_wrong_in_a_thousand_long_ways_is_refused_in_headers_of_less_than_8_kib() {
        let long = "가".repeat(10_000);
        let first = ServiceError::invalid_argument(long.as_str(), long.as_str());
        let error = (1..1000).fold(first, |error, _| error.and_field(long.as_str(), long.as_str()));
        let status = Status::from(error.with_metadata("name", long.as_str()));
        assert!(
            status.message().ends_with('…') && status.message().len() < 1000,
            "{}",
            status.message().len()
        );
        let answer = status.clone().into_http::<String>();
        let bytes: usize = answer
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        assert!(bytes < 8 << 10, "{bytes}");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 8);
        let few = (1..11).fold(ServiceError::invalid_argument("a", "is wrong"), |error, _| {
            error.and_field("b", "too")
        });
        assert!(Status::from(few).message().ends_with("; and 3 more"));
    }

    #[test]
    fn what_is_wrong_with_one_field_is_told_at_more_length_than_what_is_wrong_with_many() {
        let long = "x".repeat(10_000);
        let told = |fields: usize| {
            let first = ServiceError::invalid_argument("a", long.as_str());
            let error = (1..fields).fold(first, |error, _| error.and_field("b", long.as_str()));
            let violations = Status::from(error).get_details_bad_request().unwrap().field_violations;
            violations[0].description.trim_end_matches('…').len()
        };
        assert_eq!([told(1), told(5), told(8), told(1000)], [300, 300, 200, 200]);
    }

    #[test]
    fn a_missing_resource_is_named() {
        let status = Status::from(ServiceError::not_found("run", "runs/abc"));
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "there is no run \"runs/abc\"");
        let resource = status.get_details_resource_info().unwrap();
        assert_eq!(
            (resource.resource_type.as_str(), resource.resource_name.as_str()),
            ("run", "runs/abc")
        );
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        let error = ServiceError::unavailable("QUEUE_UNAVAILABLE", "the broker is away", Duration::from_millis(1500));
        assert!(error.is_retryable());
        let status = Status::from(error);
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(
            status.get_details_retry_info().unwrap().retry_delay,
            Some(Duration::from_millis(1500))
        );
        assert_eq!(explain(&status), "the broker is away (try again in 2 s)");
    }

    #[test]
    fn an_internal_error_keeps_its_cause_from_the_caller() {
        let status = Status::from(ServiceError::internal(std::io::Error::other(
            "password hunter2 refused",
        )));
        assert_eq!(status.code(), Code::Internal);
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(!status.message().contains("hunter2") && !details.contains("hunter2"));
    }

    #[test]
    fn every_status_of_ours_has_a_reason_in_our_domain_and_its_metadata() {
        let error = ServiceError::failed_precondition("MODEL_MISMATCH", "the collection holds another model");
        let status = Status::from(error.with_metadata("expected", "minilm"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.domain.as_str(), info.reason.as_str()),
            ("sightline", "MODEL_MISMATCH")
        );
        assert_eq!(info.metadata["expected"], "minilm");
        assert_eq!(reason(&Status::unknown("from elsewhere")), None);
    }
}
