//! The object-store seam: S3 in production, a local directory embedded.
//!
//! Promises: one small trait with one conformance suite (`conformance`, run by every implementation, real servers
//! included); a whole object appears or none; listings are streamed in key order; errors say whether trying again
//! can help. Leaves to others: what the objects mean (`sightline-core`), and waiting when a store is away.

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::ops::Range;

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Key below the store's root. Opaque: it may hold any character.
    pub key: String,
    /// Entity tag, without quotes. Another content has another tag.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// Objects, in the order of their keys' UTF-8 bytes.
    pub objects: Vec<ObjectMeta>,
    /// With a delimiter: the prefixes (ending in it) that stand for all keys below them.
    pub common_prefixes: Vec<String>,
    /// Pass as `start_after` for what follows; none at the end.
    pub next: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Only keys that start so; "" for all.
    pub prefix: String,
    /// Only keys after this one.
    pub start_after: Option<String>,
    /// Fold keys at the first `/` after the prefix into common prefixes.
    pub fold: bool,
    /// At most so many keys and prefixes, 1 to 1000.
    pub limit: usize,
}

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
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
}

/// A store of objects below one root.
///
/// Semantics that every implementation keeps:
/// - `put` replaces the whole object at once; readers see the old one or the new one.
/// - `get` with an etag gives that version or [`ObjectError::Changed`]; a body shorter than announced is
///   [`ObjectError::Unavailable`], never a short success.
/// - `delete` of what is not there succeeds.
/// - `list` gives keys in the order of their bytes, each once, over any number of pages.
/// - What was put is seen by the next `get`, `head` and `list`.
#[async_trait]
pub trait ObjectStore: Send + Sync + Debug {
    /// The root as a URL, without credentials, for messages and rows.
    fn root(&self) -> &str;

    /// Reads a whole object; with `etag`, only that version.
    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError>;

    /// Reads bytes `range` of an object (clamped to its end).
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// Tag and size of an object.
    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError>;

    /// Writes a whole object.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError>;

    /// Deletes an object.
    async fn delete(&self, key: &str) -> Result<(), ObjectError>;

    /// Lists one page.
    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError>;
}
