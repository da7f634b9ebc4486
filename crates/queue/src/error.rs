//! Why an operation on the queue failed.

/// Why an operation on the queue failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The broker is away, refuses to take messages for now, or did not confirm: try again later.
    #[error("the queue is not available: could not {action} {queue:?}: {message}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// The queue.
        queue: String,
        /// What happened.
        message: String,
    },
    /// The session in which the delivery came is gone; the broker delivers the message again.
    #[error("the session of this delivery is gone: the message will be delivered again")]
    SessionLost,
    /// It can never work: a queue that is not declared or that exists with other properties, a wrong URL or password.
    #[error("cannot {action} {queue:?}: {message}")]
    Invalid {
        /// What was tried.
        action: &'static str,
        /// The queue.
        queue: String,
        /// Why.
        message: String,
    },
}

impl QueueError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::SessionLost)
    }

    /// Which error it is, as traces and metrics name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::SessionLost => "session_lost",
            Self::Invalid { .. } => "invalid",
        }
    }

    pub(crate) fn unavailable(action: &'static str, queue: &str, message: impl Into<String>) -> Self {
        Self::Unavailable {
            action,
            queue: queue.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn invalid(action: &'static str, queue: &str, message: impl Into<String>) -> Self {
        Self::Invalid {
            action,
            queue: queue.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn not_declared(action: &'static str, queue: &str) -> Self {
        Self::invalid(action, queue, "there is no such queue: declare it first")
    }
}
