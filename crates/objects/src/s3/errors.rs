//! What an answer of S3 means for whoever asked.

use crate::{ObjectError, Symptom};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::io;

/// An error and its causes in one line.
pub(super) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What a body that broke off tells of the store: where the server ended it before its end, it answered.
pub(super) fn symptom_of_body(error: &(dyn Error + 'static)) -> Symptom {
    let mut source = Some(error);
    while let Some(cause) = source {
        if cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
        {
            return Symptom::Answered;
        }
        source = cause.source();
    }
    Symptom::Away
}

/// An operation that failed.
#[derive(Clone, Copy)]
pub(super) struct Failure<'a> {
    pub(super) action: &'static str,
    pub(super) key: &'a str,
    pub(super) bucket: &'a str,
}

impl Failure<'_> {
    /// Why it failed; `etag` is the version that was asked for.
    pub(super) fn of<E>(self, error: &SdkError<E, HttpResponse>, etag: Option<&str>) -> ObjectError
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let Self { action, key, .. } = self;
        match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let code = service.err().code().unwrap_or_default();
                let message = service.err().message().unwrap_or_default();
                self.of_answer(status, code, message, etag)
            }
            SdkError::ConstructionFailure(_) => without_credentials(action, key, error)
                .unwrap_or_else(|| ObjectError::invalid(action, key, error_chain(error))),
            _ => {
                let silent = match error {
                    SdkError::TimeoutError(_) => true,
                    SdkError::DispatchFailure(failure) => failure.is_timeout(),
                    _ => false,
                };
                let symptom = if silent { Symptom::Silent } else { Symptom::Away };
                without_credentials(action, key, error)
                    .unwrap_or_else(|| ObjectError::of_symptom(symptom, action, key, error_chain(error)))
            }
        }
    }

    fn of_answer(self, status: u16, code: &str, message: &str, etag: Option<&str>) -> ObjectError {
        let Self { action, key, bucket } = self;
        let said = format!("HTTP {status} {code} {message}").trim_end().to_owned();
        match (status, code) {
            (412, _) => ObjectError::changed(key, etag.unwrap_or_default()),
            (_, "NoSuchBucket") => {
                let message = format!("there is no bucket {bucket:?}; check its name, the endpoint and the region");
                ObjectError::invalid(action, key, message)
            }
            // Not the object's refusal but the credentials' age: whoever refreshes them, it works again.
            (_, "ExpiredToken" | "TokenRefreshRequired" | "RequestTimeTooSkewed") => {
                ObjectError::unavailable(action, key, said)
            }
            // Of every object alike: whoever corrects the credentials makes all of them readable. A signature that does
            // not match is not among them: a server may get that of one odd key wrong, for ever.
            (_, "InvalidAccessKeyId" | "InvalidToken" | "InvalidSecurity") | (401, _) => ObjectError::unavailable(
                action,
                key,
                format!("{said}; the credentials are not accepted: correct them"),
            ),
            (403, _) => ObjectError::denied(action, key, said),
            (404, _) => ObjectError::not_found(key),
            (301 | 307 | 308, _) | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
                let message = format!("{said}; bucket {bucket:?} is in another region: set the region");
                ObjectError::invalid(action, key, message)
            }
            // Before the codes: servers say `SlowDown` of an object that too few of their disks can give.
            (500..=599, _) => ObjectError::of_symptom(Symptom::Answered, action, key, said),
            (408 | 409 | 425 | 429, _)
            | (_, "SlowDown" | "RequestTimeout" | "Throttling" | "RequestLimitExceeded" | "BadDigest") => {
                ObjectError::unavailable(action, key, said)
            }
            (400..=499, _) => ObjectError::invalid(action, key, said),
            _ => ObjectError::unavailable(action, key, said),
        }
    }
}

/// What to do where there are no credentials.
const REMEDY: &str =
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in AWS_PROFILE, or give the service account a role";

/// That there is nothing to sign a request with, where this is why none was made.
fn without_credentials(action: &'static str, key: &str, error: &(dyn Error + 'static)) -> Option<ObjectError> {
    let mut source = Some(error);
    while let Some(cause) = source {
        match cause.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                let message = format!("no credentials were found; {REMEDY}");
                return Some(ObjectError::denied(action, key, message));
            }
            // Whoever gives them may be away for a moment, as a machine's own service is: it is asked again.
            Some(CredentialsError::ProviderError(_) | CredentialsError::ProviderTimedOut(_)) => {
                let message = format!("no credentials could be had: {}; {REMEDY}", error_chain(cause));
                return Some(ObjectError::unavailable(action, key, message));
            }
            Some(CredentialsError::InvalidConfiguration(_)) => {
                return Some(ObjectError::denied(action, key, error_chain(cause)));
            }
            _ => source = cause.source(),
        }
    }
    None
}
