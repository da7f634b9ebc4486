//! Identifiers, each a type of its own. Names given by people are checked; identifiers we derive are digests.

use crate::digest::PartsDigest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An identifier that cannot be what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not valid: {reason}")]
pub struct IdError {
    /// What kind of identifier was meant.
    pub kind: &'static str,
    /// What was given, cut to 200 characters.
    pub value: String,
    /// What is wrong with it, and what would be right.
    pub reason: &'static str,
}

fn refuse<T>(kind: &'static str, value: &str, reason: &'static str) -> Result<T, IdError> {
    Err(IdError {
        kind,
        value: value.chars().take(200).collect(),
        reason,
    })
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes a text.
            ///
            /// # Errors
            /// When the text breaks the rule of this kind of identifier.
            pub fn new(value: impl Into<String>) -> Result<Self, IdError> {
                let value = value.into();
                match $check(&value) {
                    Ok(()) => Ok(Self(value)),
                    Err(reason) => refuse($kind, &value, reason),
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

fn check_dataset(value: &str) -> Result<(), &'static str> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if value.is_empty()
        || value.len() > 63
        || !value.chars().all(ok)
        || !value.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err("use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or a digit");
    }
    Ok(())
}

fn check_collection(value: &str) -> Result<(), &'static str> {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if value.is_empty()
        || value.len() > 255
        || !value.chars().all(ok)
        || !value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    {
        return Err("use 1 to 255 letters, digits and '_', not starting with a digit (Milvus's rule for collections)");
    }
    Ok(())
}

fn check_key(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || value.len() > 1024 {
        return Err("a key has 1 to 1024 bytes");
    }
    Ok(())
}

fn check_model(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || value.len() > 255 || value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a model's name has 1 to 255 bytes and neither spaces nor control characters");
    }
    Ok(())
}

fn check_hex<const DIGITS: usize>(value: &str) -> Result<(), &'static str> {
    if value.len() != DIGITS || !value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(
            "it is written in lower-case hexadecimal digits, 32 of them for rows, runs and links, 64 for shards",
        );
    }
    Ok(())
}

text_id!(
    /// A dataset's name. Part of every primary key, so renaming a dataset makes new rows.
    DatasetName, "dataset name", check_dataset
);
text_id!(
    /// A collection's name, within the rules of Milvus.
    CollectionName, "collection name", check_collection
);
text_id!(
    /// What names an item within its dataset: an object's key below the root, or the key of a manifest's row.
    /// Opaque: it may hold any character.
    ItemKey, "item key", check_key
);
text_id!(
    /// A model as people name it: `sightline-demo`, `hf:google/siglip-base-patch16-224@<revision>`.
    ModelName, "model name", check_model
);
text_id!(
    /// Primary key of a row: 128 bits of SHA-256 over dataset and key, as 32 hexadecimal digits.
    RowId, "row id", check_hex::<32>
);
text_id!(
    /// A run: 128 bits of SHA-256 over caller and request id, so that a repeated request finds its run.
    RunId, "run id", check_hex::<32>
);
text_id!(
    /// A shard: the SHA-256 of its manifest's bytes before compression.
    ShardId, "shard id", check_hex::<64>
);
text_id!(
    /// A planning link: 128 bits of SHA-256 over run, range and cursor.
    LinkId, "link id", check_hex::<32>
);

impl RowId {
    /// The key of an item's row.
    #[must_use]
    pub fn of_item(dataset: &DatasetName, key: &ItemKey) -> Self {
        Self(
            PartsDigest::new("sightline/row/v1")
                .part(dataset.as_str().as_bytes())
                .part(key.as_str().as_bytes())
                .short_hex(),
        )
    }

    /// The key of a region's row: an image, a region's name, and an ordinal where a region is found twice.
    #[must_use]
    pub fn of_region(dataset: &DatasetName, key: &ItemKey, region_name: &str, ordinal: u32) -> Self {
        let digest = PartsDigest::new("sightline/region-row/v1")
            .part(dataset.as_str().as_bytes())
            .part(key.as_str().as_bytes())
            .part(region_name.as_bytes())
            .part(&ordinal.to_le_bytes());
        Self(digest.short_hex())
    }
}

impl ItemKey {
    /// A key for what has none of its own, made of any text: cut to the length of a key, `?` where it is empty.
    #[must_use]
    pub fn clamped(text: &str) -> Self {
        let cut = &text[..text.floor_char_boundary(1024)];
        Self(if cut.is_empty() { "?" } else { cut }.to_owned())
    }
}

impl RunId {
    /// The run that a caller's request makes.
    #[must_use]
    pub fn of_request(caller: &str, request_id: &str) -> Self {
        Self(
            PartsDigest::new("sightline/run/v1")
                .part(caller.as_bytes())
                .part(request_id.as_bytes())
                .short_hex(),
        )
    }
}

impl ShardId {
    /// The shard whose manifest has these bytes (uncompressed).
    #[must_use]
    pub fn of_manifest(bytes: &[u8]) -> Self {
        Self(crate::digest::sha256_hex(bytes))
    }
}

impl LinkId {
    /// The link with these parts; see [`crate::plan::Link::id`].
    #[must_use]
    pub(crate) fn of_parts(run: &RunId, parts: &[&[u8]]) -> Self {
        let start = PartsDigest::new("sightline/link/v1").part(run.as_str().as_bytes());
        Self(parts.iter().fold(start, |digest, part| digest.part(part)).short_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_id_is_frozen() {
        let id = RowId::of_item(&DatasetName::new("chest").unwrap(), &ItemKey::new("a/b.png").unwrap());
        assert_eq!(id.as_str(), "eaaa6cfcf4d235449697ef8e0173e2be");
    }

    #[test]
    fn a_run_id_is_frozen() {
        assert_eq!(
            RunId::of_request("local", "r1").as_str(),
            "8af9023ece89551d853b727c248f87d8"
        );
    }

    #[test]
    fn a_collection_name_that_milvus_would_refuse_is_refused() {
        for bad in ["", "1abc", "a-b", "a b", "가"] {
            assert!(CollectionName::new(bad).is_err(), "{bad:?}");
        }
        assert!(CollectionName::new("medical_images_v1").is_ok());
    }

    #[test]
    fn a_clamped_key_is_a_key() {
        for text in ["", "line:7", &"가".repeat(400)] {
            let key = ItemKey::clamped(text);
            assert_eq!(ItemKey::new(key.as_str()), Ok(key));
        }
    }

    #[test]
    fn an_identifier_is_checked_when_it_is_read_back() {
        assert!(serde_json::from_str::<RunId>("\"../../etc\"").is_err());
    }
}
