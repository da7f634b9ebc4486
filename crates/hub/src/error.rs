//! Why a model cannot be pulled.

use crate::reference::ReferenceError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why a model cannot be pulled, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It is no model's name.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// HF_ENDPOINT is no address.
    #[error("the hub's address is no http:// or https:// URL: correct HF_ENDPOINT")]
    Endpoint,
    /// The token cannot be sent.
    #[error("the hub's token holds characters that no token has: copy it again")]
    Token,
    /// There is nowhere to keep it.
    #[error("there is no folder to keep models in: name one with hub.cache (--model-cache)")]
    NoCache,
    /// Asking is forbidden, and it was not pulled before.
    #[error(
        "{model} was not pulled to {cache}, and the hub may not be asked (offline): pull it while it can be reached"
    )]
    Offline {
        /// The model.
        model: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The hub does not answer.
    #[error(
        "cannot reach {endpoint} for {what}: {reason}; see that the network and HF_ENDPOINT are right, and try again"
    )]
    Unreachable {
        /// The server.
        endpoint: String,
        /// What was asked for.
        what: String,
        /// What happened.
        reason: String,
    },
    /// A download broke too often.
    #[error(
        "the download of {path} broke off after {have} of {bytes} bytes ({reason}): pull again, it goes on from there"
    )]
    Broken {
        /// The file.
        path: String,
        /// What is there.
        have: u64,
        /// What there should be.
        bytes: u64,
        /// What happened.
        reason: String,
    },
    /// No such repository, or none that may be seen.
    #[error("{endpoint} has no model {repository} that may be seen: see that the name is right{token}")]
    NoRepository {
        /// The server.
        endpoint: String,
        /// `org/name`.
        repository: String,
        /// What to do about a token.
        token: &'static str,
    },
    /// No such revision.
    #[error(
        "{repository} has no revision {revision:?}: name a branch, a tag or a whole commit; {page}/commits/main lists them"
    )]
    NoRevision {
        /// `org/name`.
        repository: String,
        /// What was asked for.
        revision: String,
        /// The model's page.
        page: String,
    },
    /// Its conditions were not accepted.
    #[error(
        "{repository} is gated: accept its conditions at {page}, and give that account's token (--hf-token, HF_TOKEN or hub.token)"
    )]
    Gated {
        /// `org/name`.
        repository: String,
        /// The model's page.
        page: String,
    },
    /// The token is wrong, or may not read it.
    #[error("the hub refuses {repository} ({status}): {token}")]
    Refused {
        /// `org/name`.
        repository: String,
        /// 401 or 403.
        status: u16,
        /// What to do about a token.
        token: &'static str,
    },
    /// Any other answer.
    #[error(
        "{endpoint} answered {status} for {what}{message}: try again later, or name another server with HF_ENDPOINT"
    )]
    Answer {
        /// The server.
        endpoint: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// What the server said, behind a comma.
        message: String,
    },
    /// The answer is not what the hub's API says.
    #[error("{endpoint} does not speak the hub's API: {what}; name the right server with HF_ENDPOINT")]
    Protocol {
        /// The server.
        endpoint: String,
        /// What is wrong.
        what: String,
    },
    /// Weights are there, but none that are read.
    #[error(
        "{repository} has its weights only as {found}, which are not fetched: pickles run code when they are read. Convert \
         them where you trust them, in Python: transformers.AutoModel.from_pretrained({repository:?}).save_pretrained(DIR), \
         which writes safetensors, and give DIR; or name a revision that has safetensors (the hub's converter leaves them at \
         @refs/pr/N)"
    )]
    OnlyPickles {
        /// `org/name`.
        repository: String,
        /// The files.
        found: String,
    },
    /// It is no model folder.
    #[error("{repository} at {commit} has no {missing}, so it is no model that is read here: it has {present}")]
    NoModel {
        /// `org/name`.
        repository: String,
        /// The commit.
        commit: String,
        /// What is missing.
        missing: String,
        /// What there is.
        present: String,
    },
    /// The bytes are not those that the hub announced.
    #[error(
        "{path} came with other bytes than the hub's digest {digest} says: it is damaged on the way or at the server; pull again"
    )]
    Digest {
        /// The file.
        path: String,
        /// As the hub has it.
        digest: String,
    },
    /// More bytes than announced.
    #[error(
        "{path} has more than the {bytes} bytes that the hub announced: the server is damaged; pull again, or from another"
    )]
    Length {
        /// The file.
        path: String,
        /// As announced.
        bytes: u64,
    },
    /// There is no room.
    #[error("{folder} has no room: {needed} more bytes are needed{free}; make room, or name a folder on another disk")]
    NoRoom {
        /// Where it should go.
        folder: PathBuf,
        /// Bytes that are still to come.
        needed: u64,
        /// What is free, in words.
        free: String,
    },
    /// The folder is somebody else's.
    #[error("{folder} {holds}: name a folder that is new or empty")]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        holds: String,
    },
    /// A record is damaged.
    #[error("cannot read {path} ({source}): delete its folder and pull the model again")]
    Record {
        /// The record.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The disk failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A task was lost.
    #[error("the pull was interrupted: pull again")]
    Interrupted,
}

impl HubError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A failed write, while so many bytes are still to come.
    pub(crate) fn write(path: &Path, needed: u64, source: std::io::Error) -> Self {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoRoom {
                folder: path.parent().unwrap_or(path).to_owned(),
                needed,
                free: String::new(),
            },
            _ => Self::io("write", path, source),
        }
    }
}
