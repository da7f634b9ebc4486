//! Pages over the items of an earlier run that a run takes, instead of pages over its dataset.

use crate::orphans::Orphans;
use crate::planner::PlanError;
use crate::tracker::Tracker;
use crate::verify;
use sightline_core::{ItemSelection, ManifestEntry, Outcome, RunDocument, SelectedOutcome, ShardId};
use sightline_datasets::{Page, ReaderOptions, pin_again};
use sightline_index::VectorIndex;
use sightline_objects::ObjectStore;
use sightline_state::State;
use std::sync::Arc;

/// Shards that one page looks at, when none of them has an item to take.
const SHARDS_PER_PAGE: usize = 64;

/// What is known of the earlier run, and where its items lie.
pub(crate) struct Parent<'a> {
    pub(crate) state: &'a State,
    pub(crate) tracker: &'a Tracker,
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) index: Option<&'a dyn VectorIndex>,
}

impl Parent<'_> {
    /// The selected items of the next shard that has any, in the order of shards' ids, after the shard that the cursor
    /// names. A page holds one shard's items, however many those are: a shard is what memory holds at a time.
    ///
    /// # Errors
    /// When state, index or the dataset's store failed, or the cursor is none of ours.
    pub(crate) async fn page(&self, selection: &ItemSelection, start_after: Option<&str>) -> Result<Page, PlanError> {
        let after = start_after
            .map(ShardId::new)
            .transpose()
            .map_err(|_| PlanError::Cursor {
                cursor: start_after.unwrap_or_default().to_owned(),
            })?;
        let shards = match selection.outcome {
            SelectedOutcome::Failed => Arc::new(self.tracker.failed_shards(&selection.run).await?),
            SelectedOutcome::Unverified => self.tracker.shards(&selection.run).await?,
        };
        let Some(document) = self.state.run(&selection.run).await? else {
            return Ok(Page::default());
        };
        let first = shards.partition_point(|shard| Some(shard) <= after.as_ref());
        let mut page = Page::default();
        for shard in shards.iter().skip(first).take(SHARDS_PER_PAGE) {
            let entries = match selection.outcome {
                SelectedOutcome::Failed => self.failed(&document, shard).await?,
                SelectedOutcome::Unverified => self.unverified(&document, shard).await?,
            };
            let more = shards.last() != Some(shard);
            page.next = more.then(|| shard.to_string());
            if !entries.is_empty() {
                page.entries = pin_again(self.store, entries, ReaderOptions::default().lookups).await?;
                break;
            }
        }
        Ok(page)
    }

    /// A shard's entries whose items failed.
    async fn failed(&self, parent: &RunDocument, shard: &ShardId) -> Result<Vec<ManifestEntry>, PlanError> {
        let Some(result) = self.state.result(&parent.run, shard).await? else {
            return Ok(Vec::new());
        };
        let manifest = self.state.manifest(&parent.run, shard).await?;
        let both = manifest.entries.into_iter().zip(result.items);
        Ok(both
            .filter(|(entry, ended)| *entry.key() == ended.key && matches!(ended.outcome, Outcome::Failed { .. }))
            .map(|(entry, _)| entry)
            .collect())
    }

    /// A shard's entries that an audit finds a problem with, or all where it has no result.
    async fn unverified(&self, parent: &RunDocument, shard: &ShardId) -> Result<Vec<ManifestEntry>, PlanError> {
        let index = self.index.ok_or(PlanError::NoIndex)?;
        let (manifest, audit) = verify::shard(self.state, index, parent, &Orphans::new(), shard).await?;
        if audit.unprocessed > 0 {
            return Ok(manifest.entries);
        }
        let mut entries: Vec<_> = manifest.entries.into_iter().map(Some).collect();
        let wanted = audit
            .problems
            .iter()
            .filter_map(|(at, ..)| entries.get_mut(*at)?.take());
        Ok(wanted.collect())
    }
}
