//! Fills batches, of each kind one. A batch is due when it is full, in items or in bytes, when its first item has waited long enough,
//! and when it is said to wait for no more; it goes when somebody takes it, and what is not full becomes fuller until then.
//!
//! Promises: items of a kind go in the order in which they came. Of what is due that with the oldest item goes first, so that no kind
//! waits for another for ever. Who adds nothing while it is full holds less than one batch's bytes in all kinds together, and one item.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Limits of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// Most items, at least 1.
    pub(crate) items: usize,
    /// Most bytes, at least 1; an item that is larger goes alone.
    pub(crate) bytes: u64,
    /// How long an item waits for others.
    pub(crate) linger: Duration,
}

#[derive(Debug)]
struct Batch<K, T> {
    kind: K,
    /// Never none.
    items: Vec<T>,
    bytes: u64,
    deadline: Instant,
    due: bool,
    full: bool,
}

/// Batches that are being filled, or wait to be taken.
#[derive(Debug)]
pub(crate) struct Batcher<K, T> {
    limits: BatchLimits,
    /// In the order of their first items. Of a kind the last one alone can be other than full.
    batches: VecDeque<Batch<K, T>>,
    bytes: u64,
}

impl<K, T> Batch<K, T> {
    fn add(&mut self, item: T, bytes: u64, urgent: bool, limits: BatchLimits) {
        self.items.push(item);
        self.bytes = self.bytes.saturating_add(bytes);
        self.due |= urgent;
        self.full = self.items.len() >= limits.items || self.bytes >= limits.bytes;
    }

    fn is_due(&self) -> bool {
        self.due || self.full
    }
}

impl<K: PartialEq + Clone, T> Batcher<K, T> {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            batches: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The batch that the next item of a kind can go with.
    fn open(&mut self, kind: &K) -> Option<&mut Batch<K, T>> {
        self.batches.iter_mut().find(|batch| !batch.full && batch.kind == *kind)
    }

    /// Adds an item. With an urgent one its batch is due; a batch that it does not fit into is full.
    pub(crate) fn push(&mut self, kind: &K, item: T, bytes: u64, urgent: bool, now: Instant) {
        let limits = self.limits;
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(batch) = self.open(kind) {
            if batch.bytes.saturating_add(bytes) <= limits.bytes {
                batch.add(item, bytes, urgent, limits);
                return;
            }
            batch.full = true;
        }
        let mut batch = Batch {
            kind: kind.clone(),
            items: Vec::new(),
            bytes: 0,
            deadline: now + limits.linger,
            due: false,
            full: false,
        };
        batch.add(item, bytes, urgent, limits);
        self.batches.push_back(batch);
    }

    /// What is there of a kind waits for no more.
    pub(crate) fn complete(&mut self, kind: &K) {
        if let Some(batch) = self.open(kind) {
            batch.due = true;
        }
    }

    /// What has waited long enough is due.
    pub(crate) fn advance(&mut self, now: Instant) {
        for batch in &mut self.batches {
            batch.due |= batch.deadline <= now;
        }
    }

    /// When something is due next, if nothing comes until then; none where nothing waits for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let next = self.batches.iter().find(|batch| !batch.is_due());
        next.map(|batch| batch.deadline)
    }

    /// Whether something has to go before more may come.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes || self.batches.iter().any(|batch| batch.full)
    }

    /// Whether something has to go.
    pub(crate) fn is_due(&self) -> bool {
        self.is_full() || self.batches.iter().any(Batch::is_due)
    }

    /// Takes the oldest batch that is due; the oldest of all where none is, since there is too much of all kinds together.
    pub(crate) fn take(&mut self) -> Option<Vec<T>> {
        let due = self.batches.iter().position(Batch::is_due);
        let batch = self.batches.remove(due.unwrap_or_default())?;
        self.bytes = self.bytes.saturating_sub(batch.bytes);
        Some(batch.items)
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

    fn batcher() -> (Batcher<char, char>, Instant) {
        (Batcher::new(LIMITS), Instant::now())
    }

    #[test]
    fn a_batch_is_due_when_its_first_item_has_waited_long_enough() {
        let (mut batcher, start) = batcher();
        assert_eq!(batcher.deadline(), None);
        batcher.push(&'x', 'a', 1, false, start);
        batcher.push(&'x', 'b', 1, false, start + Duration::from_millis(5));
        assert_eq!(batcher.deadline(), Some(start + LIMITS.linger));
        batcher.advance(start + Duration::from_millis(19));
        assert!(!batcher.is_due());
        batcher.advance(start + LIMITS.linger);
        assert!(batcher.is_due() && !batcher.is_full());
        assert_eq!(batcher.deadline(), None, "it waits for nothing but to be taken");
        assert_eq!(batcher.take(), Some(vec!['a', 'b']));
        assert!(!batcher.is_due());
    }

    #[test]
    fn a_batch_that_is_due_becomes_fuller_until_it_is_taken_or_full() {
        let (mut batcher, now) = batcher();
        batcher.push(&'x', 'a', 1, true, now);
        assert!(batcher.is_due());
        batcher.push(&'x', 'b', 1, false, now);
        assert!(!batcher.is_full());
        batcher.push(&'x', 'c', 1, false, now);
        assert!(batcher.is_full());
        assert_eq!(batcher.take(), Some(vec!['a', 'b', 'c']));
        assert_eq!(batcher.take(), None);
    }

    #[test]
    fn a_kind_is_complete_without_another_item_and_touches_no_other() {
        let (mut batcher, now) = batcher();
        batcher.push(&'x', 'a', 1, false, now);
        batcher.push(&'y', 'b', 1, false, now);
        batcher.complete(&'y');
        assert!(batcher.is_due());
        assert_eq!(batcher.take(), Some(vec!['b']));
        assert!(!batcher.is_due());
        batcher.complete(&'y');
        assert!(!batcher.is_due());
    }

    #[test]
    fn an_item_that_does_not_fit_makes_what_was_there_full_and_one_that_is_too_large_goes_alone() {
        let (mut batcher, now) = batcher();
        batcher.push(&'x', 'a', 60, false, now);
        assert!(!batcher.is_due());
        batcher.push(&'x', 'b', 60, false, now);
        assert!(batcher.is_full());
        assert_eq!(batcher.take(), Some(vec!['a']));
        assert!(!batcher.is_due());
        batcher.push(&'x', 'c', 500, false, now);
        assert_eq!([batcher.take(), batcher.take()], [Some(vec!['b']), Some(vec!['c'])]);
    }

    #[test]
    fn of_what_is_due_the_oldest_goes_first_even_before_what_is_full() {
        let (mut batcher, now) = batcher();
        batcher.push(&'x', 'a', 1, false, now);
        batcher.push(&'y', 'b', 1, true, now);
        for item in ['c', 'd', 'e'] {
            batcher.push(&'z', item, 1, false, now);
        }
        let taken = [batcher.take(), batcher.take()];
        assert_eq!(taken, [Some(vec!['b']), Some(vec!['c', 'd', 'e'])]);
        assert!(!batcher.is_due(), "the first waits for others of its kind");
    }

    #[test]
    fn all_kinds_together_hold_no_more_bytes_than_one_batch() {
        let (mut batcher, now) = batcher();
        batcher.push(&'x', 'a', 60, false, now);
        batcher.push(&'y', 'b', 60, false, now);
        assert!(batcher.is_full() && batcher.is_due());
        assert_eq!(batcher.take(), Some(vec!['a']));
        assert!(!batcher.is_full() && !batcher.is_due());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8, u64, bool),
        Complete(u8),
        Wait(u64),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        let push = (0..3_u8, 0..150_u64, prop::bool::weighted(0.2));
        prop_oneof![
            4 => push.prop_map(|(kind, bytes, urgent)| Step::Push(kind, bytes, urgent)),
            1 => (0..3_u8).prop_map(Step::Complete),
            1 => (0..40_u64).prop_map(Step::Wait),
            2 => Just(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn every_item_goes_once_in_its_kinds_order_within_the_limits_and_little_is_held(
            steps in prop::collection::vec(step(), 0..80)
        ) {
            let mut batcher: Batcher<u8, (u8, usize, u64)> = Batcher::new(LIMITS);
            let (mut now, mut held, mut pushed) = (Instant::now(), 0, Vec::new());
            let mut batches: Vec<Vec<(u8, usize, u64)>> = Vec::new();
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(kind, bytes, urgent) if !batcher.is_full() => {
                        prop_assert!(held < LIMITS.bytes);
                        held += bytes;
                        pushed.push((kind, at, bytes));
                        batcher.push(&kind, (kind, at, bytes), bytes, urgent, now);
                        prop_assert!(!urgent || batcher.is_due());
                    }
                    Step::Push(..) => prop_assert!(batcher.is_due(), "what is full can go"),
                    Step::Complete(kind) => batcher.complete(&kind),
                    Step::Wait(millis) => {
                        now += Duration::from_millis(millis);
                        batcher.advance(now);
                        prop_assert!(batcher.deadline().is_none_or(|deadline| deadline > now));
                    }
                    Step::Take if batcher.is_due() => {
                        let batch = batcher.take().unwrap();
                        held -= batch.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
                        batches.push(batch);
                    }
                    Step::Take => {}
                }
            }
            batches.extend(std::iter::from_fn(|| batcher.take()));
            for batch in &batches {
                let bytes: u64 = batch.iter().map(|(_, _, bytes)| bytes).sum();
                prop_assert!(batch.len() <= LIMITS.items && (batch.len() == 1 || bytes <= LIMITS.bytes));
                prop_assert!(batch.iter().all(|(kind, ..)| *kind == batch[0].0));
            }
            // Sorting by kind alone keeps the order within each.
            let mut gone = batches.concat();
            gone.sort_by_key(|(kind, ..)| *kind);
            pushed.sort_by_key(|(kind, ..)| *kind);
            prop_assert_eq!(gone, pushed);
        }
    }
}
