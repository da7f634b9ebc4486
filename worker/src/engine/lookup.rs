//! Which items have a row already.

use super::pipeline::Pipeline;
use super::work::Work;
use crate::ipc::{Interruption, WorkItem};
use sightline_core::{Outcome, Row, RowId};
use sightline_index::{IndexError, Projection};
use std::collections::HashMap;

/// Rows that are asked for at once.
pub(crate) const LOOKUP_ROWS: usize = 256;

/// What is known of an item's older row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Existing {
    /// There is none.
    None,
    /// There is one of another source: it stays where the item fails.
    Older,
    /// The row is what the item would become.
    Settled(Outcome),
}

/// An item with its key in the index, the digest that it will have, and its older row.
#[derive(Debug)]
pub(crate) struct LookedUp {
    pub(crate) item: WorkItem,
    pub(crate) digest: String,
    pub(crate) existing: Existing,
}

/// Looks up at most [`LOOKUP_ROWS`] items.
pub(crate) async fn look_up(
    pipeline: &Pipeline,
    work: &Work,
    items: Vec<WorkItem>,
) -> Result<Vec<LookedUp>, Interruption> {
    let ids: Vec<RowId> = items
        .iter()
        .map(|item| RowId::of_item(&work.job.dataset, &item.item.key))
        .collect();
    let call = || pipeline.index.get(&work.job.collection, &ids, Projection::Metadata);
    let rows = pipeline.retry.run(IndexError::is_retryable, call).await;
    let rows = rows.map_err(|error| Interruption::Waiting(error.to_string()))?;
    let rows: HashMap<RowId, Row> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
    let looked_up = items.into_iter().zip(ids).map(|(item, id)| {
        let digest = item.item.source_digest(&work.preprocessing);
        let existing = rows.get(&id).map_or(Existing::None, |row| compare(row, &digest, work));
        LookedUp { item, digest, existing }
    });
    Ok(looked_up.collect())
}

fn compare(row: &Row, digest: &str, work: &Work) -> Existing {
    if row.source_digest != digest {
        Existing::Older
    } else if row.run_id == work.job.run {
        // A worker wrote it and died before the shard's result.
        Existing::Settled(Outcome::Indexed {
            digest: digest.to_owned(),
        })
    } else {
        Existing::Settled(Outcome::Unchanged {
            digest: digest.to_owned(),
        })
    }
}
