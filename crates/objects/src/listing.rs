//! What is asked of a listing, and how its pages follow each other.

use crate::s3::Neighbours;
use crate::{ObjectError, ObjectMeta};
use std::sync::Arc;

/// Most keys and prefixes of one page (S3's own limit).
pub const MAX_LIST_LIMIT: usize = 1000;

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects, in the order of their keys' UTF-8 bytes.
    pub objects: Vec<ObjectMeta>,
    /// With `fold`: the prefixes (ending in `/`) that stand for all keys below them, in the order of their bytes.
    pub common_prefixes: Vec<String>,
    /// Pass as `start_after` for what follows; none at the end. A text that any process can go on from, later too;
    /// it need not be a key.
    pub next: Option<String>,
    /// Goes with `next`.
    pub hint: ListHint,
}

/// What a page tells of the next, which saves some stores a request. A listing that goes on with it may leave out what
/// was put since the page that it is of: it is for whoever reads page after page, and is not to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListHint(pub(crate) Option<Arc<Neighbours>>);

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that start so; "" for all.
    pub prefix: String,
    /// Only keys after this one. With `fold`, use only what an earlier page gave as `next`: for a text inside a folded
    /// prefix, stores differ in whether that prefix is given again.
    pub start_after: Option<String>,
    /// What the page told whose `next` this goes on from, or nothing.
    pub hint: ListHint,
    /// Fold keys at the first `/` after the prefix into common prefixes.
    pub fold: bool,
    /// At most so many keys and prefixes, 1 to [`MAX_LIST_LIMIT`].
    pub limit: usize,
}

impl ListRequest {
    /// Everything below a prefix, [`MAX_LIST_LIMIT`] keys a page.
    #[must_use]
    pub fn all(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            start_after: None,
            hint: ListHint::default(),
            fold: false,
            limit: MAX_LIST_LIMIT,
        }
    }

    /// Refuses a limit that no store serves.
    pub(crate) fn check(&self) -> Result<(), ObjectError> {
        if (1..=MAX_LIST_LIMIT).contains(&self.limit) {
            return Ok(());
        }
        let message = format!("a page has 1 to {MAX_LIST_LIMIT} keys, not {}", self.limit);
        Err(ObjectError::invalid("list", &self.prefix, message))
    }
}

/// The text after which a listing goes on that ended with a common prefix. Every key below the prefix comes before it,
/// so that the prefix is not given twice.
#[must_use]
pub fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}
