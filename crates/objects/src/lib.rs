//! The object-store seam: S3 in production, a local directory embedded.
//!
//! Promises: one small trait with one conformance suite (`conformance`, run by every implementation, real servers
//! included); a whole object appears or none; listings are streamed in key order and are never silently short;
//! errors say whether trying again can help; credentials are never shown. Leaves to others: what the objects mean
//! (`sightline-core`), and waiting when a store is away.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod listing;
mod local;
mod open;
mod s3;

pub use error::{ObjectError, Symptom};
pub use listing::{ListHint, ListPage, ListRequest, MAX_LIST_LIMIT, after_prefix};
pub use local::LocalStore;
pub use open::{FileAccess, OpenOptions, Stores, open};
pub use s3::{S3Options, S3Store};

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

/// A store of objects below one root.
///
/// Semantics that every implementation keeps:
/// - `put` replaces the whole object at once; readers see the old one or the new one.
/// - `get` and `get_range` with an etag give that version or [`ObjectError::Changed`]; a body shorter than announced
///   is [`ObjectError::Unavailable`] with [`Symptom::Answered`], never a short success.
/// - `delete` of what is not there succeeds.
/// - `list` gives keys in the order of their bytes, each once, over any number of pages.
/// - What was put is seen by the next `get`, `head` and `list`.
/// - A key that a store cannot hold is [`ObjectError::Invalid`] and touches nothing. Every store holds keys of 1 to
///   1024 bytes whose parts between slashes have 1 to 255 bytes, are not `.` or `..` and hold no NUL, as long as no
///   key is another one's "directory" (`a` beside `a/b`). S3 holds more than that, a directory does not.
#[async_trait]
pub trait ObjectStore: Send + Sync + Debug {
    /// The root as a URL without a slash at its end and without credentials, for messages and rows.
    fn root(&self) -> &str;

    /// Reads a whole object; with `etag`, only that version.
    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError>;

    /// Reads bytes `range` of an object, clamped to its end; nothing where the range is empty or lies behind it.
    /// With `etag`, only of that version, so that several ranges are of one content.
    async fn get_range(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError>;

    /// Tag and size of an object.
    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError>;

    /// Writes a whole object.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError>;

    /// Writes a whole object and says what it is, as a media type such as `image/png`: browsers that are sent to it show it by
    /// that. A store that is not read over HTTP has no use for it.
    async fn put_as(&self, key: &str, body: Bytes, media_type: &str) -> Result<(), ObjectError> {
        let _ = media_type;
        self.put(key, body).await
    }

    /// Deletes an object.
    async fn delete(&self, key: &str) -> Result<(), ObjectError>;

    /// Lists one page.
    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError>;
}
