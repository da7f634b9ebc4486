//! What the worker does at the moment, for people, for the API and for metrics.

use super::host::LoadedModel;
use super::load::LoadMeters;
use crate::ipc::{BatchSize, EngineLoad, IndexCallReport, StageReport};
use crate::journal::JournalStage;
use sightline_core::{Clock, Outcome, RunId, ShardId, StopReason, Timestamp};
use sightline_telemetry::metric::{Counter, EncodeLabelSet, Family, Gauge, Histogram, exponential_buckets};
use sightline_telemetry::{DbCall, DbClientMetrics, MessagingMetrics, Metrics, MetricsError, Processing};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Serving,
    Draining,
}

/// A shard in hand.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) run: RunId,
    pub(crate) shard: ShardId,
    pub(crate) items: u64,
    pub(crate) done: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    pub(crate) model: Option<LoadedModel>,
    pub(crate) stages: BTreeMap<JournalStage, StageReport>,
    pub(crate) load: EngineLoad,
    pub(crate) shards: BTreeMap<u64, Shard>,
    pub(crate) restarts: u64,
    pub(crate) last_suspects: Vec<String>,
    pub(crate) last_death: String,
    /// What it takes no shards for.
    pub(crate) waiting_for: Option<String>,
    pub(crate) waiting_since: Timestamp,
    engine_waits_since: Timestamp,
    /// Shards that it takes into its hands at once, once that is known.
    pub(crate) most_in_hand: Option<u16>,
    next_shard: u64,
    /// Busy time that is not a whole second yet, by stage.
    rest_us: BTreeMap<JournalStage, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

/// How items end.
const OUTCOMES: [&str; 4] = ["indexed", "unchanged", "skipped", "failed"];

struct Meters {
    items: Family<ItemLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    runs_stopped: Family<FailureLabels, Counter>,
    busy: Family<StageLabels, Counter>,
    in_flight: Family<StageLabels, Gauge>,
    load: LoadMeters,
    shards: Gauge,
    restarts: Counter,
    batches: Histogram,
    index: DbClientMetrics,
    messages: MessagingMetrics,
}

/// The status of a worker.
pub(crate) struct Status {
    pub(crate) worker: String,
    pub(crate) started_at: Timestamp,
    clock: Arc<dyn Clock>,
    snapshot: Mutex<Snapshot>,
    meters: Meters,
}

/// A shard is in hand until this is dropped.
pub(crate) struct InHand {
    status: Arc<Status>,
    number: u64,
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

impl Status {
    pub(crate) fn new(worker: String, clock: Arc<dyn Clock>, metrics: &Metrics) -> Result<Self, MetricsError> {
        let started_at = clock.now();
        let runs_stopped = metrics.counters(
            "worker_runs_stopped",
            "Runs that workers ended, since they can come to no good end, by why",
        )?;
        // Prometheus sees no increase where a series begins with 1.
        for reason in [
            StopReason::ModelMismatch,
            StopReason::CollectionMismatch,
            StopReason::DatasetUnreadable,
            StopReason::PreviewsUnwritable,
        ]
        .map(StopReason::as_str)
        {
            let _at_zero = runs_stopped.get_or_create(&FailureLabels { reason });
        }
        let items = metrics.counters("worker_items", "Items that ended, by outcome")?;
        for outcome in OUTCOMES {
            let _at_zero = items.get_or_create(&ItemLabels { outcome });
        }
        let meters = Meters {
            items,
            failures: metrics.counters("worker_failures", "Items that failed, by reason")?,
            runs_stopped,
            busy: metrics.counters(
                "worker_stage_busy_seconds",
                "Time spent in a stage, summed over its threads",
            )?,
            in_flight: metrics.gauges("worker_stage_items", "Items in a stage")?,
            load: LoadMeters::new(metrics)?,
            shards: metrics.gauge("worker_shards", "Shards in hand")?,
            restarts: metrics.counter("worker_engine_restarts", "Deaths of the engine")?,
            batches: metrics.histogram(
                "worker_batch_items",
                "Items in a batch of the model",
                exponential_buckets(1.0, 2.0, 11),
            )?,
            index: DbClientMetrics::new(metrics)?,
            messages: MessagingMetrics::new(metrics)?,
        };
        let snapshot = Snapshot {
            phase: Phase::Starting,
            model: None,
            stages: BTreeMap::new(),
            load: EngineLoad::default(),
            shards: BTreeMap::new(),
            restarts: 0,
            last_suspects: Vec::new(),
            last_death: String::new(),
            waiting_for: None,
            waiting_since: started_at,
            engine_waits_since: started_at,
            most_in_hand: None,
            next_shard: 0,
            rest_us: BTreeMap::new(),
        };
        Ok(Self {
            worker,
            started_at,
            clock,
            snapshot: Mutex::new(snapshot),
            meters,
        })
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn run_stopped(&self, reason: StopReason) {
        let reason = reason.as_str();
        self.meters.runs_stopped.get_or_create(&FailureLabels { reason }).inc();
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.read().phase = phase;
    }

    /// The worker begins to take shards, so many at once.
    pub(crate) fn serving(&self, most_in_hand: u16) {
        let mut snapshot = self.read();
        snapshot.phase = Phase::Serving;
        snapshot.most_in_hand = Some(most_in_hand);
    }

    pub(super) fn loaded(&self, model: &LoadedModel) {
        self.read().model = Some(model.clone());
    }

    /// Says what is waited for; answers whether that is news.
    pub(crate) fn waiting(&self, what: Option<String>) -> bool {
        let mut snapshot = self.read();
        if snapshot.waiting_for == what {
            return false;
        }
        snapshot.waiting_for = what;
        snapshot.waiting_since = self.clock.now();
        true
    }

    pub(super) fn engine_died(&self, cause: &str, suspects: Vec<String>) {
        let mut snapshot = self.read();
        snapshot.restarts += 1;
        cause.clone_into(&mut snapshot.last_death);
        snapshot.last_suspects = suspects;
        // A new engine counts from nothing.
        snapshot.stages.clear();
        snapshot.load = EngineLoad::default();
        drop(snapshot);
        self.meters.restarts.inc();
    }

    pub(super) fn stages(&self, stages: BTreeMap<JournalStage, StageReport>, batches: &[BatchSize], load: EngineLoad) {
        let mut snapshot = self.read();
        let devices = snapshot
            .model
            .as_ref()
            .map(|model| model.devices.clone())
            .unwrap_or_default();
        self.meters
            .load
            .observe((&snapshot.stages, &snapshot.load), (&stages, &load), &devices);
        for (stage, report) in &stages {
            let labels = StageLabels { stage: stage.as_str() };
            let before = snapshot.stages.get(stage).map_or(0, |before| before.busy_us);
            let rest = snapshot.rest_us.entry(*stage).or_default();
            *rest += report.busy_us.saturating_sub(before);
            self.meters.busy.get_or_create(&labels).inc_by(*rest / 1_000_000);
            *rest %= 1_000_000;
            let in_flight = i64::try_from(report.in_flight).unwrap_or(i64::MAX);
            self.meters.in_flight.get_or_create(&labels).set(in_flight);
        }
        if load.waiting_for.is_some() && snapshot.load.waiting_for.is_none() {
            snapshot.engine_waits_since = self.clock.now();
        }
        snapshot.stages = stages;
        snapshot.load = load;
        drop(snapshot);
        for batch in batches {
            for _ in 0..batch.batches {
                self.meters.batches.observe(f64::from(batch.items));
            }
        }
    }

    /// Begins the clock of a message that is worked on.
    pub(super) fn processing(&self, system: &'static str, queue: &str) -> Processing {
        self.meters.messages.processing(system, queue)
    }

    /// Counts calls that the engine made.
    pub(super) fn index_calls(&self, calls: &[IndexCallReport]) {
        for call in calls {
            self.meters.index.called(&DbCall {
                system: &call.system,
                operation: &call.operation,
                collection: call.collection.as_str(),
                error: call.error.as_deref(),
                took: Duration::from_micros(call.took_us),
            });
        }
    }

    /// Takes a shard in hand.
    pub(crate) fn take(self: &Arc<Self>, run: RunId, shard: ShardId, items: u64, done: Arc<AtomicU64>) -> InHand {
        let mut snapshot = self.read();
        snapshot.next_shard += 1;
        let number = snapshot.next_shard;
        snapshot.shards.insert(
            number,
            Shard {
                run,
                shard,
                items,
                done,
            },
        );
        drop(snapshot);
        self.meters.shards.inc();
        InHand {
            status: Arc::clone(self),
            number,
        }
    }

    /// Counts how an item ended.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        if let Outcome::Failed { reason, .. } = outcome {
            let reason = reason.as_str();
            self.meters.failures.get_or_create(&FailureLabels { reason }).inc();
        }
        let outcome = match outcome {
            Outcome::Indexed { .. } => "indexed",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Failed { .. } => "failed",
        };
        self.meters.items.get_or_create(&ItemLabels { outcome }).inc();
    }
}

impl Snapshot {
    /// What keeps the worker from going on, if anything does, and since when: it takes no shards, or its engine holds them.
    pub(crate) fn waits(&self) -> (Option<&str>, Timestamp) {
        match (&self.waiting_for, &self.load.waiting_for) {
            (None, Some(what)) => (Some(what.as_str()), self.engine_waits_since),
            (what, _) => (what.as_deref(), self.waiting_since),
        }
    }
}

impl Shard {
    /// Items that ended.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.status.read().shards.remove(&self.number);
        self.status.meters.shards.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::{CollectionName, SystemClock};

    #[test]
    fn what_the_engine_holds_items_for_is_told_where_the_worker_waits_for_nothing_itself() {
        let status = Status::new("w".into(), Arc::new(SystemClock), &Metrics::new("test", "1")).unwrap();
        let reported = |waiting_for: Option<&str>| {
            let load = EngineLoad {
                waiting_for: waiting_for.map(Into::into),
                ..EngineLoad::default()
            };
            status.stages(BTreeMap::new(), &[], load);
            status.read().waits().0.map(str::to_owned)
        };
        assert_eq!(reported(None), None);
        assert_eq!(reported(Some("the index")).as_deref(), Some("the index"));
        let since = status.read().waits().1;
        assert_eq!(reported(Some("the index, still")).as_deref(), Some("the index, still"));
        assert_eq!(status.read().waits().1, since);
        status.waiting(Some("the store".into()));
        assert_eq!(reported(Some("the index")).as_deref(), Some("the store"));
        status.waiting(None);
        status.engine_died("SIGKILL", vec![]);
        assert_eq!(status.read().waits().0, None);
    }

    #[test]
    fn calls_that_the_engine_told_of_are_counted_by_its_worker() {
        let metrics = Metrics::new("test", "1");
        let status = Status::new("w".into(), Arc::new(SystemClock), &metrics).unwrap();
        let call = IndexCallReport {
            system: "milvus".into(),
            operation: "upsert".into(),
            collection: CollectionName::new("stamps").unwrap(),
            error: None,
            took_us: 1500,
        };
        status.index_calls(&[call.clone(), call]);
        let of = r#"db_system_name="milvus",db_operation_name="upsert",db_collection_name="stamps""#;
        let line = format!("db_client_operation_duration_seconds_sum{{{of}}} 0.003\n");
        assert!(metrics.encode().contains(&line), "{}", metrics.encode());
    }
}
