//! What can go wrong while telemetry starts, stops or takes a new metric.

use std::time::Duration;

/// Telemetry could not be started or stopped. None of these is cured by trying again.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter does not parse.
    #[error("cannot read the log filter {filter:?}: {reason} (an example: \"info,sightline_worker=debug\")")]
    LogFilter {
        /// As configured.
        filter: String,
        /// What the parser said.
        reason: String,
    },
    /// The share of traces is no share.
    #[error("the share of traces to record is {0}: it must lie in [0, 1]")]
    TraceRatio(f64),
    /// The exporter of traces could not be made.
    #[error("cannot export traces to {endpoint:?}: {reason}; give an endpoint such as \"http://127.0.0.1:4317\"")]
    Exporter {
        /// As configured.
        endpoint: String,
        /// What the exporter said.
        reason: String,
    },
    /// Another subscriber is already installed in this process.
    #[error("cannot install the log subscriber: this process has one already")]
    AlreadyInstalled,
    /// The last spans were not all exported.
    #[error("could not export the last spans within {limit:?}: {reason}")]
    Flush {
        /// The limit that was given.
        limit: Duration,
        /// What the exporter said.
        reason: String,
    },
}

/// A metric could not be registered: a mistake in the code that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The name breaks the convention.
    #[error("cannot register the metric {name:?}: {rule}")]
    Name {
        /// The name as asked for.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The name is taken by a metric of another type.
    #[error("cannot register the metric {0:?}: the name is taken by a metric of another type")]
    Taken(String),
}
