//! Why an operation on a store failed, and whether trying again can help.

/// What is known of a store that did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// It was not reached, a connection failed, or it refuses everybody for now: credentials, throttling by 429.
    Away,
    /// No answer came within a limit of time.
    Silent,
    /// It answered, with an error of its own (5xx) or with fewer bytes than there are: this may be so of one object alone.
    Answered,
}

/// Why an operation on the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("{key:?} does not exist")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The object is not of the version that was asked for (If-Match failed).
    #[error("{key:?} is no longer the version that was planned (etag {expected})")]
    Changed {
        /// The key.
        key: String,
        /// The tag that was asked for.
        expected: String,
    },
    /// The credentials do not allow it.
    #[error("not allowed to {action} {key:?}: {message}")]
    AccessDenied {
        /// What was tried.
        action: &'static str,
        /// The key.
        key: String,
        /// What the store said.
        message: String,
    },
    /// The store is away, slow, throttling, or gave a broken answer: try again later.
    #[error("the object store is not available: could not {action} {key:?}: {message}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// The key.
        key: String,
        /// What happened.
        message: String,
        /// What that tells of the store.
        symptom: Symptom,
    },
    /// It can never work: a key or URL that the store cannot hold.
    #[error("cannot {action} {key:?}: {message}")]
    Invalid {
        /// What was tried.
        action: &'static str,
        /// The key or URL.
        key: String,
        /// Why.
        message: String,
    },
}

impl ObjectError {
    /// Whether the same call can succeed later, without anyone changing anything but the store's health.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// What is known of a store that is not available; none where that is not what is wrong.
    #[must_use]
    pub fn symptom(&self) -> Option<Symptom> {
        match self {
            Self::Unavailable { symptom, .. } => Some(*symptom),
            _ => None,
        }
    }

    pub(crate) fn not_found(key: &str) -> Self {
        Self::NotFound { key: key.into() }
    }

    pub(crate) fn changed(key: &str, expected: &str) -> Self {
        Self::Changed {
            key: key.into(),
            expected: expected.into(),
        }
    }

    pub(crate) fn denied(action: &'static str, key: &str, message: impl Into<String>) -> Self {
        Self::AccessDenied {
            action,
            key: key.into(),
            message: message.into(),
        }
    }

    pub(crate) fn unavailable(action: &'static str, key: &str, message: impl Into<String>) -> Self {
        Self::of_symptom(Symptom::Away, action, key, message)
    }

    pub(crate) fn of_symptom(symptom: Symptom, action: &'static str, key: &str, message: impl Into<String>) -> Self {
        Self::Unavailable {
            action,
            key: key.into(),
            message: message.into(),
            symptom,
        }
    }

    pub(crate) fn invalid(action: &'static str, key: &str, message: impl Into<String>) -> Self {
        Self::Invalid {
            action,
            key: key.into(),
            message: message.into(),
        }
    }
}
