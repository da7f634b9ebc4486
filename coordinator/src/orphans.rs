//! Items of nodes that are not in a run's tree. Where two coordinators followed one link, the nodes of both are worked and
//! one of them counts: the index may hold rows of the other that no result of the tree names, or of another version.

use crate::tracker::CONCURRENT_READS;
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{LinkId, ManifestEntry, RowId, RunDocument, ShardId};
use sightline_state::{State, StateError};
use std::collections::HashSet;

/// The rows that a run may have written for nodes that do not count.
pub(crate) type Orphans = HashSet<RowId>;

/// Looks for the nodes beside a run's tree, which are at most the links that were in hand when a coordinator was
/// replaced, and reads what they planned. `nodes` and `shards` are the tree's; `shards` are sorted.
///
/// # Errors
/// When the state cannot be read.
pub(crate) async fn of(
    state: &State,
    document: &RunDocument,
    nodes: Vec<(LinkId, String)>,
    shards: &[ShardId],
) -> Result<Orphans, StateError> {
    let run = &document.run;
    let nodes: HashSet<_> = nodes.into_iter().collect();
    let (mut beside, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = state.list_plan_nodes(run, after).await?;
        beside.extend(page.into_iter().filter(|node| !nodes.contains(node)));
        after = next;
        if after.is_none() {
            break;
        }
    }
    let mut orphans = HashSet::new();
    for (link, digest) in beside {
        let planned = state.plan_node_of(run, &link, &digest).await?.into_iter();
        let planned = planned.flat_map(|node| node.shards).map(|shard| shard.id);
        let beside = planned.filter(|shard| shards.binary_search(shard).is_err());
        let mut manifests = stream::iter(beside)
            .map(|shard| async move { state.manifest(run, &shard).await })
            .buffer_unordered(CONCURRENT_READS);
        while let Some(manifest) = manifests.try_next().await? {
            let items = manifest
                .entries
                .iter()
                .filter(|entry| matches!(entry, ManifestEntry::Item(_)));
            orphans.extend(items.map(|entry| RowId::of_item(&document.spec.dataset.name, entry.key())));
        }
    }
    Ok(orphans)
}
