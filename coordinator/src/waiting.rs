//! What runs wait for, from hints: which workers live, what they say keeps them, and what kept this coordinator.

use sightline_core::{ModelName, RunId, Timestamp, WorkerReport};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A worker that was not heard of for so long is forgotten. Workers report every five seconds.
const FORGET_AFTER: Duration = Duration::from_secs(16);
/// What kept planning from going on is past after so long, twice as long as a link waits at most: another coordinator has
/// taken it since, or would have noted the same here.
const FORGET_PLANNING_AFTER: Duration = Duration::from_secs(120);

/// What is known of who waits for what.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    workers: Mutex<HashMap<String, (WorkerReport, Instant)>>,
    planning: Mutex<HashMap<RunId, Kept>>,
}

/// What kept this coordinator from planning a run.
#[derive(Debug)]
struct Kept {
    by: String,
    since: Timestamp,
    noted: Instant,
}

impl Waiting {
    /// Takes note of a worker's report.
    pub(crate) fn heard(&self, report: WorkerReport, now: Instant) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|_, (_, at)| now.duration_since(*at) < FORGET_AFTER);
        workers.insert(report.worker.clone(), (report, now));
    }

    /// What keeps every worker of a model from going on: the words and since when; none where one of them goes on, or
    /// none was heard of.
    #[must_use]
    pub(crate) fn workers_wait_for(&self, model: &ModelName, now: Instant) -> Option<(String, Timestamp)> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reports = workers
            .values()
            .filter(|(report, at)| report.model == *model && now.duration_since(*at) < FORGET_AFTER)
            .map(|(report, _)| report)
            .peekable();
        reports.peek()?;
        let waiting: Option<Vec<_>> = reports
            .map(|report| Some((report.since, report.waiting_for.as_deref()?)))
            .collect();
        waiting?.into_iter().min().map(|(since, what)| (what.to_owned(), since))
    }

    /// Shards that the workers of a model take into their hands at once, all together, as far as they have said so. No
    /// worker counts for more than one can take: a broken report would have a run put all its shards into the queue.
    #[must_use]
    pub(crate) fn shards_in_hand(&self, model: &ModelName, now: Instant) -> u64 {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = workers
            .values()
            .filter(|(report, at)| report.model == *model && now.duration_since(*at) < FORGET_AFTER);
        reports
            .filter_map(|(report, _)| report.in_hand)
            .map(|shards| u64::from(shards.min(WorkerReport::MOST_IN_HAND)))
            .sum()
    }

    /// Takes note of what kept this coordinator from planning a run; none where it went on.
    pub(crate) fn planning(&self, run: &RunId, waits_for: Option<String>, now: Timestamp) {
        let mut planning = self.planning.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = Instant::now();
        planning.retain(|_, kept| !kept.is_past(noted));
        match waits_for {
            // It may be told in other words each time: what counts is since when nothing goes on.
            Some(by) => {
                let since = planning.get(run).map_or(now, |kept| kept.since);
                planning.insert(run.clone(), Kept { by, since, noted });
            }
            None => drop(planning.remove(run)),
        }
    }

    /// What keeps this coordinator from planning a run, and since when.
    #[must_use]
    pub(crate) fn planning_waits_for(&self, run: &RunId, now: Instant) -> Option<(String, Timestamp)> {
        let planning = self.planning.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = planning.get(run).filter(|kept| !kept.is_past(now))?;
        Some((kept.by.clone(), kept.since))
    }
}

impl Kept {
    fn is_past(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.noted) >= FORGET_PLANNING_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(worker: &str, waiting_for: Option<&str>, since: u64) -> WorkerReport {
        WorkerReport {
            worker: worker.into(),
            model: ModelName::new("m").unwrap(),
            waiting_for: waiting_for.map(Into::into),
            since: Timestamp(since),
            in_hand: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_waits_only_when_every_worker_of_its_model_waits() {
        let (waiting, model) = (Waiting::default(), ModelName::new("m").unwrap());
        assert_eq!(
            waiting.workers_wait_for(&model, Instant::now()),
            None,
            "nobody was heard of"
        );
        waiting.heard(report("a", Some("the index"), 5), Instant::now());
        assert_eq!(
            waiting.workers_wait_for(&model, Instant::now()),
            Some(("the index".into(), Timestamp(5)))
        );
        waiting.heard(report("b", None, 6), Instant::now());
        assert_eq!(waiting.workers_wait_for(&model, Instant::now()), None, "b goes on");
        assert_eq!(
            waiting.workers_wait_for(&ModelName::new("n").unwrap(), Instant::now()),
            None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_workers_of_a_model_have_in_hand_is_summed_until_they_are_not_heard_of_any_more() {
        let (waiting, model) = (Waiting::default(), ModelName::new("m").unwrap());
        let having = |worker, in_hand| WorkerReport {
            in_hand,
            ..report(worker, None, 5)
        };
        for (worker, in_hand) in [("a", Some(9)), ("b", Some(2)), ("b", Some(3)), ("older", None)] {
            waiting.heard(having(worker, in_hand), Instant::now());
        }
        assert_eq!(waiting.shards_in_hand(&model, Instant::now()), 12);
        let other = ModelName::new("n").unwrap();
        assert_eq!(waiting.shards_in_hand(&other, Instant::now()), 0);
        tokio::time::advance(FORGET_AFTER).await;
        assert_eq!(waiting.shards_in_hand(&model, Instant::now()), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_says_more_than_one_can_have_in_hand_counts_for_as_many_as_one_can() {
        let (waiting, model) = (Waiting::default(), ModelName::new("m").unwrap());
        for (worker, shards) in [("sound", 9), ("broken", u16::MAX)] {
            let report = WorkerReport {
                in_hand: Some(shards),
                ..report(worker, None, 5)
            };
            waiting.heard(report, Instant::now());
        }
        assert_eq!(waiting.shards_in_hand(&model, Instant::now()), 9 + 64);
    }

    #[tokio::test(start_paused = true)]
    async fn planning_waits_since_it_first_did_whatever_the_words_are_until_it_goes_on() {
        let (waiting, run) = (Waiting::default(), RunId::of_request("a", "b"));
        waiting.planning(&run, Some("the store".into()), Timestamp(5));
        waiting.planning(&run, Some("the broker".into()), Timestamp(9));
        assert_eq!(
            waiting.planning_waits_for(&run, Instant::now()),
            Some(("the broker".into(), Timestamp(5)))
        );
        waiting.planning(&run, None, Timestamp(10));
        assert_eq!(waiting.planning_waits_for(&run, Instant::now()), None);
        waiting.planning(&run, Some("the store".into()), Timestamp(11));
        assert_eq!(
            waiting.planning_waits_for(&run, Instant::now()),
            Some(("the store".into(), Timestamp(11)))
        );
        // Another coordinator has taken the link since.
        tokio::time::advance(FORGET_PLANNING_AFTER).await;
        assert_eq!(waiting.planning_waits_for(&run, Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_is_not_heard_of_any_more_is_forgotten() {
        let (waiting, model) = (Waiting::default(), ModelName::new("m").unwrap());
        waiting.heard(report("a", Some("the index"), 5), Instant::now());
        tokio::time::advance(FORGET_AFTER).await;
        assert_eq!(waiting.workers_wait_for(&model, Instant::now()), None);
    }
}
