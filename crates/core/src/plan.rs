//! The planning tree: links that cover a range, and the nodes that record what a link made.

use crate::document::Document;
use crate::ids::{LinkId, RunId, ShardId};
use serde::{Deserialize, Serialize};

/// A part of a dataset. A prefix dataset is cut at key prefixes, a manifest is one range.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Key prefix below the dataset's root; "" for all of it.
    pub prefix: String,
    /// The last text in the order of keys that belongs to it, which need not be a key; none where it goes to the end
    /// of the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A unit of planning: go on with a range from a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What is covered.
    pub range: Range,
    /// Where to go on: opaque, made by the dataset's reader; none at the start of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// Into how many ranges, open at a time, what is left of this one may be cut; none where the planner decides. No
    /// part of its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<u32>,
}

impl Link {
    /// The link's identity within its run.
    #[must_use]
    pub fn id(&self, run: &RunId) -> LinkId {
        let (has_cursor, cursor) = match &self.start_after {
            Some(cursor) => (b"1", cursor.as_str()),
            None => (b"0", ""),
        };
        let mut parts = vec![self.range.prefix.as_bytes(), has_cursor, cursor.as_bytes()];
        parts.extend(self.range.until.as_ref().map(String::as_bytes));
        LinkId::of_parts(run, &parts)
    }
}

/// A shard as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedShard {
    /// The shard.
    pub id: ShardId,
    /// Entries in its manifest.
    pub items: u32,
    /// Bytes of the objects it names.
    pub bytes: u64,
}

/// `plan/<link>/<digest>.json`: what a link made. A repeated link that finds one follows it and does not list again.
/// Two holders of one link may leave two; the smallest digest counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanNode {
    /// The run.
    pub run: RunId,
    /// The link that was followed.
    pub link: Link,
    /// Shards made from it, in key order.
    pub shards: Vec<PlannedShard>,
    /// Ranges below it that are planned apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Link>,
    /// Where the range goes on; none at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Link>,
}

impl PlanNode {
    /// Links to be followed after this one.
    pub fn following(&self) -> impl Iterator<Item = &Link> {
        self.children.iter().chain(self.next.as_ref())
    }
}

impl Document for PlanNode {
    const FORMAT: &'static str = "sightline.plan";
}

/// `plan/complete.json`: the tree as walked from its root, frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanComplete {
    /// The run.
    pub run: RunId,
    /// Nodes that count, as (link, digest), in the order of the walk.
    pub nodes: Vec<(LinkId, String)>,
    /// Shards they reach, each once.
    pub shards: u64,
    /// Entries in those shards.
    pub items: u64,
    /// Bytes of the objects those name.
    pub bytes: u64,
}

impl Document for PlanComplete {
    const FORMAT: &'static str = "sightline.plan-complete";
}
