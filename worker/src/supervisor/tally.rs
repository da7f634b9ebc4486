//! A shard's entries and how they ended. Pure.

use super::shard::Times;
use crate::ipc::WorkItem;
use crate::journal::JournalStage;
use sightline_core::{
    FailureReason, Item, ItemOutcome, Manifest, ManifestEntry, Outcome, OutcomeCounts, ShardMessage, ShardResult,
};
use std::collections::{BTreeMap, HashSet};

/// What is known of a shard's entries before the engine has seen any.
#[derive(Debug)]
pub(crate) struct Tally {
    ended: BTreeMap<u32, Outcome>,
}

fn indexed(manifest: &Manifest) -> impl Iterator<Item = (u32, &ManifestEntry)> {
    (0..).zip(&manifest.entries)
}

impl Tally {
    /// Entries that ended in planning, and those whose key is another's.
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let mut keys = HashSet::new();
        let mut ended = BTreeMap::new();
        for (index, entry) in indexed(manifest) {
            let first = keys.insert(entry.key());
            match entry {
                ManifestEntry::Ended(outcome) => {
                    ended.insert(index, outcome.outcome.clone());
                }
                ManifestEntry::Item(item) if !first => {
                    let message = format!("another row of this shard has the key {:?} too", item.key.as_str());
                    ended.insert(index, Outcome::failed(FailureReason::DuplicateKey, message));
                }
                ManifestEntry::Item(_) => {}
            }
        }
        Self { ended }
    }

    /// Entries that ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.len() as u64
    }

    /// Items for the engine, taken out of the manifest, which may be megabytes of texts or vectors: they are in memory once. Keys
    /// and lines stay, which are all that a result says of an item.
    pub(crate) fn take_items(&self, manifest: &mut Manifest) -> Vec<WorkItem> {
        let item = |(index, entry): (u32, &mut ManifestEntry)| match entry {
            ManifestEntry::Item(item) if !self.ended.contains_key(&index) => {
                let mut left = Item::new(item.key.clone());
                left.line = item.line;
                let item = std::mem::replace(item, left);
                Some(WorkItem { index, item })
            }
            ManifestEntry::Item(_) | ManifestEntry::Ended(_) => None,
        };
        (0..).zip(&mut manifest.entries).filter_map(item).collect()
    }

    /// The shard's result: every entry, in the manifest's order.
    pub(crate) fn result(
        mut self,
        message: &ShardMessage,
        manifest: &Manifest,
        outcomes: BTreeMap<u32, Outcome>,
        stage_us: &BTreeMap<JournalStage, u64>,
        worker: &str,
        times: Times,
    ) -> ShardResult {
        self.ended.extend(outcomes);
        let mut counts = OutcomeCounts::default();
        let item = |(index, entry): (u32, &ManifestEntry)| {
            let lost = || Outcome::failed(FailureReason::Internal, "the worker lost the item; please report it");
            let outcome = self.ended.remove(&index).unwrap_or_else(lost);
            counts.add(&outcome);
            let line = match entry {
                ManifestEntry::Item(item) => item.line,
                ManifestEntry::Ended(ended) => ended.line,
            };
            ItemOutcome {
                key: entry.key().clone(),
                line,
                outcome,
            }
        };
        let items = indexed(manifest).map(item).collect();
        let stage_ms = stage_us
            .iter()
            .map(|(stage, us)| (stage.as_str().to_owned(), us / 1000))
            .collect();
        let (started_at, finished_at) = times;
        ShardResult {
            run: message.run.clone(),
            shard: message.shard.clone(),
            worker: worker.to_owned(),
            started_at,
            finished_at,
            stage_ms,
            counts,
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::{ItemKey, JobKind, RunId, ShardId, SkipReason, Timestamp};

    fn item(key: &str, line: u64) -> ManifestEntry {
        let mut item = Item::new(ItemKey::new(key).unwrap());
        item.line = Some(line);
        item.text = Some("a report".into());
        ManifestEntry::Item(item)
    }

    #[test]
    fn every_entry_is_in_the_result_once_in_order_whether_it_reached_the_engine_or_not() {
        let run = RunId::of_request("a", "b");
        let skipped = Outcome::skipped(SkipReason::UnsupportedType, "a text file");
        let ended = ManifestEntry::ended(ItemKey::new("notes.txt").unwrap(), None, skipped.clone());
        let entries = vec![item("a", 1), ended, item("a", 2), item("b", 3)];
        let mut manifest = Manifest {
            run: run.clone(),
            kind: JobKind::Embed,
            entries,
        };
        let tally = Tally::new(&manifest);
        let items = tally.take_items(&mut manifest);
        assert_eq!(items.iter().map(|item| item.index).collect::<Vec<_>>(), [0, 3]);
        assert!(items.iter().all(|item| item.item.text.is_some()));
        let message = ShardMessage {
            kind: JobKind::Embed,
            run,
            shard: ShardId::of_manifest(b""),
            attempt: 1,
            traceparent: None,
        };
        let done = Outcome::Indexed { digest: "d".into() };
        let outcomes = BTreeMap::from([(0, done.clone()), (3, done.clone())]);
        let stage_us = BTreeMap::from([(JournalStage::Fetch, 2500)]);
        let times = (Timestamp(1), Timestamp(2));
        let result = tally.result(&message, &manifest, outcomes, &stage_us, "w", times);
        let keys: Vec<&str> = result.items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["a", "notes.txt", "a", "b"]);
        assert_eq!(result.items[1].outcome, skipped);
        let Outcome::Failed {
            reason: FailureReason::DuplicateKey,
            ..
        } = result.items[2].outcome
        else {
            panic!("{:?}", result.items[2]);
        };
        assert_eq!(result.items[2].line, Some(2));
        assert_eq!(
            (result.counts.indexed, result.counts.skipped, result.counts.failed),
            (2, 1, 1)
        );
        assert_eq!(result.stage_ms["fetch"], 2);
        assert_eq!((result.items[3].line, keys[3]), (Some(3), "b"));
        let ManifestEntry::Item(left) = &manifest.entries[3] else {
            panic!("{:?}", manifest.entries[3]);
        };
        assert_eq!(left.text, None, "what the engine was given is not kept beside it");
    }
}
