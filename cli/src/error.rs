//! How a command ends.

use sightline_service::explain;
use sightline_service::grpc::ConnectError;
use std::process::ExitCode;
use tonic::{Code, Status};

/// The exit code of a run that was cut off by Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it worked.
    Success,
    /// None of it did.
    Failure,
    /// The run ended; some items failed.
    Partial,
    /// The run ended without what was asked: it failed, or was cancelled. Not [`Exit::Failure`], after which the same command
    /// may be tried again: it would find the run as it ended.
    Stopped,
    /// A person stopped watching.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Partial => 3,
            Exit::Stopped => 4,
            Exit::Interrupted => INTERRUPTED,
        })
    }
}

/// Why a command could not do what it was asked; in words, with what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments are wrong together, or what they name is not there.
    #[error("{0}")]
    Usage(String),
    /// Something that it needs did not work.
    #[error("{0}")]
    Failed(String),
    /// Nobody reads the output any more: `sightline … | head`.
    #[error("nobody reads the output")]
    OutputClosed,
}

/// What commands give.
pub(crate) type Outcome = Result<Exit, CliError>;

impl CliError {
    /// A failed call, in the words of the server.
    pub(crate) fn call(action: &str, status: &Status) -> Self {
        let words = explain(status);
        let text = format!("cannot {action}: {words}");
        match status.code() {
            Code::InvalidArgument => Self::Usage(text),
            Code::Unimplemented => Self::Failed(format!(
                "cannot {action}: the server does not offer it; name the right one with --server, --coordinator, \
                 --worker or --gateway"
            )),
            // A connection that broke says nothing of its own.
            Code::Unknown | Code::Unavailable if words.contains("transport error") || words.contains("h2 protocol") => {
                Self::Failed(format!(
                    "cannot {action}: the connection to the server was lost; try again"
                ))
            }
            // The server closed the connection, for its age say, before it saw the call.
            Code::Cancelled if words.contains("operation was canceled") => Self::Failed(format!(
                "cannot {action}: the connection to the server was lost; try again"
            )),
            Code::DeadlineExceeded => Self::Failed(format!("{text}; the server is busy: try again")),
            Code::OutOfRange if words.contains("message length too large") => {
                Self::Failed(format!("{text}; ask for fewer hits (--top-k) or smaller pictures"))
            }
            _ => Self::Failed(text),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
            Self::OutputClosed => 0,
        })
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        let remedy = match &error {
            ConnectError::Unreachable { service, .. } => {
                format!("; start one with `sightline standalone`, or name another with --server or --{service}")
            }
            _ => String::new(),
        };
        Self::Failed(format!("{error}{remedy}"))
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_is_a_usage_error_and_a_lost_connection_says_to_try_again() {
        let wrong = CliError::call("search", &Status::invalid_argument("alpha: must lie in [0, 1]"));
        assert_eq!(wrong.to_string(), "cannot search: alpha: must lie in [0, 1]");
        assert_eq!(wrong.code(), ExitCode::from(2));
        let lost = CliError::call("search", &Status::unavailable("transport error"));
        assert!(lost.to_string().ends_with("try again"), "{lost}");
        assert_eq!(lost.code(), ExitCode::from(1));
        let unseen = CliError::call(
            "search",
            &Status::cancelled("operation was canceled: connection closed"),
        );
        assert!(unseen.to_string().ends_with("try again"), "{unseen}");
    }

    #[test]
    fn the_end_of_the_reader_is_no_failure() {
        let closed = CliError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(closed.code(), ExitCode::SUCCESS);
        let full = CliError::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(full.code(), ExitCode::FAILURE);
    }
}
