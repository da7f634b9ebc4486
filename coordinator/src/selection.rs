//! Pages over the items of an earlier run that a run takes, instead of pages over its dataset.

use crate::planner::PlanError;
use crate::tracker::Tracker;
use sightline_core::{ItemSelection, ManifestEntry, Outcome, SelectedOutcome, ShardId};
use sightline_datasets::{Page, ReaderOptions, pin_again};
use sightline_objects::ObjectStore;
use sightline_state::State;

/// The selected items of the next shard, in the order of shards' ids, after the shard that the cursor names. A page
/// holds one shard's items, however many those are: a shard is what memory holds at a time.
///
/// # Errors
/// When the state or the dataset's store failed, or the cursor is none of ours.
pub(crate) async fn page(
    state: &State,
    tracker: &Tracker,
    store: &dyn ObjectStore,
    selection: &ItemSelection,
    start_after: Option<&str>,
) -> Result<Page, PlanError> {
    let SelectedOutcome::Failed = selection.outcome;
    let after = start_after
        .map(ShardId::new)
        .transpose()
        .map_err(|_| PlanError::Cursor {
            cursor: start_after.unwrap_or_default().to_owned(),
        })?;
    let shards = tracker.failed_shards(&selection.run).await?;
    let mut following = shards.into_iter().filter(|shard| after.as_ref() < Some(shard));
    let Some(shard) = following.next() else {
        return Ok(Page::default());
    };
    let entries = failed(state, selection, &shard).await?;
    Ok(Page {
        entries: pin_again(store, entries, ReaderOptions::default().lookups).await?,
        children: Vec::new(),
        next: following.next().is_some().then(|| shard.to_string()),
    })
}

/// A shard's entries whose items failed.
async fn failed(state: &State, selection: &ItemSelection, shard: &ShardId) -> Result<Vec<ManifestEntry>, PlanError> {
    let Some(result) = state.result(&selection.run, shard).await? else {
        return Ok(Vec::new());
    };
    let manifest = state.manifest(&selection.run, shard).await?;
    let both = manifest.entries.into_iter().zip(result.items);
    Ok(both
        .filter(|(entry, ended)| *entry.key() == ended.key && matches!(ended.outcome, Outcome::Failed { .. }))
        .map(|(entry, _)| entry)
        .collect())
}
