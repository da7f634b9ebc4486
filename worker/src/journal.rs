//! The engine's journal: which item is in which stage, in a file that survives any death of the engine.
//!
//! A record of fixed size a slot, a slot an item in the pipeline, one positional write a step: what was written is in
//! the page cache when the call returns, and a process that dies cannot take it along. No shared memory, no `unsafe`.

use crate::ipc::ItemAt;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const RECORD_BYTES: usize = 32;
const PAYLOAD_BYTES: usize = 24;
const MAGIC: [u8; 3] = *b"SLJ";

/// Where in the pipeline an item is. Stages of waiting have none of their own: an item that waits is in no danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalStage {
    /// Its object is being read.
    Fetch,
    /// Its picture is being decoded and preprocessed.
    Decode,
    /// It is in a batch that the model computes.
    Forward,
    /// Its row is being written.
    Upsert,
    /// It waits between two stages.
    Queued,
}

impl JournalStage {
    /// The stages that do work, in the order of the flow.
    pub const WORKING: [Self; 4] = [Self::Fetch, Self::Decode, Self::Forward, Self::Upsert];

    /// The stage's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Forward => "forward",
            Self::Upsert => "upsert",
            Self::Queued => "queued",
        }
    }

    /// What an item in it was doing, in words.
    #[must_use]
    pub fn gerund(self) -> &'static str {
        match self {
            Self::Fetch => "fetching",
            Self::Decode => "decoding",
            Self::Forward => "computing",
            Self::Upsert => "writing to the index",
            Self::Queued => "waiting",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Fetch => 1,
            Self::Decode => 2,
            Self::Forward => 3,
            Self::Upsert => 4,
            Self::Queued => 5,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Self::Fetch, Self::Decode, Self::Forward, Self::Upsert, Self::Queued]
            .into_iter()
            .find(|stage| stage.code() == code)
    }
}

/// The engine's side: as many slots as items may be in the pipeline, so that it also bounds them.
#[derive(Debug)]
pub struct Journal {
    file: File,
    free: Mutex<Vec<u32>>,
    permits: Arc<Semaphore>,
    failed: AtomicBool,
}

/// An item's place in the pipeline. Dropping it frees the place.
#[derive(Debug)]
pub struct Slot {
    journal: Arc<Journal>,
    number: u32,
    item: ItemAt,
    _permit: OwnedSemaphorePermit,
}

impl Journal {
    /// Makes an empty journal. Its bytes are written now, so that a full disk shows now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, slots: u32) -> std::io::Result<Arc<Self>> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        for _ in 0..slots {
            file.write_all(&[0; RECORD_BYTES])?;
        }
        let permits = usize::try_from(slots).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Arc::new(Self {
            file,
            free: Mutex::new((0..slots).rev().collect()),
            permits: Arc::new(Semaphore::new(permits)),
            failed: AtomicBool::new(false),
        }))
    }

    /// Waits for a free place. First come, first served.
    pub async fn enter(self: &Arc<Self>, item: ItemAt) -> Option<Slot> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        let slot = Slot {
            journal: Arc::clone(self),
            number,
            item,
            _permit: permit,
        };
        slot.enter(JournalStage::Queued);
        Some(slot)
    }

    fn write(&self, slot: u32, record: &[u8; RECORD_BYTES]) {
        let offset = u64::from(slot) * RECORD_BYTES as u64;
        if let Err(error) = self.file.write_all_at(record, offset)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            // Without it a death has no suspects, and costs more time. That is no reason to stop now.
            tracing::warn!(%error, "the engine's journal cannot be written");
        }
    }
}

impl Slot {
    /// Which item it is.
    #[must_use]
    pub fn item(&self) -> ItemAt {
        self.item
    }

    /// Notes that the item enters a stage.
    pub fn enter(&self, stage: JournalStage) {
        self.journal.write(self.number, &encode(self.item, stage));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.journal.write(self.number, &[0; RECORD_BYTES]);
        self.journal
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.number);
    }
}

/// Reads which items were where. Records that are torn or free are left out.
///
/// # Errors
/// When the file cannot be read.
pub fn read_journal(path: &Path) -> std::io::Result<Vec<(ItemAt, JournalStage)>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
    Ok(records.iter().filter_map(decode).collect())
}

fn encode(item: ItemAt, stage: JournalStage) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&item.work.to_le_bytes());
    record[8..12].copy_from_slice(&item.index.to_le_bytes());
    record[12] = stage.code();
    record[13..16].copy_from_slice(&MAGIC);
    let check = checksum(&record[..PAYLOAD_BYTES]);
    record[PAYLOAD_BYTES..].copy_from_slice(&check.to_le_bytes());
    record
}

fn decode(record: &[u8; RECORD_BYTES]) -> Option<(ItemAt, JournalStage)> {
    let word = |at: usize| record[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    if record[13..16] != MAGIC || word(PAYLOAD_BYTES)? != checksum(&record[..PAYLOAD_BYTES]) {
        return None;
    }
    let index = record[8..12].try_into().map(u32::from_le_bytes).ok()?;
    Some((ItemAt { work: word(0)?, index }, JournalStage::of_code(record[12])?))
}

/// FNV-1a: enough to tell a torn record from a whole one.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::WorkId;
    use proptest::prelude::*;

    fn at(work: WorkId, index: u32) -> ItemAt {
        ItemAt { work, index }
    }

    #[tokio::test]
    async fn what_is_in_the_pipeline_is_read_back_and_what_left_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::create(&path, 4).unwrap();
        let first = journal.enter(at(1, 10)).await.unwrap();
        let second = journal.enter(at(2, 20)).await.unwrap();
        let third = journal.enter(at(2, 21)).await.unwrap();
        first.enter(JournalStage::Decode);
        second.enter(JournalStage::Forward);
        drop(third);
        let mut read = read_journal(&path).unwrap();
        read.sort();
        assert_eq!(
            read,
            [(at(1, 10), JournalStage::Decode), (at(2, 20), JournalStage::Forward)]
        );
    }

    #[tokio::test]
    async fn a_full_pipeline_lets_the_next_item_in_when_one_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(&dir.path().join("journal"), 1).unwrap();
        let first = journal.enter(at(1, 0)).await.unwrap();
        let waiting = tokio::spawn({
            let journal = Arc::clone(&journal);
            async move { journal.enter(at(1, 1)).await.map(|slot| slot.item()) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap(), Some(at(1, 1)));
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(work: u64, index: u32, code in 1..6_u8) {
            let stage = JournalStage::of_code(code).unwrap();
            prop_assert_eq!(decode(&encode(at(work, index), stage)), Some((at(work, index), stage)));
        }

        #[test]
        fn a_torn_record_is_left_out(work in 1..u64::MAX, index: u32, cut in 1..RECORD_BYTES) {
            let whole = encode(at(work, index), JournalStage::Forward);
            let mut record = whole;
            let other = encode(at(!work, !index), JournalStage::Decode);
            record[cut..].copy_from_slice(&other[cut..]);
            prop_assume!(record != whole);
            prop_assert_eq!(decode(&record), None);
        }
    }
}
