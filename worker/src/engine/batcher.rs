//! Fills batches: a batch goes when it is full, in items or in bytes, or when its first item has waited long enough.

use std::time::Duration;
use tokio::time::Instant;

/// Limits of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// Most items, at least 1.
    pub(crate) items: usize,
    /// Most bytes; an item that is larger goes alone.
    pub(crate) bytes: u64,
    /// Longest wait of an item.
    pub(crate) linger: Duration,
}

/// A batch that is being filled.
#[derive(Debug)]
pub(crate) struct Batcher<T> {
    limits: BatchLimits,
    items: Vec<T>,
    bytes: u64,
    deadline: Option<Instant>,
}

impl<T> Batcher<T> {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            items: Vec::new(),
            bytes: 0,
            deadline: None,
        }
    }

    /// Adds an item; gives back the batches that have to go now: none, the one that the item made full, or the one
    /// that it did not fit into. An urgent item goes with what is there.
    pub(crate) fn push(&mut self, item: T, bytes: u64, urgent: bool, now: Instant) -> Vec<Vec<T>> {
        let mut ready = Vec::new();
        if !self.items.is_empty() && self.bytes.saturating_add(bytes) > self.limits.bytes {
            ready.push(self.take());
        }
        self.items.push(item);
        self.bytes = self.bytes.saturating_add(bytes);
        self.deadline.get_or_insert(now + self.limits.linger);
        if urgent || self.items.len() >= self.limits.items || self.bytes >= self.limits.bytes {
            ready.push(self.take());
        }
        ready
    }

    /// When the batch has to go though it is not full; none where it is empty.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is there.
    pub(crate) fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        self.deadline = None;
        std::mem::take(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: BatchLimits = BatchLimits {
        items: 3,
        bytes: 100,
        linger: Duration::from_millis(20),
    };

    #[tokio::test(start_paused = true)]
    async fn a_batch_goes_when_it_is_full_and_its_clock_starts_with_its_first_item() {
        let mut batcher = Batcher::new(LIMITS);
        let start = Instant::now();
        assert!(batcher.deadline().is_none());
        assert!(batcher.push('a', 1, false, start).is_empty());
        assert!(batcher.push('b', 1, false, start + Duration::from_millis(5)).is_empty());
        assert_eq!(batcher.deadline(), Some(start + LIMITS.linger));
        assert_eq!(batcher.push('c', 1, false, start), [vec!['a', 'b', 'c']]);
        assert!(batcher.deadline().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_that_does_not_fit_sends_what_was_there_and_waits_itself() {
        let mut batcher = Batcher::new(LIMITS);
        let now = Instant::now();
        assert!(batcher.push('a', 60, false, now).is_empty());
        assert_eq!(batcher.push('b', 60, false, now), [vec!['a']]);
        assert_eq!(batcher.push('c', 500, false, now), [vec!['b'], vec!['c']]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_urgent_item_does_not_wait() {
        let mut batcher = Batcher::new(LIMITS);
        let now = Instant::now();
        assert!(batcher.push('a', 1, false, now).is_empty());
        assert_eq!(batcher.push('b', 1, true, now), [vec!['a', 'b']]);
    }

    proptest! {
        #[test]
        fn every_item_goes_once_in_order_and_no_batch_is_beyond_its_limits(
            sizes in prop::collection::vec((0..150_u64, any::<bool>()), 0..40)
        ) {
            let mut batcher = Batcher::new(LIMITS);
            let now = Instant::now();
            let mut batches = Vec::new();
            for (at, (bytes, urgent)) in sizes.iter().enumerate() {
                batches.extend(batcher.push((at, *bytes), *bytes, *urgent, now));
            }
            batches.push(batcher.take());
            for batch in &batches {
                let bytes: u64 = batch.iter().map(|(_, bytes)| bytes).sum();
                prop_assert!(batch.len() <= LIMITS.items && (batch.len() == 1 || bytes <= LIMITS.bytes));
            }
            let order: Vec<usize> = batches.concat().iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(order, (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
