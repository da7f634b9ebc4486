//! How an item ends: exactly one of indexed, unchanged, skipped, failed.

use crate::ids::ItemKey;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The reason as it is written in results, the API and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why an item failed. A fixed list: programs may match on it, and it only ever grows.
    FailureReason {
        /// A manifest names an object that is not there.
        NotFound = "not_found",
        /// The object may not be read with the credentials at hand.
        AccessDenied = "access_denied",
        /// The object has no bytes.
        EmptyObject = "empty_object",
        /// The object is larger than the limit in bytes.
        ObjectTooLarge = "object_too_large",
        /// The content is no picture of a type that is read here.
        UnsupportedFormat = "unsupported_format",
        /// The picture is damaged or cut short.
        CorruptImage = "corrupt_image",
        /// The picture's header claims more pixels than the limit.
        ImageTooLarge = "image_too_large",
        /// Decoding went over a limit of memory, scans or time.
        DecodeLimit = "decode_limit",
        /// The picture has several frames, and the dataset takes files of one.
        SeveralFrames = "several_frames",
        /// A manifest's row cannot be understood.
        InvalidRow = "invalid_row",
        /// A row of the same page, which is planned at once, has this key already.
        DuplicateKey = "duplicate_key",
        /// A field is longer than the index takes.
        RowTooLarge = "row_too_large",
        /// The item has neither a picture nor a text that the model embeds.
        NothingToEmbed = "nothing_to_embed",
        /// The model gave a vector with NaN, infinity or no length; or an imported one is like that.
        InvalidVector = "invalid_vector",
        /// The engine died twice with this item alone.
        EngineKilled = "engine_killed",
        /// The index refused this row alone, for a reason of its own.
        IndexRefused = "index_refused",
        /// A mistake of ours: please report it.
        Internal = "internal",
        /// A tar cannot be read, or not to its end. Its key stands for all that it holds from there on.
        UnreadableTar = "unreadable_tar",
        /// The store answers for other objects, and for this one with errors alone, in delivery after delivery.
        UnreadableObject = "unreadable_object",
    }
}

reasons! {
    /// Why an item was left out without being a failure.
    SkipReason {
        /// A file in a prefix whose type is none of ours.
        UnsupportedType = "unsupported_type",
        /// The object was deleted after it was planned.
        Gone = "gone",
        /// The object was overwritten after it was planned.
        Changed = "changed",
    }
}

/// How one item ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Its row is durable in the index.
    Indexed {
        /// The row's `source_digest`.
        digest: String,
    },
    /// Its row was there already, of the same source and the same model.
    Unchanged {
        /// The row's `source_digest`.
        digest: String,
    },
    /// It is none of ours, or was gone or changed when it was read.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// In words.
        message: String,
    },
    /// It could not be embedded.
    Failed {
        /// Why.
        reason: FailureReason,
        /// In words that a person can act on.
        message: String,
        /// Whether an older row of it stays in the index.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stale: bool,
    },
}

impl Outcome {
    /// A failure that leaves no older row behind.
    #[must_use]
    pub fn failed(reason: FailureReason, message: impl Into<String>) -> Self {
        Self::Failed {
            reason,
            message: message.into(),
            stale: false,
        }
    }

    /// A skip.
    #[must_use]
    pub fn skipped(reason: SkipReason, message: impl Into<String>) -> Self {
        Self::Skipped {
            reason,
            message: message.into(),
        }
    }

    /// Where a late writer left two results of one shard, the lower rank of an item counts.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Indexed { .. } => 0,
            Self::Unchanged { .. } => 1,
            Self::Skipped { .. } => 2,
            Self::Failed { .. } => 3,
        }
    }
}

/// An item and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemOutcome {
    /// The item.
    pub key: ItemKey,
    /// Line of the manifest that it came from, where it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Items counted by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeCounts {
    /// Durable in the index, written by this run.
    pub indexed: u64,
    /// Durable in the index already.
    pub unchanged: u64,
    /// Left out.
    pub skipped: u64,
    /// Not embedded, with a reason.
    pub failed: u64,
    /// Of the failed, those whose older row stays.
    pub stale: u64,
}

impl OutcomeCounts {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Indexed { .. } => self.indexed += 1,
            Outcome::Unchanged { .. } => self.unchanged += 1,
            Outcome::Skipped { .. } => self.skipped += 1,
            Outcome::Failed { stale, .. } => {
                self.failed += 1;
                self.stale += u64::from(*stale);
            }
        }
    }

    /// Items that have ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.indexed + self.unchanged + self.skipped + self.failed
    }
}

impl std::ops::AddAssign for OutcomeCounts {
    fn add_assign(&mut self, other: Self) {
        self.indexed += other.indexed;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.stale += other.stale;
    }
}
