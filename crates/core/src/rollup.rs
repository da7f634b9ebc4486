//! What a closed part of a planning tree amounts to, so that its results need not be read one by one.

use crate::clock::Timestamp;
use crate::document::Document;
use crate::ids::{LinkId, RunId, ShardId};
use crate::outcome::{FailureReason, OutcomeCounts, SkipReason};
use crate::plan::Link;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Digits of a shard's id that a roll-up keeps.
const DIGITS: usize = 8;

/// `rollups/<link>/<digest>.json`: nodes that follow each other from a link on, summed up once each of their shards has
/// a result. Derived: whoever sums up the same nodes and results writes the same bytes under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RollUpSums {
    /// Shards of the nodes.
    pub shards: u64,
    /// Entries of those shards.
    pub items: u64,
    /// Bytes of the objects that those name.
    pub bytes: u64,
    /// Items by how they ended.
    pub counts: OutcomeCounts,
    /// Failed items by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<FailureReason, u64>,
    /// Skipped items by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skips: BTreeMap<SkipReason, u64>,
    /// When the last item ended.
    pub finished_at: Timestamp,
}

/// See [`RollUpSums`], which is what it is for; the rest says what was summed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollUp {
    /// The run.
    pub run: RunId,
    /// The nodes, as (link, digest), in their order.
    pub nodes: Vec<(LinkId, String)>,
    /// Links where the tree goes on.
    pub exits: Vec<Link>,
    /// What they amount to.
    pub sums: RollUpSums,
    /// The first eight digits of the id of each shard, in order, without anything between them.
    pub shard_digits: String,
    /// Shards of which more than one result was there, with their number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeated: BTreeMap<ShardId, u32>,
    /// Shards with items that failed, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<ShardId>,
}

impl Document for RollUp {
    const FORMAT: &'static str = "sightline.roll-up";
}

impl RollUp {
    /// What [`RollUp::shard_digits`] is for some shards.
    #[must_use]
    pub fn digits_of<'a>(shards: impl Iterator<Item = &'a ShardId>) -> String {
        let mut digits: Vec<&str> = shards.filter_map(|shard| shard.as_str().get(..DIGITS)).collect();
        digits.sort_unstable();
        digits.concat()
    }

    /// Whether it still says what the results say, given the shards of the run that have more than one result, with
    /// their number. Results are only ever added, so that the same number means the same results. Where it says no,
    /// the results are to be read.
    #[must_use]
    pub fn agrees_with(&self, repeated: &BTreeMap<ShardId, u32>) -> bool {
        let known = self
            .repeated
            .iter()
            .all(|(shard, results)| repeated.get(shard) == Some(results));
        known
            && repeated
                .keys()
                .all(|shard| self.repeated.contains_key(shard) || !self.may_cover(shard))
    }

    fn may_cover(&self, shard: &ShardId) -> bool {
        let all = self.shard_digits.as_bytes();
        shard
            .as_str()
            .get(..DIGITS)
            .is_some_and(|wanted| all.chunks(DIGITS).any(|digits| digits == wanted.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str) -> ShardId {
        ShardId::of_manifest(name.as_bytes())
    }

    fn roll_up(repeated: &[(&str, u32)]) -> RollUp {
        RollUp {
            run: RunId::of_request("a", "b"),
            nodes: Vec::new(),
            exits: Vec::new(),
            sums: RollUpSums::default(),
            shard_digits: RollUp::digits_of([shard("one"), shard("two")].iter()),
            repeated: repeated.iter().map(|(name, results)| (shard(name), *results)).collect(),
            failed: Vec::new(),
        }
    }

    fn found(repeated: &[(&str, u32)]) -> BTreeMap<ShardId, u32> {
        repeated.iter().map(|(name, results)| (shard(name), *results)).collect()
    }

    #[test]
    fn a_result_that_came_later_makes_a_roll_up_of_its_shard_useless_and_no_other() {
        assert!(roll_up(&[]).agrees_with(&found(&[])));
        assert!(!roll_up(&[]).agrees_with(&found(&[("two", 2)])));
        assert!(roll_up(&[]).agrees_with(&found(&[("elsewhere", 2)])));
        assert!(roll_up(&[("two", 2)]).agrees_with(&found(&[("two", 2), ("elsewhere", 3)])));
        assert!(!roll_up(&[("two", 2)]).agrees_with(&found(&[("two", 3)])));
        assert!(!roll_up(&[("two", 2)]).agrees_with(&found(&[("two", 2), ("one", 2)])));
    }
}
