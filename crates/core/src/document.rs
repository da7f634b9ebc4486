//! Reading and writing of versioned JSON documents.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A durable document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON, or lacks a field, or has one with another kind of value.
    #[error("cannot read a {format} document: {message}")]
    Malformed {
        /// The format that was expected.
        format: &'static str,
        /// What is wrong and where.
        message: String,
    },
    /// It is another kind of document.
    #[error("expected a {expected} document, found {found:?}")]
    OtherFormat {
        /// The format that was expected.
        expected: &'static str,
        /// What the document says it is.
        found: String,
    },
    /// It was written by a newer Sightline.
    #[error("this {format} document has version {found}; this Sightline reads up to {known}: upgrade it")]
    NewerVersion {
        /// The format.
        format: &'static str,
        /// The document's version.
        found: u32,
        /// The newest version that is read here.
        known: u32,
    },
    /// It has a field, or a word of a fixed list, that is not defined here. Those are only ever added, so that a newer
    /// Sightline wrote it, whatever its version says.
    #[error("this {format} document was written by a newer Sightline: {message}: upgrade this one")]
    NewerContent {
        /// The format.
        format: &'static str,
        /// What is not known and where.
        message: String,
    },
}

impl DocumentError {
    /// Whether a newer Sightline can use the document: it is to be left for one, and not to be given up.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::NewerVersion { .. } | Self::NewerContent { .. })
    }

    /// What it means that serde refused a document, or a line of it; `place` says which, before what serde says.
    pub(crate) fn of_json(format: &'static str, place: &str, error: &serde_json::Error) -> Self {
        let message = format!("{place}{error}");
        if is_unknown(error) {
            Self::NewerContent { format, message }
        } else {
            Self::Malformed { format, message }
        }
    }
}

/// Whether serde met a field or a word that is not defined here. Its texts are all that tells so, and
/// `tests/frozen/newer.rs` sees that they stay as they are, for every field of every format.
pub(crate) fn is_unknown(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    text.starts_with("unknown field `") || text.starts_with("unknown variant `")
}

/// A type that is stored as one JSON object with `format` and `version` at its head.
pub trait Document: Serialize + DeserializeOwned {
    /// What the document calls itself.
    const FORMAT: &'static str;
    /// The version that is written, and the newest that is read.
    const VERSION: u32 = 1;

    /// The document's bytes: deterministic, one object, no trailing newline.
    fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Head<'a, T> {
            format: &'static str,
            version: u32,
            #[serde(flatten)]
            body: &'a T,
        }
        // Our documents are structs with string keys and finite numbers: serialising them cannot fail.
        serde_json::to_vec(&Head {
            format: Self::FORMAT,
            version: Self::VERSION,
            body: self,
        })
        .unwrap_or_default()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When it is another kind of document, of a newer Sightline, or damaged.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let refused = |error: serde_json::Error| DocumentError::of_json(Self::FORMAT, "", &error);
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).map_err(refused)?;
        let head = Head::deserialize(serde_json::Value::Object(value.clone())).map_err(refused)?;
        if head.format != Self::FORMAT {
            return Err(DocumentError::OtherFormat {
                expected: Self::FORMAT,
                found: head.format,
            });
        }
        if head.version > Self::VERSION {
            return Err(DocumentError::NewerVersion {
                format: Self::FORMAT,
                found: head.version,
                known: Self::VERSION,
            });
        }
        value.remove("format");
        value.remove("version");
        Self::deserialize(serde_json::Value::Object(value)).map_err(refused)
    }
}
