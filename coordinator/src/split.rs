//! Shards that no worker survived: split in two until the item is alone, their parts' results joined.

use crate::planner::PlanError;
use crate::publish::publish_shard;
use sightline_core::split::halves;
use sightline_core::{
    Clock, FailureReason, Item, ItemOutcome, Manifest, ManifestEntry, Outcome, OutcomeCounts, PlannedShard, RowId,
    RunDocument, ShardId, ShardResult, ShardSplit,
};
use sightline_index::{IndexError, LazyIndex, Projection};
use sightline_queue::JobQueue;
use sightline_state::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who wrote the results that are written here.
const WRITER: &str = "coordinator";
/// What an item that no worker survived is told to have done.
const FATAL: &str = "no worker that took it lived to write a result, with this item alone in its shard: look at the \
                     object and at the workers' logs, then try it again with `sightline runs retry`";

/// Splits shards and joins their parts.
#[derive(Debug)]
pub(crate) struct Splitter {
    pub(crate) state: State,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) index: Option<Arc<LazyIndex>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Splitter {
    /// Takes a shard without result one step further, and says whether it has one then: splits it, or joins its parts
    /// where all have a result, or fails its item where it is alone. Doing it twice, or two doing it at once, has the
    /// effect of once.
    ///
    /// # Errors
    /// When state, queue or index failed.
    pub(crate) async fn step(
        &self,
        document: &RunDocument,
        shard: &ShardId,
        traceparent: Option<&str>,
    ) -> Result<bool, PlanError> {
        if let Some(split) = self.state.split(&document.run, shard).await? {
            return self.join(document, &split).await;
        }
        let manifest = self.state.manifest(&document.run, shard).await?;
        match halves(manifest.entries) {
            Ok(parts) => {
                self.split(document, shard, parts, traceparent).await?;
                Ok(false)
            }
            Err(alone) => {
                self.fail(document, shard, alone).await?;
                Ok(true)
            }
        }
    }

    /// The node comes last: one that exists says that its parts were published.
    async fn split(
        &self,
        document: &RunDocument,
        shard: &ShardId,
        halves: [Vec<ManifestEntry>; 2],
        traceparent: Option<&str>,
    ) -> Result<(), PlanError> {
        let run = &document.run;
        let mut parts = Vec::new();
        for entries in halves {
            let items = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            let bytes = entries.iter().map(ManifestEntry::object_bytes).sum();
            let kind = document.spec.kind;
            let manifest = Manifest {
                run: run.clone(),
                kind,
                entries,
            };
            let id = self.state.put_manifest(&manifest).await?;
            parts.push(PlannedShard { id, items, bytes });
        }
        for part in &parts {
            publish_shard(self.queue.as_ref(), document, &part.id, traceparent).await?;
        }
        let split = ShardSplit {
            run: run.clone(),
            shard: shard.clone(),
            parts,
        };
        self.state.put_split(&split).await?;
        tracing::warn!(%run, %shard, "a shard that no worker survived is split in two");
        Ok(())
    }

    async fn join(&self, document: &RunDocument, split: &ShardSplit) -> Result<bool, PlanError> {
        let mut results = Vec::new();
        for part in &split.parts {
            match self.state.result(&document.run, &part.id).await? {
                Some(result) => results.push(result),
                None => return Ok(false),
            }
        }
        if let Some(result) = joined(&split.shard, results) {
            self.state.put_result(&result, WRITER).await?;
        }
        Ok(true)
    }

    async fn fail(&self, document: &RunDocument, shard: &ShardId, alone: Vec<ManifestEntry>) -> Result<(), PlanError> {
        let mut items = Vec::new();
        for entry in alone {
            items.push(match entry {
                ManifestEntry::Ended(ended) => ended,
                ManifestEntry::Item(item) => self.failed(document, &item).await?,
            });
        }
        let now = self.clock.now();
        let result = ShardResult {
            run: document.run.clone(),
            shard: shard.clone(),
            worker: WRITER.into(),
            started_at: now,
            finished_at: now,
            stage_ms: BTreeMap::new(),
            counts: counts(&items),
            items,
        };
        tracing::error!(run = %document.run, %shard, "an item that no worker survived is failed");
        Ok(self.state.put_result(&result, WRITER).await?)
    }

    async fn failed(&self, document: &RunDocument, item: &Item) -> Result<ItemOutcome, PlanError> {
        Ok(ItemOutcome {
            key: item.key.clone(),
            line: item.line,
            outcome: Outcome::Failed {
                reason: FailureReason::EngineKilled,
                message: FATAL.into(),
                stale: self.has_row(document, item).await?,
            },
        })
    }

    /// Whether an older row of an item is there. Not known, and so not said, without an index.
    async fn has_row(&self, document: &RunDocument, item: &Item) -> Result<bool, PlanError> {
        let Some(index) = &self.index else { return Ok(false) };
        let spec = &document.spec;
        let id = RowId::of_item(&spec.dataset.name, &item.key);
        let index = index.get().await?;
        match index.get(&spec.collection, &[id], Projection::Metadata).await {
            Ok(rows) => Ok(!rows.is_empty()),
            Err(IndexError::NoCollection(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The results of all parts, in their order, as the result of the whole; none of none.
fn joined(shard: &ShardId, parts: Vec<ShardResult>) -> Option<ShardResult> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next()?;
    for part in parts {
        whole.started_at = whole.started_at.min(part.started_at);
        whole.finished_at = whole.finished_at.max(part.finished_at);
        for (stage, ms) in part.stage_ms {
            *whole.stage_ms.entry(stage).or_default() += ms;
        }
        whole.items.extend(part.items);
    }
    whole.shard = shard.clone();
    whole.worker = WRITER.into();
    whole.counts = counts(&whole.items);
    Some(whole)
}

fn counts(items: &[ItemOutcome]) -> OutcomeCounts {
    let mut counts = OutcomeCounts::default();
    items.iter().for_each(|item| counts.add(&item.outcome));
    counts
}
