//! A shard's result: every item's outcome.

use crate::clock::Timestamp;
use crate::document::Document;
use crate::ids::{RunId, ShardId};
use crate::outcome::{ItemOutcome, OutcomeCounts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `results/<shard>/<attempt>.json`. One that exists means that the shard is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardResult {
    /// The run.
    pub run: RunId,
    /// The shard.
    pub shard: ShardId,
    /// Which worker wrote it.
    pub worker: String,
    /// When work on the shard began.
    pub started_at: Timestamp,
    /// When its last row was durable.
    pub finished_at: Timestamp,
    /// Milliseconds by stage, summed over items: `fetch`, `decode`, `forward`, `upsert`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stage_ms: BTreeMap<String, u64>,
    /// Items by how they ended.
    pub counts: OutcomeCounts,
    /// Every entry of the manifest, in its order.
    pub items: Vec<ItemOutcome>,
}

impl Document for ShardResult {
    const FORMAT: &'static str = "sightline.result";
}

impl ShardResult {
    /// Two results of one shard made one: the better outcome of each item counts.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.items.iter_mut().zip(&other.items) {
            if mine.key == theirs.key && theirs.outcome.rank() < mine.outcome.rank() {
                *mine = theirs.clone();
            }
        }
        self.counts = OutcomeCounts::default();
        for item in &self.items {
            self.counts.add(&item.outcome);
        }
        self
    }
}
