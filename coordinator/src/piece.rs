//! A piece of a planning tree: nodes that follow each other, held in memory until each of their shards has a result.
//!
//! Which nodes are in a piece depends on the tree alone, so that every coordinator sums up the same ones: a piece goes on
//! with a node's `next` until it has [`PIECE_SHARDS`]; a node's `children` each start one of their own.

use sightline_core::{
    ItemOutcome, Link, LinkId, Outcome, OutcomeCounts, PlanNode, PlannedShard, RollUp, RollUpSums, RunId, ShardId,
    ShardResult,
};
use std::collections::BTreeMap;

/// A piece with so many shards goes on as another one.
const PIECE_SHARDS: usize = 128;
/// A piece with fewer shards is not worth an object of its own.
const LEAST_ROLLED_UP: usize = 8;

/// What a shard's results amount to.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardSummary {
    /// How many results were read: a late writer may leave a second.
    pub(crate) results: u32,
    sums: RollUpSums,
}

impl ShardSummary {
    /// Sums up a (merged) result.
    #[must_use]
    pub(crate) fn of(result: &ShardResult, results: u32) -> Self {
        let mut sums = RollUpSums {
            counts: result.counts,
            finished_at: result.finished_at,
            ..RollUpSums::default()
        };
        for ItemOutcome { outcome, .. } in &result.items {
            match outcome {
                Outcome::Failed { reason, .. } => *sums.failures.entry(*reason).or_default() += 1,
                Outcome::Skipped { reason, .. } => *sums.skips.entry(*reason).or_default() += 1,
                Outcome::Indexed { .. } | Outcome::Unchanged { .. } => {}
            }
        }
        Self { results, sums }
    }
}

/// Adds what some shards amount to.
pub(crate) fn add(to: &mut RollUpSums, more: &RollUpSums) {
    to.shards += more.shards;
    to.items += more.items;
    to.bytes += more.bytes;
    to.counts += more.counts;
    for (reason, count) in &more.failures {
        *to.failures.entry(*reason).or_default() += count;
    }
    for (reason, count) in &more.skips {
        *to.skips.entry(*reason).or_default() += count;
    }
    to.finished_at = to.finished_at.max(more.finished_at);
}

#[derive(Debug, Clone)]
struct Shard {
    items: u32,
    bytes: u64,
    /// In a box, since most of the shards that are in memory are outstanding.
    done: Option<Box<ShardSummary>>,
}

/// See above.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    nodes: Vec<(LinkId, String)>,
    /// Where it goes on; none at its end.
    tail: Option<Link>,
    exits: Vec<Link>,
    shards: BTreeMap<ShardId, Shard>,
    missing: usize,
}

impl Piece {
    /// The piece that starts with a link.
    #[must_use]
    pub(crate) fn starting(link: Link) -> Self {
        Self {
            nodes: Vec::new(),
            tail: Some(link),
            exits: Vec::new(),
            shards: BTreeMap::new(),
            missing: 0,
        }
    }

    /// The link that has no node yet; none where the piece is whole.
    #[must_use]
    pub(crate) fn tail(&self) -> Option<&Link> {
        self.tail.as_ref()
    }

    /// Whether nothing of it is known but its first link.
    #[must_use]
    pub(crate) fn is_new(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Takes its tail's node, and gives the links that start pieces of their own.
    pub(crate) fn take(&mut self, id: LinkId, digest: String, node: &PlanNode) -> Vec<Link> {
        self.nodes.push((id, digest));
        for PlannedShard { id, items, bytes } in &node.shards {
            let shard = Shard {
                items: *items,
                bytes: *bytes,
                done: None,
            };
            self.missing += usize::from(self.shards.insert(id.clone(), shard).is_none());
        }
        let mut exits = node.children.clone();
        self.tail = node.next.clone();
        if self.shards.len() >= PIECE_SHARDS {
            exits.extend(self.tail.take());
        }
        self.exits.extend(exits.iter().cloned());
        exits
    }

    /// Takes what a shard's results amount to.
    pub(crate) fn finish(&mut self, shard: &ShardId, summary: ShardSummary) {
        if let Some(shard) = self.shards.get_mut(shard) {
            self.missing -= usize::from(shard.done.is_none());
            shard.done = Some(Box::new(summary));
        }
    }

    /// How many results of one of its shards are known.
    #[must_use]
    pub(crate) fn known_results(&self, shard: &ShardId) -> u32 {
        let done = self.shards.get(shard).and_then(|shard| shard.done.as_ref());
        done.map_or(0, |done| done.results)
    }

    /// Shards without result.
    #[must_use]
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Which they are.
    pub(crate) fn missing_shards(&self) -> impl Iterator<Item = &ShardId> {
        self.shards
            .iter()
            .filter(|(_, shard)| shard.done.is_none())
            .map(|(id, _)| id)
    }

    /// Shards of its nodes.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &ShardId> {
        self.shards.keys()
    }

    /// Whether nothing of it changes any more, but for results that come twice.
    #[must_use]
    pub(crate) fn is_closed(&self) -> bool {
        self.tail.is_none() && self.missing == 0
    }

    /// What its shards amount to: those without result count as planned only.
    #[must_use]
    pub(crate) fn sums(&self) -> RollUpSums {
        let mut sums = RollUpSums::default();
        for shard in self.shards.values() {
            sums.shards += 1;
            sums.items += u64::from(shard.items);
            sums.bytes += shard.bytes;
            if let Some(done) = &shard.done {
                add(&mut sums, &done.sums);
            }
        }
        sums
    }

    /// Items by how they ended.
    #[must_use]
    pub(crate) fn counts(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for done in self.shards.values().filter_map(|shard| shard.done.as_ref()) {
            counts += done.sums.counts;
        }
        counts
    }

    /// Shards with items that failed, in order.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &ShardId> {
        let failed = |shard: &Shard| shard.done.as_ref().is_some_and(|done| done.sums.counts.failed > 0);
        self.shards
            .iter()
            .filter(move |(_, shard)| failed(shard))
            .map(|(id, _)| id)
    }

    /// The closed piece as the tracker keeps it and as it may be stored.
    #[must_use]
    pub(crate) fn roll_up(&self, run: &RunId) -> RollUp {
        let done = |shard: &Shard| shard.done.as_ref().map_or(0, |done| done.results);
        let repeated = self.shards.iter().filter(|(_, shard)| done(shard) > 1);
        RollUp {
            run: run.clone(),
            nodes: self.nodes.clone(),
            exits: self.exits.clone(),
            sums: self.sums(),
            shard_digits: RollUp::digits_of(self.shards.keys()),
            repeated: repeated.map(|(id, shard)| (id.clone(), done(shard))).collect(),
            failed: self.failed().cloned().collect(),
        }
    }

    /// Whether its roll-up is worth storing.
    #[must_use]
    pub(crate) fn is_worth_storing(&self) -> bool {
        self.shards.len() >= LEAST_ROLLED_UP
    }
}
