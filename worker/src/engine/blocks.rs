//! Blocks of arrays: rows of an array lie side by side, and so do the items of a shard, so that one read serves many.

use bytes::Bytes;
use sightline_core::ObjectRef;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Bytes that are read at once.
const BLOCK_BYTES: u64 = 2 << 20;
/// Blocks that are kept.
const MAX_BLOCKS: usize = 32;
/// Bytes of all that are kept: 64 MiB.
pub(crate) const MAX_BYTES: u64 = BLOCK_BYTES * MAX_BLOCKS as u64;

/// Which block of which version of which array.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    root: String,
    array: String,
    etag: String,
    number: u64,
}

/// A block: empty until somebody has read it.
pub(crate) type Block = Arc<OnceCell<Bytes>>;

/// The blocks that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Mutex<VecDeque<(Key, Block)>>);

impl Blocks {
    /// A block that whoever comes first fills; the others wait for it.
    pub(crate) fn get(&self, root: &str, array: &ObjectRef, number: u64) -> Block {
        let key = Key {
            root: root.to_owned(),
            array: array.key.clone(),
            etag: array.etag.clone(),
            number,
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.iter().position(|(known, _)| *known == key);
        let entry = known
            .and_then(|at| held.remove(at))
            .unwrap_or_else(|| (key, Block::default()));
        let block = Arc::clone(&entry.1);
        held.push_back(entry);
        if held.len() > MAX_BLOCKS {
            held.pop_front();
        }
        block
    }
}

/// The blocks that a range of an object lies in.
pub(crate) fn numbers(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES)
}

/// A block's place in its object.
pub(crate) fn place(number: u64, size: u64) -> Range<u64> {
    let start = number * BLOCK_BYTES;
    start..(start + BLOCK_BYTES).min(size)
}

/// The part of a range that lies in a block; none where the block is too short for it.
pub(crate) fn part(block: &Bytes, number: u64, range: &Range<u64>) -> Option<Bytes> {
    let start = number * BLOCK_BYTES;
    let from = range.start.max(start) - start;
    let to = range.end.min(start + BLOCK_BYTES) - start;
    let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
    (from <= to && to <= block.len()).then(|| block.slice(from..to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(etag: &str) -> ObjectRef {
        ObjectRef {
            key: "a.npy".into(),
            etag: etag.into(),
            size: 0,
        }
    }

    #[test]
    fn a_range_is_the_parts_of_its_blocks() {
        let size = BLOCK_BYTES * 2 + 100;
        let at = |place: u64| usize::try_from(place).unwrap();
        let object: Vec<u8> = (0..=250).cycle().take(at(size)).collect();
        for range in [0..5, BLOCK_BYTES - 3..BLOCK_BYTES + 4, BLOCK_BYTES - 1..size, 7..size] {
            let mut read = Vec::new();
            for number in numbers(&range) {
                let place = place(number, size);
                let block = Bytes::copy_from_slice(&object[at(place.start)..at(place.end)]);
                read.extend(part(&block, number, &range).unwrap());
            }
            assert_eq!(read, object[at(range.start)..at(range.end)], "{range:?}");
        }
        assert_eq!(part(&Bytes::from_static(b"abc"), 0, &(1..5)), None, "it is too short");
    }

    #[test]
    fn one_version_s_block_is_never_another_s_and_the_oldest_are_forgotten() {
        let blocks = Blocks::default();
        let first = blocks.get("r", &array("1"), 0);
        assert!(Arc::ptr_eq(&first, &blocks.get("r", &array("1"), 0)));
        for other in [
            blocks.get("r", &array("2"), 0),
            blocks.get("s", &array("1"), 0),
            blocks.get("r", &array("1"), 1),
        ] {
            assert!(!Arc::ptr_eq(&first, &other));
        }
        for number in 0..MAX_BLOCKS as u64 {
            blocks.get("t", &array("1"), number);
        }
        assert!(!Arc::ptr_eq(&first, &blocks.get("r", &array("1"), 0)));
    }
}
