//! What a coordinator counts of its own doing. How runs stand is derived from objects: see `run_meters`.

use sightline_core::StopReason;
use sightline_core::message::queues;
use sightline_telemetry::metric::{Counter, EncodeLabelSet, Family};
use sightline_telemetry::{MessagingMetrics, Metrics, MetricsError, Processing};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LinkLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StopLabels {
    reason: &'static str,
}

/// Why coordinators stop runs; workers have other reasons.
const STOPS: [StopReason; 4] = [
    StopReason::Cancelled,
    StopReason::TooManyFailures,
    StopReason::DatasetUnreadable,
    StopReason::MirrorRefused,
];

/// The coordinator's series.
#[derive(Debug, Clone)]
pub(crate) struct CoordinatorMetrics {
    runs_created: Counter,
    runs_stopped: Family<StopLabels, Counter>,
    links: Family<LinkLabels, Counter>,
    letters: Family<LinkLabels, Counter>,
    messages: MessagingMetrics,
}

impl CoordinatorMetrics {
    /// Registers the series.
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let runs_stopped = metrics.counters(
            "coordinator_runs_stopped",
            "Runs that coordinators ended before their end, by why",
        )?;
        // Prometheus sees no increase where a series begins with 1.
        for reason in STOPS.map(StopReason::as_str) {
            let _at_zero = runs_stopped.get_or_create(&StopLabels { reason });
        }
        Ok(Self {
            runs_stopped,
            runs_created: metrics.counter("coordinator_runs_created", "Requests that created or found a run")?,
            links: metrics.counters("coordinator_links", "Planning links taken, by what became of them")?,
            letters: metrics.counters(
                "coordinator_dead_letters",
                "Shards looked at in the dead letters, by what became of them",
            )?,
            messages: MessagingMetrics::new(metrics)?,
        })
    }

    pub(crate) fn run_created(&self) {
        self.runs_created.inc();
    }

    pub(crate) fn run_stopped(&self, reason: StopReason) {
        let reason = reason.as_str();
        self.runs_stopped.get_or_create(&StopLabels { reason }).inc();
    }

    /// One of `followed`, `window_full`, `waiting`, `dataset_unreadable`, `handed_back`, `dead_lettered`.
    pub(crate) fn link(&self, outcome: &'static str) {
        self.links.get_or_create(&LinkLabels { outcome }).inc();
    }

    /// Begins the clock of a link that is followed.
    pub(crate) fn processing(&self, system: &'static str) -> Processing {
        self.messages.processing(system, queues::PLAN)
    }

    /// One of `settled`, `open`, `stays`.
    pub(crate) fn letter(&self, outcome: &'static str) {
        self.letters.get_or_create(&LinkLabels { outcome }).inc();
    }
}
