//! Runs that are under way, among the coordinator's metrics: what it read of each last. They go when their run has
//! ended, so that there are as many series as runs under way, and not as many as there ever were.
//!
//! Every coordinator shows the runs that it reads, which it does for other reasons: nothing is read for this.

use crate::progress::RunProgress;
use sightline_core::{OutcomeCounts, RunDocument, RunId};
use sightline_telemetry::metric::{EncodeLabelSet, Family, Gauge, LabelText};
use sightline_telemetry::{Metrics, MetricsError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a run is shown that has ended, and one that was not read again, since another coordinator saw its end: long
/// enough for a scrape or two to see the last numbers.
const SHOWN_FOR: Duration = Duration::from_secs(120);
/// Runs that are shown at once, five series each; those beyond are shown when others have gone.
const MOST_RUNS: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    run: LabelText,
    dataset: LabelText,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabels {
    run: LabelText,
    dataset: LabelText,
    outcome: &'static str,
}

impl RunLabels {
    fn of(document: &RunDocument) -> Self {
        Self {
            run: document.run.as_str().into(),
            dataset: document.spec.dataset.name.as_str().into(),
        }
    }

    fn with(&self, outcome: &'static str) -> ItemLabels {
        ItemLabels {
            run: self.run.clone(),
            dataset: self.dataset.clone(),
            outcome,
        }
    }
}

/// A run that is shown.
#[derive(Debug)]
struct Shown {
    labels: RunLabels,
    /// When it was read last, or was seen to have ended.
    at: Instant,
    ended: bool,
}

/// The series of runs.
#[derive(Debug, Clone)]
pub(crate) struct RunMeters {
    planned: Family<RunLabels, Gauge>,
    items: Family<ItemLabels, Gauge>,
    shown: Arc<Mutex<HashMap<RunId, Shown>>>,
}

impl RunMeters {
    /// Registers the series.
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            planned: metrics.gauges(
                "coordinator_run_planned_items",
                "Items of a run under way, planned so far",
            )?,
            items: metrics.gauges(
                "coordinator_run_items",
                "Items of a run under way that ended, by outcome",
            )?,
            shown: Arc::default(),
        })
    }

    /// Shows a run as it stands. One that had ended before it was ever shown is not.
    pub(crate) fn note(&self, progress: &RunProgress, now: Instant) {
        self.forget(now);
        let document = progress.document.as_ref();
        let labels = RunLabels::of(document);
        let ended = progress.state().is_final();
        let mut shown = self.shown();
        if let Some(known) = shown.get_mut(&document.run) {
            if known.ended {
                return;
            }
            known.at = now;
            known.ended = ended;
        } else if ended || shown.len() >= MOST_RUNS {
            return;
        } else {
            let labels = labels.clone();
            let at = now;
            shown.insert(document.run.clone(), Shown { labels, at, ended });
        }
        let planned = gauge(progress.planned_items());
        self.planned.get_or_create(&labels).set(planned);
        for (outcome, items) in by_outcome(progress.counts()) {
            self.items.get_or_create(&labels.with(outcome)).set(gauge(items));
        }
    }

    /// Takes away what ended, or was read last, too long ago to be shown.
    pub(crate) fn forget(&self, now: Instant) {
        self.shown().retain(|_, shown| {
            let stays = now.saturating_duration_since(shown.at) < SHOWN_FOR;
            if !stays {
                self.planned.remove(&shown.labels);
                for (outcome, _) in by_outcome(OutcomeCounts::default()) {
                    self.items.remove(&shown.labels.with(outcome));
                }
            }
            stays
        });
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<RunId, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_outcome(counts: OutcomeCounts) -> [(&'static str, u64); 4] {
    [
        ("indexed", counts.indexed),
        ("unchanged", counts.unchanged),
        ("skipped", counts.skipped),
        ("failed", counts.failed),
    ]
}

fn gauge(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::document::Document;
    use sightline_core::{Link, PlanNode, PlannedShard, ShardId, StopDocument, StopReason, Timestamp};

    /// A run of which so many items are planned.
    fn run(request: &str, items: u32) -> RunProgress {
        let frozen = include_bytes!("../../crates/core/tests/frozen/run-v1.json");
        let mut document = RunDocument::from_bytes(frozen).unwrap();
        document.run = RunId::of_request("test", request);
        let root = PlanNode {
            run: document.run.clone(),
            link: Link::default(),
            shards: vec![PlannedShard {
                id: ShardId::of_manifest(request.as_bytes()),
                items,
                bytes: 1,
            }],
            children: Vec::new(),
            next: None,
        };
        let mut progress = RunProgress::new(Arc::new(document));
        assert!(progress.add_node("d".into(), &root));
        progress
    }

    fn stopped(progress: &RunProgress) -> RunProgress {
        let stop = StopDocument {
            run: progress.document.run.clone(),
            reason: StopReason::Cancelled,
            message: "m".into(),
            stopped_at: Timestamp(1),
        };
        let mut stopped = progress.clone();
        stopped.stop = Some(stop);
        stopped
    }

    /// The lines of runs in a scrape.
    fn lines(metrics: &Metrics) -> Vec<String> {
        let of_runs = |line: &&str| line.starts_with("sightline_coordinator_run_");
        metrics.encode().lines().filter(of_runs).map(str::to_owned).collect()
    }

    #[test]
    fn a_run_is_shown_while_it_goes_on_and_for_a_while_after_its_end() {
        let metrics = Metrics::new("test", "1");
        let meters = RunMeters::new(&metrics).unwrap();
        let (start, progress) = (Instant::now(), run("a", 7));
        meters.note(&progress, start);
        let id = &progress.document.run;
        let planned = format!("sightline_coordinator_run_planned_items{{run=\"{id}\",dataset=\"stamps\"}} 7");
        assert!(lines(&metrics).contains(&planned), "{:?}", lines(&metrics));
        assert_eq!(lines(&metrics).len(), 5);
        let end = start + SHOWN_FOR * 3;
        meters.note(&progress, end - SHOWN_FOR / 2);
        meters.note(&stopped(&progress), end);
        // Who asks for it later does not keep it.
        meters.note(&stopped(&progress), end + SHOWN_FOR / 2);
        assert_eq!(lines(&metrics).len(), 5);
        meters.forget(end + SHOWN_FOR);
        assert!(lines(&metrics).is_empty());
        meters.note(&stopped(&progress), end + SHOWN_FOR);
        assert!(lines(&metrics).is_empty(), "it had ended");
    }

    #[test]
    fn a_run_that_another_coordinator_saw_the_end_of_goes_too() {
        let metrics = Metrics::new("test", "1");
        let meters = RunMeters::new(&metrics).unwrap();
        let start = Instant::now();
        meters.note(&run("a", 7), start);
        meters.note(&run("b", 7), start + SHOWN_FOR);
        let left = lines(&metrics);
        let other = run("b", 7).document.run.to_string();
        assert!(
            left.len() == 5 && left.iter().all(|line| line.contains(&other)),
            "{left:?}"
        );
    }

    #[test]
    fn no_more_runs_are_shown_than_were_meant() {
        let metrics = Metrics::new("test", "1");
        let meters = RunMeters::new(&metrics).unwrap();
        let start = Instant::now();
        for number in 0..=MOST_RUNS {
            meters.note(&run(&number.to_string(), 1), start);
        }
        assert_eq!(lines(&metrics).len(), MOST_RUNS * 5);
    }
}
