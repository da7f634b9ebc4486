//! What the stages do: counted, timed.

use crate::ipc::{BatchSize, StageReport};
use crate::journal::JournalStage;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Counters {
    places: u64,
    waiting: u64,
    in_flight: u64,
    done: u64,
    /// Groups of items that are inside, and the sum of their times of entry.
    inside: u32,
    entered: Duration,
    busy: Duration,
}

impl Counters {
    /// Time spent inside, with that of those who are still there.
    fn busy(&self, now: Duration) -> Duration {
        self.busy + (now * self.inside).saturating_sub(self.entered)
    }
}

/// The counters of all stages.
#[derive(Debug)]
pub(crate) struct Stages {
    started: Instant,
    counters: [Mutex<Counters>; JournalStage::WORKING.len()],
    batches: Mutex<BTreeMap<u32, u64>>,
}

/// Microseconds that one item took, by stage.
pub(crate) type ItemTimes = BTreeMap<JournalStage, u64>;

/// Items that are in a stage until this is dropped.
#[derive(Debug)]
pub(crate) struct InStage<'a> {
    stages: &'a Stages,
    stage: JournalStage,
    items: u64,
    since: Instant,
}

/// An item that waits for a stage until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    stages: Arc<Stages>,
    stage: JournalStage,
}

impl Default for Stages {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            counters: Default::default(),
            batches: Mutex::default(),
        }
    }
}

impl Stages {
    fn counters(&self, stage: JournalStage) -> Option<MutexGuard<'_, Counters>> {
        let place = JournalStage::WORKING.iter().position(|working| *working == stage)?;
        let counters = self.counters.get(place)?;
        Some(counters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A stage can do so much at once: threads, requests, batches.
    pub(crate) fn set_places(&self, stage: JournalStage, places: usize) {
        if let Some(mut counters) = self.counters(stage) {
            counters.places = places as u64;
        }
    }

    /// An item begins to wait for a stage.
    pub(crate) fn wait(self: &Arc<Self>, stage: JournalStage) -> Waiting {
        if let Some(mut counters) = self.counters(stage) {
            counters.waiting += 1;
        }
        Waiting {
            stages: Arc::clone(self),
            stage,
        }
    }

    /// So many items enter a stage together, in one of its places; none where something else is done in it.
    pub(crate) fn enter(&self, stage: JournalStage, items: usize) -> InStage<'_> {
        let (items, since) = (items as u64, Instant::now());
        if let Some(mut counters) = self.counters(stage) {
            counters.in_flight += items;
            counters.inside += 1;
            counters.entered += since - self.started;
        }
        InStage {
            stages: self,
            stage,
            items,
            since,
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

    /// Microseconds since the stages began.
    pub(crate) fn elapsed_us(&self) -> u64 {
        micros(self.started.elapsed())
    }

    /// All counters, and the sizes of batches since the last call.
    pub(crate) fn report(&self) -> (BTreeMap<JournalStage, StageReport>, Vec<BatchSize>) {
        let now = self.started.elapsed();
        let report = |stage| {
            let counters = self.counters(stage)?;
            let report = StageReport {
                places: counters.places,
                waiting: counters.waiting,
                in_flight: counters.in_flight,
                done: counters.done,
                busy_us: micros(counters.busy(now)),
            };
            Some((stage, report))
        };
        let stages = JournalStage::WORKING.into_iter().filter_map(report).collect();
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
        if let Some(mut counters) = self.stages.counters(self.stage) {
            let entered = self.since - self.stages.started;
            counters.in_flight = counters.in_flight.saturating_sub(self.items);
            counters.done += self.items;
            counters.inside = counters.inside.saturating_sub(1);
            counters.entered = counters.entered.saturating_sub(entered);
            counters.busy += self.since.elapsed();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut counters) = self.stages.counters(self.stage) {
            counters.waiting = counters.waiting.saturating_sub(1);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stages: &Stages, stage: JournalStage) -> StageReport {
        stages.report().0[&stage].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn items_are_in_flight_until_they_leave_and_then_done() {
        let stages = Stages::default();
        stages.set_places(JournalStage::Forward, 2);
        let batch = stages.enter(JournalStage::Forward, 4);
        tokio::time::advance(Duration::from_micros(400)).await;
        assert_eq!(batch.share_us(), 100);
        assert_eq!(of(&stages, JournalStage::Forward).in_flight, 4);
        drop(batch);
        let report = of(&stages, JournalStage::Forward);
        assert_eq!(
            report,
            StageReport {
                places: 2,
                waiting: 0,
                in_flight: 0,
                done: 4,
                busy_us: 400
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_inside_is_busy_time_already_and_counts_once() {
        let stages = Stages::default();
        tokio::time::advance(Duration::from_millis(7)).await;
        let first = stages.enter(JournalStage::Decode, 1);
        tokio::time::advance(Duration::from_micros(300)).await;
        let second = stages.enter(JournalStage::Decode, 1);
        tokio::time::advance(Duration::from_micros(100)).await;
        assert_eq!(of(&stages, JournalStage::Decode).busy_us, 500);
        drop(first);
        assert_eq!(of(&stages, JournalStage::Decode).busy_us, 500);
        tokio::time::advance(Duration::from_micros(50)).await;
        drop(second);
        tokio::time::advance(Duration::from_micros(50)).await;
        assert_eq!(of(&stages, JournalStage::Decode).busy_us, 550);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_taken_for_no_item_is_busy_all_the_same() {
        let stages = Stages::default();
        let preview = stages.enter(JournalStage::Fetch, 0);
        tokio::time::advance(Duration::from_micros(300)).await;
        drop(preview);
        let report = of(&stages, JournalStage::Fetch);
        assert_eq!((report.busy_us, report.in_flight, report.done), (300, 0, 0));
    }

    #[test]
    fn an_item_waits_until_it_is_taken() {
        let stages = Arc::new(Stages::default());
        let waiting = stages.wait(JournalStage::Upsert);
        assert_eq!(of(&stages, JournalStage::Upsert).waiting, 1);
        assert_eq!(of(&stages, JournalStage::Fetch).waiting, 0);
        drop(waiting);
        assert_eq!(of(&stages, JournalStage::Upsert).waiting, 0);
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
