//! What the stages do: counted, timed.

use crate::ipc::{BatchSize, StageReport};
use crate::journal::JournalStage;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Counters {
    in_flight: AtomicU64,
    done: AtomicU64,
    busy_us: AtomicU64,
}

/// The counters of all stages.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    counters: [Counters; JournalStage::WORKING.len()],
    batches: Mutex<BTreeMap<u32, u64>>,
}

/// Microseconds that one item took, by stage.
pub(crate) type ItemTimes = BTreeMap<JournalStage, u64>;

/// Items that are in a stage until this is dropped.
#[derive(Debug)]
pub(crate) struct InStage<'a> {
    counters: Option<&'a Counters>,
    items: u64,
    since: Instant,
}

impl Stages {
    /// So many items enter a stage together.
    pub(crate) fn enter(&self, stage: JournalStage, items: usize) -> InStage<'_> {
        let place = JournalStage::WORKING.iter().position(|working| *working == stage);
        let counters = place.and_then(|place| self.counters.get(place));
        let items = items as u64;
        if let Some(counters) = counters {
            counters.in_flight.fetch_add(items, Ordering::Relaxed);
        }
        InStage {
            counters,
            items,
            since: Instant::now(),
        }
    }

    /// Notes the size of a batch of the model.
    pub(crate) fn batch(&self, items: usize) {
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        *self
            .batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(items)
            .or_default() += 1;
    }

    /// All counters, and the sizes of batches since the last call.
    pub(crate) fn report(&self) -> (BTreeMap<JournalStage, StageReport>, Vec<BatchSize>) {
        let report = |counters: &Counters| StageReport {
            in_flight: counters.in_flight.load(Ordering::Relaxed),
            done: counters.done.load(Ordering::Relaxed),
            busy_us: counters.busy_us.load(Ordering::Relaxed),
        };
        let stages = JournalStage::WORKING
            .into_iter()
            .zip(self.counters.iter().map(report))
            .collect();
        let batches = std::mem::take(&mut *self.batches.lock().unwrap_or_else(PoisonError::into_inner));
        (
            stages,
            batches
                .into_iter()
                .map(|(items, batches)| BatchSize { items, batches })
                .collect(),
        )
    }
}

impl InStage<'_> {
    /// How long the items have been in the stage.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Each item's share of that, in microseconds.
    pub(crate) fn share_us(&self) -> u64 {
        micros(self.elapsed()) / self.items.max(1)
    }
}

impl Drop for InStage<'_> {
    fn drop(&mut self) {
        if let Some(counters) = self.counters {
            counters.in_flight.fetch_sub(self.items, Ordering::Relaxed);
            counters.done.fetch_add(self.items, Ordering::Relaxed);
            counters.busy_us.fetch_add(micros(self.elapsed()), Ordering::Relaxed);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn items_are_in_flight_until_they_leave_and_then_done() {
        let stages = Stages::default();
        let batch = stages.enter(JournalStage::Forward, 4);
        tokio::time::advance(Duration::from_micros(400)).await;
        assert_eq!(batch.share_us(), 100);
        assert_eq!(stages.report().0[&JournalStage::Forward].in_flight, 4);
        drop(batch);
        let report = stages.report().0[&JournalStage::Forward].clone();
        assert_eq!(
            report,
            StageReport {
                in_flight: 0,
                done: 4,
                busy_us: 400
            }
        );
    }

    #[test]
    fn sizes_of_batches_are_reported_once() {
        let stages = Stages::default();
        stages.batch(32);
        stages.batch(32);
        assert_eq!(stages.report().1, [BatchSize { items: 32, batches: 2 }]);
        assert_eq!(stages.report().1, []);
    }
}
