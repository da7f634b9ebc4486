//! What encoders count.

use sightline_telemetry::metric::{Counter, EncodeLabelSet, Family, Gauge, exponential_buckets};
use sightline_telemetry::{HistogramFamily, Metrics, MetricsError};
use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    /// `image` or `text`.
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    /// `inputs` or `bytes`.
    limit: &'static str,
}

/// What encoders count.
#[derive(Clone)]
pub struct EncodingMetrics {
    batch_inputs: HistogramFamily<KindLabels>,
    wait_seconds: HistogramFamily<KindLabels>,
    waiting_inputs: Gauge,
    refused_calls: Family<LimitLabels, Counter>,
    abandoned_inputs: Counter,
}

impl fmt::Debug for EncodingMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodingMetrics")
    }
}

impl EncodingMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Where a name is taken by another type.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            batch_inputs: metrics.histograms(
                "embedding_batch_inputs",
                "Inputs of a batch",
                exponential_buckets(1.0, 2.0, 10),
            )?,
            wait_seconds: metrics.histograms(
                "embedding_wait_seconds",
                "Time that an input waited for its batch",
                exponential_buckets(0.0005, 2.0, 16),
            )?,
            waiting_inputs: metrics.gauge("embedding_waiting_inputs", "Inputs that are encoded or wait")?,
            refused_calls: metrics.counters(
                "embedding_refused_calls",
                "Calls that were refused because too much waited",
            )?,
            abandoned_inputs: metrics.counter(
                "embedding_abandoned_inputs",
                "Inputs whose callers went away before their batch",
            )?,
        })
    }

    pub(crate) fn batch(&self, kind: &'static str, waits: impl Iterator<Item = Duration>) {
        let labels = KindLabels { kind };
        let mut inputs = 0_u32;
        for wait in waits {
            inputs += 1;
            self.wait_seconds.observe(&labels, wait.as_secs_f64());
        }
        self.batch_inputs.observe(&labels, f64::from(inputs));
    }

    pub(crate) fn abandoned(&self, inputs: u64) {
        self.abandoned_inputs.inc_by(inputs);
    }

    pub(crate) fn refused(&self, limit: &'static str) {
        self.refused_calls.get_or_create(&LimitLabels { limit }).inc();
    }

    pub(crate) fn waiting(&self, inputs: usize) {
        self.waiting_inputs.set(i64::try_from(inputs).unwrap_or(i64::MAX));
    }
}
