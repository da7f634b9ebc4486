//! What a row asks for, before its picture was looked up.

use sightline_core::{FailureReason, Item, ItemKey, ItemOutcome, ManifestEntry, Outcome};

/// A row as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// The item, without its picture.
    pub(crate) item: Item,
    /// Its picture's key below the root.
    pub(crate) image: Option<String>,
}

/// A row on its way to an entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Draft {
    /// It names an item.
    Wanted(Box<Wanted>),
    /// It ended already.
    Ended(ItemOutcome),
}

impl Draft {
    pub(crate) fn key(&self) -> &ItemKey {
        match self {
            Self::Wanted(wanted) => &wanted.item.key,
            Self::Ended(ended) => &ended.key,
        }
    }

    pub(crate) fn line(&self) -> Option<u64> {
        match self {
            Self::Wanted(wanted) => wanted.item.line,
            Self::Ended(ended) => ended.line,
        }
    }

    /// A row that cannot be understood; its key, where it has none, is its line.
    pub(crate) fn invalid(key: Option<ItemKey>, line: u64, message: impl Into<String>) -> Self {
        Self::failed(
            key.unwrap_or_else(|| line_key(line)),
            Some(line),
            FailureReason::InvalidRow,
            message,
        )
    }

    pub(crate) fn failed(key: ItemKey, line: Option<u64>, reason: FailureReason, message: impl Into<String>) -> Self {
        Self::Ended(ItemOutcome {
            key,
            line,
            outcome: Outcome::failed(reason, message),
        })
    }
}

/// Whether an entry stands for what could not be understood so far that the keys of its items are known: a row of a table,
/// or what is left of a tar.
#[must_use]
pub fn is_unnamed(entry: &ManifestEntry) -> bool {
    let ManifestEntry::Ended(ended) = entry else {
        return false;
    };
    let is_tar = matches!(&ended.outcome, Outcome::Failed { reason, .. } if *reason == FailureReason::UnreadableTar);
    is_tar || ended.line.is_some_and(|line| ended.key == line_key(line))
}

/// The key of a row that has none.
pub(crate) fn line_key(line: u64) -> ItemKey {
    ItemKey::clamped(&format!("line:{line}"))
}
