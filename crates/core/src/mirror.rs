//! What a run that mirrors its dataset deletes: written down before anything is, so that what is reported and what is
//! deleted are the same whoever dies meanwhile.

use crate::clock::Timestamp;
use crate::document::Document;
use crate::ids::{RowId, RunId};
use serde::{Deserialize, Serialize};

/// A row that the dataset has no item for any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirroredRow {
    /// The row.
    pub id: RowId,
    /// The key that its item had.
    pub key: String,
}

/// `mirror/rows/<first id>.json`: some of the rows, in the order of their ids. Whoever looks for them again before
/// `mirror/mirror.json` is written finds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirroredRows {
    /// The run.
    pub run: RunId,
    /// The rows.
    pub rows: Vec<MirroredRow>,
}

impl Document for MirroredRows {
    const FORMAT: &'static str = "sightline.mirrored-rows";
}

/// `mirror/mirror.json`: every row that is to be deleted is written down, and deleting them is not dangerous.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorPlan {
    /// The run.
    pub run: RunId,
    /// Rows that are deleted.
    pub rows: u64,
    /// Rows of the dataset that the collection had before.
    pub of: u64,
}

impl Document for MirrorPlan {
    const FORMAT: &'static str = "sightline.mirror";
}

/// `mirror/mirrored.json`: they are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorDone {
    /// The run.
    pub run: RunId,
    /// Rows that were deleted.
    pub rows: u64,
    /// When.
    pub finished_at: Timestamp,
}

impl Document for MirrorDone {
    const FORMAT: &'static str = "sightline.mirrored";
}
