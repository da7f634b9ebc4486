//! Deleting of the rows whose items a dataset holds no more, after a run over all of it: see `docs/protocol.md`,
//! "Mirroring". Every step is bounded, and done twice has the effect of once.

use crate::planner::{PlanError, Planner};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::filter::{Comparison, Field, Filter, Literal, TextField};
use sightline_core::{
    DatasetName, ManifestEntry, MirrorDone, MirrorPlan, MirrorSpec, MirroredRow, MirroredRows, Row, RowId, RunDocument,
    StopDocument, StopReason,
};
use sightline_datasets::is_unnamed;
use sightline_index::{IndexError, Projection, VectorIndex};
use sightline_service::fail_point;

/// Manifests that are read side by side.
const CONCURRENT_READS: usize = 16;
/// Rows of a page of a scan, and of a lookup before they are deleted.
const PAGE_ROWS: usize = 1000;
/// Rows that one list holds at most.
const LIST_ROWS: usize = 5000;

/// Where the next step goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor<'a> {
    /// Rows are looked for, from the first part of all ids on.
    Start,
    /// In a part of all ids, of so many.
    Find(u64, u64),
    /// Rows are deleted, after a list.
    Delete(Option<&'a str>),
}

impl<'a> Cursor<'a> {
    fn parse(text: Option<&'a str>) -> Option<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Some(Self::Start);
        };
        match text.split_once(':')? {
            ("find", part) => {
                let (part, parts) = part.split_once('/')?;
                Some(Self::Find(part.parse().ok()?, parts.parse().ok()?))
            }
            ("delete", after) => Some(Self::Delete((!after.is_empty()).then_some(after))),
            _ => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Start => String::new(),
            Self::Find(part, parts) => format!("find:{part}/{parts}"),
            Self::Delete(after) => format!("delete:{}", after.unwrap_or_default()),
        }
    }
}

/// A part of all row ids, which are spread evenly: by their first 32 bits.
#[derive(Debug, Clone, Copy)]
struct Interval {
    from: u64,
    to: u64,
}

impl Interval {
    fn of(part: u64, parts: u64) -> Self {
        let border = |at: u64| (at.min(parts) << 32) / parts.max(1);
        Self {
            from: border(part),
            to: border(part + 1),
        }
    }

    fn holds(self, id: &RowId) -> bool {
        let first = id
            .as_str()
            .get(..8)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        first.is_some_and(|first| (self.from..self.to).contains(&first))
    }

    /// The last id before it; none where there is none.
    fn before(self) -> Option<RowId> {
        let last = self.from.checked_sub(1)?;
        RowId::new(format!("{last:08x}{}", "f".repeat(24))).ok()
    }
}

/// What a run's manifests name in a part of all ids.
#[derive(Default)]
struct Named {
    ids: Vec<u128>,
    /// Items of the whole run that were to be worked on.
    items: u64,
    /// Rows of a table, in the whole run, that could not be understood so far that their keys are known.
    unnamed: u64,
}

impl Named {
    fn holds(&self, id: &RowId) -> bool {
        number(id).is_none_or(|id| self.ids.binary_search(&id).is_ok())
    }
}

fn number(id: &RowId) -> Option<u128> {
    u128::from_str_radix(id.as_str(), 16).ok()
}

/// The deleting of one run.
pub(crate) struct Mirror<'a> {
    pub(crate) planner: &'a Planner,
    pub(crate) document: &'a RunDocument,
    pub(crate) spec: &'a MirrorSpec,
    pub(crate) index: &'a dyn VectorIndex,
}

impl Mirror<'_> {
    /// One step from a cursor on, and where to go on; none at the end. The run's items have all ended.
    ///
    /// # Errors
    /// When state or index failed.
    pub(crate) async fn step(&self, cursor: Option<&str>) -> Result<Option<String>, PlanError> {
        let (state, run) = (&self.planner.state, &self.document.run);
        let at = Cursor::parse(cursor).ok_or_else(|| PlanError::Cursor {
            cursor: cursor.unwrap_or_default().to_owned(),
        })?;
        if state.mirror_done(run).await?.is_some() {
            return Ok(None);
        }
        let plan = state.mirror_plan(run).await?;
        let next = match (at, plan) {
            (Cursor::Delete(after), Some(plan)) => self.delete(after, &plan).await?,
            (Cursor::Start | Cursor::Find(..), Some(_)) => Some(Cursor::Delete(None).text()),
            (Cursor::Find(part, parts), None) => self.find(part, parts).await?,
            // A list of what is to be deleted is never taken away: this message is from nowhere.
            (Cursor::Start | Cursor::Delete(_), None) => self.find(0, self.parts().await?).await?,
        };
        Ok(next)
    }

    /// Writes down the rows of a part of all ids that the run's manifests do not name.
    async fn find(&self, part: u64, parts: u64) -> Result<Option<String>, PlanError> {
        let shards = self.planner.tracker.shards(&self.document.run).await?;
        let interval = Interval::of(part, parts);
        let named = self.named(&shards, interval).await?;
        if !self.list(interval, &named).await? {
            return Ok(None);
        }
        if part + 1 < parts {
            return Ok(Some(Cursor::Find(part + 1, parts).text()));
        }
        self.decide(&named).await
    }

    /// In how many parts ids are compared: so many that those of one are in memory at a time.
    async fn parts(&self) -> Result<u64, PlanError> {
        let shards = self.planner.tracker.shards(&self.document.run).await?.len() as u64;
        let items = shards * u64::from(self.document.spec.shard_items);
        Ok(items.div_ceil(self.planner.options.mirror_ids.max(1)).max(1))
    }

    async fn named(&self, shards: &[sightline_core::ShardId], interval: Interval) -> Result<Named, PlanError> {
        let (state, run) = (&self.planner.state, &self.document.run);
        let mut reading = stream::iter(shards.to_vec())
            .map(|shard| async move { state.manifest(run, &shard).await })
            .buffer_unordered(CONCURRENT_READS);
        let mut named = Named::default();
        while let Some(manifest) = reading.try_next().await? {
            for entry in &manifest.entries {
                named.items += u64::from(matches!(entry, ManifestEntry::Item(_)));
                named.unnamed += u64::from(is_unnamed(entry));
                let id = RowId::of_item(&self.document.spec.dataset.name, entry.key());
                if interval.holds(&id) {
                    named.ids.extend(number(&id));
                }
            }
        }
        named.ids.sort_unstable();
        Ok(named)
    }

    /// Whether the run was stopped meanwhile: then nothing more is written down, and nothing deleted.
    async fn is_stopped(&self) -> Result<bool, PlanError> {
        Ok(self.planner.state.stop(&self.document.run).await?.is_some())
    }

    /// Whether all of them were written down; not where the run was stopped.
    async fn list(&self, interval: Interval, named: &Named) -> Result<bool, PlanError> {
        let state = &self.planner.state;
        let filter = Filter::And(vec![
            of_dataset(&self.document.spec.dataset.name),
            Filter::Compare {
                field: Field::Text(TextField::RunId),
                op: Comparison::NotEqual,
                value: Literal::Text(self.document.run.to_string()),
            },
        ]);
        let mut list = self.empty_list();
        let mut after = interval.before();
        loop {
            if self.is_stopped().await? {
                return Ok(false);
            }
            let page = self.scan(&filter, after.as_ref()).await?;
            let is_last = page.len() < PAGE_ROWS || page.last().is_some_and(|row| !interval.holds(&row.id));
            after = page.last().map(|row| row.id.clone());
            let goes = |row: &Row| interval.holds(&row.id) && self.is_older(row) && !named.holds(&row.id);
            for Row { id, key, .. } in page.into_iter().filter(goes) {
                list.rows.push(MirroredRow { id, key });
                if list.rows.len() == LIST_ROWS {
                    state.put_mirrored_rows(&list).await?;
                    list = self.empty_list();
                }
            }
            if is_last {
                state.put_mirrored_rows(&list).await?;
                return Ok(true);
            }
        }
    }

    fn empty_list(&self) -> MirroredRows {
        MirroredRows {
            run: self.document.run.clone(),
            rows: Vec::new(),
        }
    }

    /// Whether a row was there before the run: what another run wrote meanwhile is none of this one's concern.
    fn is_older(&self, row: &Row) -> bool {
        row.run_id != self.document.run && row.indexed_at < self.document.created_at
    }

    async fn scan(&self, filter: &Filter, after: Option<&RowId>) -> Result<Vec<Row>, PlanError> {
        let collection = &self.document.spec.collection;
        let page = self
            .index
            .scan(collection, Some(filter), after, PAGE_ROWS, Projection::Metadata);
        Ok(unless_dropped(page.await)?)
    }

    /// All rows are written down: says so, unless deleting them would be dangerous.
    async fn decide(&self, named: &Named) -> Result<Option<String>, PlanError> {
        let (state, run) = (&self.planner.state, &self.document.run);
        let rows = self.listed_rows().await?;
        // Of those that were there before it: with the run's own, a wrong root that holds enough would pass.
        let of = self.document.rows_before.unwrap_or(rows);
        if let Some(message) = self.danger(named, rows, of) {
            // Another holder of this message may have decided, and its deleting changed what was counted here.
            if state.mirror_plan(run).await?.is_some() {
                return Ok(Some(Cursor::Delete(None).text()));
            }
            let stop = StopDocument {
                run: run.clone(),
                reason: StopReason::MirrorRefused,
                message,
                stopped_at: self.planner.clock.now(),
            };
            self.planner.tracker.stop(&stop).await?;
            self.planner.tracker.changed(run).await;
            return Ok(None);
        }
        if self.is_stopped().await? {
            return Ok(None);
        }
        let run = run.clone();
        state.plan_mirror(&MirrorPlan { run, rows, of }).await?;
        fail_point::die("coordinator-after-mirror-plan");
        Ok(Some(Cursor::Delete(None).text()))
    }

    async fn listed_rows(&self) -> Result<u64, PlanError> {
        let (state, run) = (&self.planner.state, &self.document.run);
        let (mut rows, mut after) = (0, None);
        loop {
            let (keys, next) = state.list_mirrored_rows(run, after).await?;
            for key in keys {
                rows += state
                    .mirrored_rows(&key)
                    .await?
                    .map_or(0, |list| list.rows.len() as u64);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// Why rows that were found should not be deleted.
    fn danger(&self, named: &Named, rows: u64, of: u64) -> Option<String> {
        let dataset = &self.document.spec.dataset;
        let why = danger(&dataset.root, self.spec, named.items, named.unnamed, rows, of)?;
        Some(format!(
            "every item ended, but nothing was deleted: {rows} of the {of} rows that collection {} has of dataset {} \
             would be, and {why}",
            self.document.spec.collection, dataset.name
        ))
    }

    /// Deletes the rows of the next lists.
    async fn delete(&self, after: Option<&str>, plan: &MirrorPlan) -> Result<Option<String>, PlanError> {
        let (state, run) = (&self.planner.state, &self.document.run);
        let (keys, next) = state.list_mirrored_rows(run, after.map(Into::into)).await?;
        for key in keys {
            if let Some(list) = state.mirrored_rows(&key).await? {
                for some in list.rows.chunks(PAGE_ROWS) {
                    self.delete_some(some).await?;
                    fail_point::die("coordinator-while-mirroring");
                }
            }
        }
        if let Some(next) = next {
            return Ok(Some(Cursor::Delete(Some(&next)).text()));
        }
        let done = MirrorDone {
            run: run.clone(),
            rows: plan.rows,
            finished_at: self.planner.clock.now(),
        };
        state.finish_mirror(&done).await?;
        self.planner.tracker.changed(run).await;
        tracing::info!(%run, rows = plan.rows, "rows are deleted that the dataset holds no more");
        Ok(None)
    }

    async fn delete_some(&self, rows: &[MirroredRow]) -> Result<(), PlanError> {
        let collection = &self.document.spec.collection;
        let ids: Vec<RowId> = rows.iter().map(|row| row.id.clone()).collect();
        // A message that comes twice must not delete what a later run wrote.
        let there = unless_dropped(self.index.get(collection, &ids, Projection::Metadata).await)?;
        let ids: Vec<RowId> = there
            .into_iter()
            .filter(|row| self.is_older(row))
            .map(|row| row.id)
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        Ok(unless_dropped(self.index.delete(collection, &ids).await)?)
    }
}

/// The rows of a dataset.
pub(crate) fn of_dataset(dataset: &DatasetName) -> Filter {
    Filter::Compare {
        field: Field::Text(TextField::Dataset),
        op: Comparison::Equal,
        value: Literal::Text(dataset.to_string()),
    }
}

/// A collection that is not there, or not any more, holds no rows.
pub(crate) fn unless_dropped<T: Default>(result: Result<T, IndexError>) -> Result<T, IndexError> {
    match result {
        Err(IndexError::NoCollection(_)) => Ok(T::default()),
        other => other,
    }
}

/// Why `rows` of the `of` rows of a dataset should not be deleted, where so many items and unnamed rows of its table were
/// found.
pub(crate) fn danger(root: &str, spec: &MirrorSpec, items: u64, unnamed: u64, rows: u64, of: u64) -> Option<String> {
    if rows == 0 {
        None
    } else if items == 0 {
        Some(format!("{root} holds no item at all: is it the root that was meant?"))
    } else if unnamed > 0 {
        Some(format!(
            "{unnamed} rows of the table cannot be understood, or tars be read, so that the keys of their items are not \
             known: mend them"
        ))
    } else if spec.max_share.is_exceeded(rows, of) {
        Some(format!(
            "that is more than {} of them: is {root} the root that was meant? If it is, allow a larger share",
            spec.max_share
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::ItemKey;

    #[test]
    fn parts_of_all_ids_leave_none_out_and_hold_none_twice() {
        let dataset = DatasetName::new("d").unwrap();
        for parts in [1, 2, 3, 7, 64] {
            for key in 0..200 {
                let id = RowId::of_item(&dataset, &ItemKey::new(key.to_string()).unwrap());
                let holding: Vec<_> = (0..parts)
                    .filter(|part| Interval::of(*part, parts).holds(&id))
                    .collect();
                assert_eq!(holding.len(), 1, "{id} {parts}");
                let before = Interval::of(holding[0], parts).before();
                assert!(before.is_none_or(|before| before < id));
            }
        }
        assert!(Interval::of(0, 5).before().is_none());
        assert_eq!(Interval::of(4, 5).to, 1 << 32);
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        for cursor in [
            Cursor::Find(0, 1),
            Cursor::Find(17, 25),
            Cursor::Delete(None),
            Cursor::Delete(Some("runs/a:b")),
        ] {
            assert_eq!(Cursor::parse(Some(&cursor.text())), Some(cursor));
        }
        assert_eq!(Cursor::parse(None), Some(Cursor::Start));
        assert_eq!(Cursor::parse(Some("elsewhere")), None);
    }
}
