//! A run's tree as it lies on the disk, read beside all code that is under test.

use crate::disk::Disk;
use sightline_core::document::Document;
use sightline_core::layout;
use sightline_core::{Link, LinkId, PlanComplete, PlanNode, RunId, ShardId, ShardResult};
use std::collections::HashSet;

/// A link that the walk from the root came to: the node that counts for it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) node: Option<(String, PlanNode)>,
}

/// Every link that can be reached, in the order of the walk: through the nodes of the frozen tree where there is one,
/// whatever came later, and else through the smallest of each link.
pub(crate) fn walk(disk: &Disk, run: &RunId) -> Vec<Step> {
    let frozen = frozen(disk, run).map(|frozen| frozen.nodes.into_iter().collect::<HashSet<_>>());
    let mut open = vec![Link::default()];
    let mut steps: Vec<Step> = Vec::new();
    while let Some(link) = open.pop() {
        let id = link.id(run);
        let counts = |digest: &str| {
            let named = |frozen: &HashSet<(LinkId, String)>| frozen.contains(&(id.clone(), digest.to_owned()));
            frozen.as_ref().is_none_or(named)
        };
        let node = nodes_of(disk, run, &link)
            .into_iter()
            .find(|(digest, _)| counts(digest));
        if let Some((_, node)) = &node {
            open.extend(node.following().cloned());
        }
        steps.push(Step { node });
    }
    steps
}

/// All nodes of a link, the one that counts first.
pub(crate) fn nodes_of(disk: &Disk, run: &RunId, link: &Link) -> Vec<(String, PlanNode)> {
    let folder = layout::plan_link(run, &link.id(run));
    let read = |key: String| {
        let node = PlanNode::from_bytes(&disk.get(&key, None).unwrap()).unwrap();
        let digest = key.strip_prefix(&folder)?.strip_suffix(".json")?.to_owned();
        Some((digest, node))
    };
    disk.keys(&folder).into_iter().filter_map(read).collect()
}

/// All nodes of all links, whether they count or not.
pub(crate) fn nodes(disk: &Disk, run: &RunId) -> Vec<PlanNode> {
    let nodes = disk.keys(&layout::plan(run)).into_iter();
    nodes
        .filter(|key| *key != layout::plan_complete(run))
        .map(|key| PlanNode::from_bytes(&disk.get(&key, None).unwrap()).unwrap())
        .collect()
}

/// Digests of all nodes that a frozen tree names.
pub(crate) fn frozen(disk: &Disk, run: &RunId) -> Option<PlanComplete> {
    let bytes = disk.get(&layout::plan_complete(run), None).ok()?;
    Some(PlanComplete::from_bytes(&bytes).unwrap())
}

pub(crate) fn is_stopped(disk: &Disk, run: &RunId) -> bool {
    disk.get(&layout::stop_document(run), None).is_ok()
}

/// A shard's results, each as it was written.
pub(crate) fn results(disk: &Disk, run: &RunId, shard: &ShardId) -> Vec<ShardResult> {
    let read = |key: String| ShardResult::from_bytes(&disk.get(&key, None).unwrap()).unwrap();
    disk.keys(&layout::shard_results(run, shard))
        .into_iter()
        .map(read)
        .collect()
}
