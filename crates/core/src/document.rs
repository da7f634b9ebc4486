//! Reading and writing of versioned JSON documents.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A durable document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON, or lacks a field, or has one that this version does not define.
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
    /// When it is another kind of document, a newer version, or damaged.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let malformed = |error: serde_json::Error| DocumentError::Malformed {
            format: Self::FORMAT,
            message: error.to_string(),
        };
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).map_err(malformed)?;
        let head = Head::deserialize(serde_json::Value::Object(value.clone())).map_err(malformed)?;
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
        Self::deserialize(serde_json::Value::Object(value)).map_err(malformed)
    }
}
