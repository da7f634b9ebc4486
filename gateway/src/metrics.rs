//! What the gateway counts.

use sightline_telemetry::metric::{Counter, EncodeLabelSet, Histogram, exponential_buckets};
use sightline_telemetry::{HistogramFamily, Metrics, MetricsError};
use std::fmt;
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SearchLabels {
    /// `ok`, `cancelled`, or the status's name in lower case.
    outcome: &'static str,
    /// Fields that were searched; 0 where the search failed before.
    legs: u8,
}

/// What the gateway counts.
#[derive(Clone)]
pub(crate) struct GatewayMetrics {
    search_seconds: HistogramFamily<SearchLabels>,
    search_depth: Histogram,
    failed_thumbnails: Counter,
    known_vectors: Counter,
    encoded_vectors: Counter,
}

impl fmt::Debug for GatewayMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayMetrics")
    }
}

impl GatewayMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            search_seconds: metrics.histograms(
                "gateway_search_seconds",
                "Time of searches",
                exponential_buckets(0.001, 2.0, 16),
            )?,
            search_depth: metrics.histogram(
                "gateway_search_depth_rows",
                "Depth to which the legs of a search were read",
                exponential_buckets(100.0, 4.0, 5),
            )?,
            known_vectors: metrics.counter(
                "gateway_known_query_vectors",
                "Pictures and texts of queries whose vectors were known",
            )?,
            encoded_vectors: metrics.counter(
                "gateway_encoded_query_vectors",
                "Pictures and texts of queries that were encoded",
            )?,
            failed_thumbnails: metrics.counter("gateway_failed_thumbnails", "Thumbnails that could not be made")?,
        })
    }

    /// Begins the clock of a search. One that is dropped before its end was cancelled by its caller.
    pub(crate) fn start_search(&self) -> SearchClock {
        SearchClock {
            metrics: self.clone(),
            start: Instant::now(),
            labels: SearchLabels {
                outcome: "cancelled",
                legs: 0,
            },
        }
    }

    /// A query's picture or text is needed as a vector.
    pub(crate) fn query_vector(&self, known: bool) {
        if known {
            self.known_vectors.inc();
        } else {
            self.encoded_vectors.inc();
        }
    }

    pub(crate) fn thumbnail_failed(&self) {
        self.failed_thumbnails.inc();
    }
}

/// The clock of one search.
#[derive(Debug)]
pub(crate) struct SearchClock {
    metrics: GatewayMetrics,
    start: Instant,
    labels: SearchLabels,
}

impl SearchClock {
    pub(crate) fn searched(&mut self, legs: usize, depth: usize) {
        self.labels.legs = u8::try_from(legs).unwrap_or(u8::MAX);
        self.metrics
            .search_depth
            .observe(f64::from(u32::try_from(depth).unwrap_or(u32::MAX)));
    }

    pub(crate) fn finish(mut self, outcome: &'static str) {
        self.labels.outcome = outcome;
    }
}

impl Drop for SearchClock {
    fn drop(&mut self) {
        self.metrics
            .search_seconds
            .observe(&self.labels, self.start.elapsed().as_secs_f64());
    }
}
