//! What a failure of the client means: gone for now, or wrong for ever.

use super::address::Address;
use crate::QueueError;
use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

/// A failed exchange with the broker, before it is known for which queue.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    message: String,
    /// Nothing by that name is there.
    pub(super) not_found: bool,
    /// The same will fail again.
    pub(super) permanent: bool,
}

impl Failure {
    pub(super) fn of(address: &Address, error: &lapin::Error) -> Self {
        let message = address.scrub(&error.to_string());
        let ErrorKind::ProtocolError(protocol) = error.kind() else {
            return Self::late(message);
        };
        // A queue whose node is down is "not found" too, until the node is back.
        let node_is_down = message.contains("down or inaccessible");
        let not_found = matches!(protocol.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)) && !node_is_down;
        let permanent = not_found
            || matches!(
                protocol.kind(),
                AMQPErrorKind::Soft(
                    AMQPSoftError::ACCESSREFUSED | AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::CONTENTTOOLARGE
                ) | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED | AMQPHardError::NOTIMPLEMENTED)
            );
        Self {
            message,
            not_found,
            permanent,
        }
    }

    /// A failure that may pass.
    pub(super) fn late(message: String) -> Self {
        Self {
            message,
            not_found: false,
            permanent: false,
        }
    }

    /// The broker returned a message: no queue takes it.
    pub(super) fn unroutable() -> Self {
        Self {
            message: "no queue takes the message".to_owned(),
            not_found: true,
            permanent: true,
        }
    }

    pub(super) fn closed() -> Self {
        Self::late("the connection is closed".to_owned())
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The error of a call.
    pub(super) fn at(self, action: &'static str, queue: &str) -> QueueError {
        if self.not_found {
            QueueError::not_declared(action, queue)
        } else if self.permanent {
            QueueError::invalid(action, queue, self.message)
        } else {
            QueueError::unavailable(action, queue, self.message)
        }
    }
}
