//! A work in the supervisor's hands: which items wait, which are in the engine, which ended.

use crate::ipc::{Interruption, ItemEnded, Job, WorkId, WorkItem};
use crate::journal::JournalStage;
use sightline_core::{Item, Outcome, StoredVector};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// Most items in a frame.
const FRAME_ITEMS: usize = 256;
/// Most bytes of texts in a frame.
const FRAME_BYTES: usize = 4 << 20;

/// How a work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkEnd {
    /// Every item ended.
    Done {
        /// Outcomes by place in the manifest.
        outcomes: BTreeMap<u32, Outcome>,
        /// Microseconds by stage, summed over items.
        stage_us: BTreeMap<JournalStage, u64>,
    },
    /// It cannot go on for now, or for ever.
    Interrupted(Interruption),
    /// The supervisor was not itself for so long that the broker has taken the delivery back.
    LeaseLost,
}

/// A work.
#[derive(Debug)]
pub(crate) struct HeldWork {
    /// Its number.
    pub(crate) id: WorkId,
    /// What its items share.
    pub(crate) job: Job,
    /// Whether the engine that runs now knows of it.
    pub(crate) opened: bool,
    items: BTreeMap<u32, WorkItem>,
    unsent: BTreeSet<u32>,
    sent: BTreeSet<u32>,
    outcomes: BTreeMap<u32, Outcome>,
    stage_us: BTreeMap<JournalStage, u64>,
    progress: Arc<AtomicU64>,
    reply: oneshot::Sender<WorkEnd>,
}

impl HeldWork {
    pub(crate) fn new(
        id: WorkId,
        job: Job,
        items: Vec<WorkItem>,
        progress: Arc<AtomicU64>,
        reply: oneshot::Sender<WorkEnd>,
    ) -> Self {
        let items: BTreeMap<u32, WorkItem> = items.into_iter().map(|item| (item.index, item)).collect();
        Self {
            id,
            job,
            opened: false,
            unsent: items.keys().copied().collect(),
            items,
            sent: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            stage_us: BTreeMap::new(),
            progress,
            reply,
        }
    }

    /// Items in the engine.
    pub(crate) fn in_engine(&self) -> usize {
        self.sent.len()
    }

    /// Whether some items still wait to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether every item ended.
    pub(crate) fn is_done(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Takes the next items to send, at most `room` and not more than a frame holds.
    pub(crate) fn take_frame(&mut self, room: usize) -> Vec<WorkItem> {
        let mut frame = Vec::new();
        let mut bytes = 0;
        for index in &self.unsent {
            let Some(item) = self.items.get(index) else { continue };
            let size = item.item.text.as_ref().map_or(0, String::len) + carried_bytes(&item.item);
            if frame.len() >= room.min(FRAME_ITEMS) || (bytes + size > FRAME_BYTES && !frame.is_empty()) {
                break;
            }
            bytes += size;
            frame.push(item.clone());
        }
        for item in &frame {
            self.unsent.remove(&item.index);
            self.sent.insert(item.index);
        }
        frame
    }

    /// Takes one item to send; none where it ended.
    pub(crate) fn take_one(&mut self, index: u32) -> Option<WorkItem> {
        let item = self.items.get(&index)?.clone();
        self.unsent.remove(&index);
        self.sent.insert(index);
        Some(item)
    }

    /// A frame could not be sent after all.
    pub(crate) fn put_back(&mut self, indexes: impl IntoIterator<Item = u32>) {
        for index in indexes {
            if self.sent.remove(&index) {
                self.unsent.insert(index);
            }
        }
    }

    /// The engine is gone: what was in it waits again.
    pub(crate) fn engine_died(&mut self) {
        self.opened = false;
        self.unsent.append(&mut self.sent);
    }

    /// The item's key, for people.
    pub(crate) fn key(&self, index: u32) -> Option<&str> {
        self.items.get(&index).map(|item| item.item.key.as_str())
    }

    /// Notes how an item ended. What is told twice counts once; answers whether it was news.
    pub(crate) fn ended(&mut self, ended: ItemEnded) -> bool {
        if self.items.remove(&ended.index).is_none() {
            return false;
        }
        self.unsent.remove(&ended.index);
        self.sent.remove(&ended.index);
        self.outcomes.insert(ended.index, ended.outcome);
        self.progress.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Notes what items took.
    pub(crate) fn took(&mut self, stage_us: BTreeMap<JournalStage, u64>) {
        for (stage, us) in stage_us {
            *self.stage_us.entry(stage).or_default() += us;
        }
    }

    /// Every item ended.
    pub(crate) fn finish(self) {
        let end = WorkEnd::Done {
            outcomes: self.outcomes,
            stage_us: self.stage_us,
        };
        // Who abandoned it in this very moment does not listen any more.
        let _told = self.reply.send(end);
    }

    /// It ends before its items did.
    pub(crate) fn end(self, end: WorkEnd) {
        let _told = self.reply.send(end);
    }
}

/// Bytes of the vectors that an item carries.
fn carried_bytes(item: &Item) -> usize {
    let bytes = |vector: &StoredVector| match vector {
        StoredVector::Inline { values } => values.len(),
        StoredVector::Row { .. } | StoredVector::Missing { .. } => 0,
    };
    item.vectors.values().map(bytes).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sightline_core::{CollectionName, DatasetName, ItemKey, RunId, ShardId};

    pub(crate) fn job() -> Job {
        Job {
            run: RunId::of_request("a", "b"),
            shard: ShardId::of_manifest(b""),
            attempt: 1,
            dataset: DatasetName::new("d").unwrap(),
            root: "file:///d".into(),
            collection: CollectionName::new("c").unwrap(),
            fields: vec![],
            dicom: sightline_core::DicomSpec::default(),
            previews: None,
            reading: String::new(),
            imported: None,
            traceparent: None,
        }
    }

    /// So many items, with texts of so many bytes.
    pub(crate) fn items(count: u32, text: usize) -> Vec<WorkItem> {
        let item = |index| {
            let mut item = Item::new(ItemKey::new(format!("k{index}")).unwrap());
            item.text = Some("x".repeat(text));
            WorkItem { index, item }
        };
        (0..count).map(item).collect()
    }

    fn held(count: u32, text: usize) -> (HeldWork, oneshot::Receiver<WorkEnd>) {
        let (reply, end) = oneshot::channel();
        let work = HeldWork::new(1, job(), items(count, text), Arc::default(), reply);
        (work, end)
    }

    pub(crate) fn indexed(index: u32) -> ItemEnded {
        ItemEnded {
            index,
            outcome: Outcome::Indexed { digest: "d".into() },
        }
    }

    #[test]
    fn what_was_in_the_engine_when_it_died_is_sent_again_and_what_ended_is_not() {
        let (mut work, _end) = held(4, 1);
        assert_eq!(work.take_frame(3).len(), 3);
        assert!(work.ended(indexed(1)));
        work.engine_died();
        let again: Vec<u32> = work.take_frame(9).iter().map(|item| item.index).collect();
        assert_eq!(again, [0, 2, 3], "1 ended");
    }

    #[test]
    fn an_end_that_is_told_twice_counts_once_and_the_last_one_ends_the_work() {
        let (mut work, mut end) = held(2, 1);
        work.take_frame(2);
        assert!(work.ended(indexed(0)));
        assert!(!work.ended(indexed(0)));
        assert!(!work.is_done());
        assert!(work.ended(indexed(1)));
        assert!(work.is_done());
        work.finish();
        let Ok(WorkEnd::Done { outcomes, .. }) = end.try_recv() else {
            panic!("not done")
        };
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn a_frame_is_bounded_in_bytes_and_a_larger_item_goes_alone() {
        let (mut work, _end) = held(3, FRAME_BYTES / 2 + 1);
        assert_eq!(work.take_frame(9).len(), 1);
        let (mut work, _end) = held(2, FRAME_BYTES + 1);
        assert_eq!(work.take_frame(9).len(), 1);
    }
}
