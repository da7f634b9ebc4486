//! A run's tree as it lies on the disk, read beside all code that is under test.

use crate::disk::Disk;
use sightline_core::document::Document;
use sightline_core::layout;
use sightline_core::{
    Link, LinkId, Manifest, ManifestEntry, PlanComplete, PlanNode, RunDocument, RunId, ShardId, ShardResult,
    StopDocument,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A link that the walk from the root came to: the node that counts for it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) node: Option<(String, PlanNode)>,
    /// How many nodes it has.
    pub(crate) nodes: usize,
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
        let all = nodes_of(disk, run, &link);
        let nodes = all.len();
        let node = all.into_iter().find(|(digest, _)| counts(digest));
        if let Some((_, node)) = &node {
            open.extend(node.following().cloned());
        }
        steps.push(Step { node, nodes });
    }
    steps
}

/// Shards that the walk comes to.
pub(crate) fn shards(disk: &Disk, run: &RunId) -> BTreeSet<ShardId> {
    let nodes = walk(disk, run).into_iter().filter_map(|step| step.node);
    let shards = nodes.flat_map(|(_, node)| node.shards);
    shards.map(|shard| shard.id).collect()
}

/// Keys of all entries of these shards, each with its entry.
pub(crate) fn entries<'a>(
    disk: &Disk,
    run: &RunId,
    shards: impl IntoIterator<Item = &'a ShardId>,
) -> BTreeMap<String, ManifestEntry> {
    let entries = shards.into_iter().flat_map(|shard| manifest(disk, run, shard).entries);
    entries.map(|entry| (entry.key().to_string(), entry)).collect()
}

pub(crate) fn manifest(disk: &Disk, run: &RunId, shard: &ShardId) -> Manifest {
    let bytes = disk.get(&layout::shard_manifest(run, shard), None).unwrap();
    Manifest::decode(shard, &bytes).unwrap()
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
    read(disk, &layout::plan_complete(run))
}

pub(crate) fn document(disk: &Disk, run: &RunId) -> Option<RunDocument> {
    read(disk, &layout::run_document(run))
}

pub(crate) fn stop(disk: &Disk, run: &RunId) -> Option<StopDocument> {
    read(disk, &layout::stop_document(run))
}

/// Whether the plan is complete and every shard of it has a result.
pub(crate) fn items_have_ended(disk: &Disk, run: &RunId) -> bool {
    let ended = |shard: &ShardId| !disk.keys(&layout::shard_results(run, shard)).is_empty();
    frozen(disk, run).is_some() && shards(disk, run).iter().all(ended)
}

/// Whether rows are written down to be deleted.
pub(crate) fn mirror_is_planned(disk: &Disk, run: &RunId) -> bool {
    disk.head(&layout::mirror_plan(run)).is_ok()
}

/// Whether they are deleted.
pub(crate) fn mirror_is_done(disk: &Disk, run: &RunId) -> bool {
    disk.head(&layout::mirror_done(run)).is_ok()
}

fn read<D: Document>(disk: &Disk, key: &str) -> Option<D> {
    let bytes = disk.get(key, None).ok()?;
    Some(D::from_bytes(&bytes).unwrap())
}

/// A shard's results, each as it was written.
pub(crate) fn results(disk: &Disk, run: &RunId, shard: &ShardId) -> Vec<ShardResult> {
    let read = |key: String| ShardResult::from_bytes(&disk.get(&key, None).unwrap()).unwrap();
    disk.keys(&layout::shard_results(run, shard))
        .into_iter()
        .map(read)
        .collect()
}

/// A shard's result as it counts.
pub(crate) fn merged(disk: &Disk, run: &RunId, shard: &ShardId) -> Option<ShardResult> {
    let results = results(disk, run, shard).into_iter();
    results.reduce(|merged, result| merged.merge(&result))
}
