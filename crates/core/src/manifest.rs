//! A shard's manifest: the immutable list of what a shard holds. Its id is the digest of its bytes.

use crate::document::DocumentError;
use crate::ids::{ItemKey, RunId, ShardId};
use crate::item::Item;
use crate::outcome::{ItemOutcome, Outcome};
use crate::run::JobKind;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

const FORMAT: &str = "sightline.manifest";
const VERSION: u32 = 1;
/// A manifest of 10,000 items with reports of 64 KiB would be 640 MiB; more than this is not one of ours.
const MAX_BYTES: u64 = 1 << 30;

/// One entry: an item to work on, or one whose end was known when the run was planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "nearly every entry is an item")]
pub enum ManifestEntry {
    /// Ended already: a file of another type, a row that cannot be understood.
    Ended(ItemOutcome),
    /// To be worked on.
    Item(Item),
}

impl ManifestEntry {
    /// The entry's key.
    #[must_use]
    pub fn key(&self) -> &ItemKey {
        match self {
            Self::Ended(ended) => &ended.key,
            Self::Item(item) => &item.key,
        }
    }

    /// An entry that ended in planning.
    #[must_use]
    pub fn ended(key: ItemKey, line: Option<u64>, outcome: Outcome) -> Self {
        Self::Ended(ItemOutcome { key, line, outcome })
    }

    /// Bytes of the picture that it names.
    #[must_use]
    pub fn object_bytes(&self) -> u64 {
        match self {
            Self::Item(item) => item.picture_bytes(),
            Self::Ended(_) => 0,
        }
    }

    /// Reads a line. Where it is neither kind of entry, it is asked why it is not the one that it looks like: what is
    /// unknown of it tells a newer line from a damaged one.
    fn read(line: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line).or_else(|neither| {
            let Ok(entry) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line) else {
                return Err(neither);
            };
            let ended = entry.contains_key("outcome");
            let entry = serde_json::Value::Object(entry);
            if ended {
                ItemOutcome::deserialize(entry).map(Self::Ended)
            } else {
                Item::deserialize(entry).map(Self::Item)
            }
        })
    }
}

/// A shard's manifest: a head line and a line an entry, JSON, compressed with gzip where it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The run.
    pub run: RunId,
    /// What is to be done.
    pub kind: JobKind,
    /// What with, in the dataset's order.
    pub entries: Vec<ManifestEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    version: u32,
    run: RunId,
    kind: JobKind,
    entries: usize,
}

impl Manifest {
    /// The shard's id and the bytes to store. The id is of the bytes before compression, which another version of a
    /// compressor would make otherwise.
    #[must_use]
    pub fn encode(&self) -> (ShardId, Vec<u8>) {
        let head = Head {
            format: FORMAT.into(),
            version: VERSION,
            run: self.run.clone(),
            kind: self.kind,
            entries: self.entries.len(),
        };
        // These are structs with string keys and finite numbers: serialising them cannot fail.
        let mut plain = serde_json::to_vec(&head).unwrap_or_default();
        plain.push(b'\n');
        for entry in &self.entries {
            plain.extend(serde_json::to_vec(entry).unwrap_or_default());
            plain.push(b'\n');
        }
        let id = ShardId::of_manifest(&plain);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
        // Writing into memory cannot fail.
        let stored = encoder
            .write_all(&plain)
            .and_then(|()| encoder.finish())
            .unwrap_or_default();
        (id, stored)
    }

    /// Reads a stored manifest and proves that it is the one that `id` names.
    ///
    /// # Errors
    /// When the bytes are damaged, are not the shard's, or are of a newer Sightline.
    pub fn decode(id: &ShardId, stored: &[u8]) -> Result<Self, DocumentError> {
        let malformed = |message: String| DocumentError::Malformed {
            format: FORMAT,
            message,
        };
        let refused = |error: serde_json::Error| DocumentError::of_json(FORMAT, "", &error);
        let mut plain = Vec::new();
        GzDecoder::new(stored)
            .take(MAX_BYTES)
            .read_to_end(&mut plain)
            .map_err(|error| malformed(error.to_string()))?;
        if ShardId::of_manifest(&plain) != *id {
            return Err(malformed(format!(
                "its digest is not {id}: the object is damaged or was replaced"
            )));
        }
        let mut lines = plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let first = lines.next().ok_or_else(|| malformed("it is empty".into()))?;
        #[derive(Deserialize)]
        struct Version {
            format: String,
            version: u32,
        }
        let version: Version = serde_json::from_slice(first).map_err(refused)?;
        if version.format != FORMAT {
            return Err(DocumentError::OtherFormat {
                expected: FORMAT,
                found: version.format,
            });
        }
        if version.version > VERSION {
            return Err(DocumentError::NewerVersion {
                format: FORMAT,
                found: version.version,
                known: VERSION,
            });
        }
        let head: Head = serde_json::from_slice(first).map_err(refused)?;
        let entry = |(at, line): (usize, &[u8])| {
            ManifestEntry::read(line).map_err(|error| DocumentError::of_json(FORMAT, &format!("entry {at}: "), &error))
        };
        let entries = lines.enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        if entries.len() != head.entries {
            return Err(malformed(format!(
                "it should have {} entries and has {}",
                head.entries,
                entries.len()
            )));
        }
        Ok(Self {
            run: head.run,
            kind: head.kind,
            entries,
        })
    }
}
