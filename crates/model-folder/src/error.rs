//! What can be wrong with a model folder.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model folder cannot be used. None of these goes away by trying again; somebody has to repair the folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that a model needs is not there.
    #[error("{folder} has no {file}: {remedy}; it holds {present}")]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file, relative to the folder.
        file: String,
        /// What to do.
        remedy: &'static str,
        /// What the folder holds instead.
        present: String,
    },
    /// A file is no JSON of the expected shape.
    #[error("cannot understand {path}: {source}: copy the model's own file again")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file is no TOML of the expected shape.
    #[error("cannot understand {path}: {source}: export the model again")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A file says something that is not implemented, or contradicts itself.
    #[error("{path}: `{key}` {problem}: {remedy}")]
    Setting {
        /// The file.
        path: PathBuf,
        /// The key within it.
        key: String,
        /// What is wrong with its value.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The architecture is none of those that are implemented.
    #[error(
        "{path} names the architecture `{architecture}`, which is not implemented natively (these are: {implemented}): export it to TorchScript with a model.toml beside it (docs/models.md), or use one of those; the folder holds {present}"
    )]
    UnknownArchitecture {
        /// The configuration.
        path: PathBuf,
        /// Its `model_type`.
        architecture: String,
        /// Every architecture there is.
        implemented: String,
        /// What the folder holds.
        present: String,
    },
    /// The folder's name cannot name a model.
    #[error("the folder {folder} cannot name its model ({source}): rename it, or give the model a name")]
    Name {
        /// The folder.
        folder: PathBuf,
        /// The rule it breaks.
        source: sightline_core::IdError,
    },
}

impl FolderError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn missing(folder: &Path, file: &str, remedy: &'static str) -> Self {
        Self::Missing {
            folder: folder.to_owned(),
            file: file.to_owned(),
            remedy,
            present: crate::path::listing(folder),
        }
    }

    pub(crate) fn setting(
        path: &Path,
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Setting {
            path: path.to_owned(),
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}
