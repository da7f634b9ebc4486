//! The audit of a run: manifests, results and index compared, shard by shard.

use crate::orphans::Orphans;
use crate::planner::PlanError;
use sightline_core::filter::{Comparison, Field, Filter, Literal, TextField};
use sightline_core::{
    ItemKey, ItemOutcome, Manifest, Outcome, OutcomeCounts, Row, RowId, RunDocument, ShardId, ShardResult,
};
use sightline_index::{IndexError, Projection, VectorIndex};
use sightline_state::State;
use std::collections::HashMap;

/// What is wrong with one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The result says that its row is there, and it is not.
    MissingRow,
    /// Its row is of another version of the item than the result says, and no later run wrote it.
    WrongRow,
    /// The shard's result does not name it in its place.
    NoOutcome,
}

/// What a shard's audit found.
#[derive(Debug, Default)]
pub(crate) struct ShardAudit {
    /// Entries of the manifest.
    pub(crate) items: u64,
    /// Entries of a shard that has no result.
    pub(crate) unprocessed: u64,
    /// Items by how the result says that they ended.
    pub(crate) counts: OutcomeCounts,
    /// Rows that a later run has written since, or this one for a node that does not count.
    pub(crate) superseded: u64,
    /// Rows that carry this run's id.
    pub(crate) rows_of_run: u64,
    /// Rows of those that are an orphan's, too.
    pub(crate) orphans: Vec<RowId>,
    /// Items that something is wrong with: their place in the manifest, and what.
    pub(crate) problems: Vec<(usize, ItemKey, Problem)>,
}

impl ShardAudit {
    fn note(&mut self, at: usize, key: &ItemKey, problem: Problem) {
        self.problems.push((at, key.clone(), problem));
    }

    fn of_run(&mut self, row: &Row, orphans: &Orphans) {
        self.rows_of_run += 1;
        if orphans.contains(&row.id) {
            self.orphans.push(row.id.clone());
        }
    }
}

/// Compares one shard's manifest and result with each other and with the index (strongly consistent reads).
///
/// # Errors
/// When state or index failed.
pub(crate) async fn shard(
    state: &State,
    index: &dyn VectorIndex,
    document: &RunDocument,
    orphans: &Orphans,
    shard: &ShardId,
) -> Result<(Manifest, ShardAudit), PlanError> {
    let manifest = state.manifest(&document.run, shard).await?;
    let mut audit = ShardAudit {
        items: manifest.entries.len() as u64,
        ..ShardAudit::default()
    };
    match state.result(&document.run, shard).await? {
        None => {
            audit.unprocessed = audit.items;
            // A worker that was killed before it wrote the result left them: right, and not counted.
            let ids = manifest.entries.iter().map(|entry| id(document, entry.key()));
            let rows = rows(index, document, ids.collect()).await?;
            for row in rows.values().filter(|row| row.run_id == document.run) {
                audit.of_run(row, orphans);
            }
        }
        Some(result) => {
            let there = result.items.iter().filter(|item| recorded_digest(item).is_some());
            let rows = rows(index, document, there.map(|item| id(document, &item.key)).collect()).await?;
            compare(&manifest, &result, &rows, document, orphans, &mut audit);
        }
    }
    Ok((manifest, audit))
}

fn id(document: &RunDocument, key: &ItemKey) -> RowId {
    RowId::of_item(&document.spec.dataset.name, key)
}

async fn rows(
    index: &dyn VectorIndex,
    document: &RunDocument,
    ids: Vec<RowId>,
) -> Result<HashMap<RowId, Row>, IndexError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    match index.get(&document.spec.collection, &ids, Projection::Metadata).await {
        Ok(rows) => Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect()),
        // A collection that was dropped holds none of its rows.
        Err(IndexError::NoCollection(_)) => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

fn recorded_digest(item: &ItemOutcome) -> Option<&str> {
    match &item.outcome {
        Outcome::Indexed { digest } | Outcome::Unchanged { digest } => Some(digest),
        Outcome::Skipped { .. } | Outcome::Failed { .. } => None,
    }
}

fn compare(
    manifest: &Manifest,
    result: &ShardResult,
    rows: &HashMap<RowId, Row>,
    document: &RunDocument,
    orphans: &Orphans,
    audit: &mut ShardAudit,
) {
    for (at, entry) in manifest.entries.iter().enumerate() {
        let Some(item) = result.items.get(at).filter(|item| item.key == *entry.key()) else {
            audit.note(at, entry.key(), Problem::NoOutcome);
            continue;
        };
        audit.counts.add(&item.outcome);
        let Some(digest) = recorded_digest(item) else { continue };
        match rows.get(&id(document, &item.key)) {
            None => audit.note(at, &item.key, Problem::MissingRow),
            Some(row) if row.run_id == document.run => {
                audit.of_run(row, orphans);
                if row.source_digest != digest {
                    if orphans.contains(&row.id) {
                        audit.superseded += 1;
                    } else {
                        audit.note(at, &item.key, Problem::WrongRow);
                    }
                }
            }
            Some(row) if row.source_digest == digest => {}
            Some(row) if row.indexed_at > result.finished_at => audit.superseded += 1,
            // A worker of an earlier run that woke late wrote over this run's row.
            Some(_) => audit.note(at, &item.key, Problem::WrongRow),
        }
    }
}

/// How many of some rows carry this run's id.
///
/// # Errors
/// When the index failed.
pub(crate) async fn count_of_run(
    index: &dyn VectorIndex,
    document: &RunDocument,
    ids: Vec<RowId>,
) -> Result<u64, IndexError> {
    let rows = rows(index, document, ids).await?;
    Ok(rows.values().filter(|row| row.run_id == document.run).count() as u64)
}

/// How many rows carry this run's id and dataset, duplicates of one key included.
///
/// # Errors
/// When the index failed.
pub(crate) async fn count_rows(index: &dyn VectorIndex, document: &RunDocument) -> Result<u64, IndexError> {
    let equal = |field, value: &str| Filter::Compare {
        field: Field::Text(field),
        op: Comparison::Equal,
        value: Literal::Text(value.to_owned()),
    };
    let filter = Filter::And(vec![
        equal(TextField::RunId, document.run.as_str()),
        equal(TextField::Dataset, document.spec.dataset.name.as_str()),
    ]);
    match index.count(&document.spec.collection, Some(&filter)).await {
        Err(IndexError::NoCollection(_)) => Ok(0),
        counted => counted,
    }
}
