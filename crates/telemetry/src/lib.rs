//! Logs, traces, metrics and probes of every Sightline process.
//!
//! Promises: one line a log event, with the fields of the spans around it (`run`, `shard`, `item`) and the id of its
//! trace, and the same events over OTLP where asked for; one trace across processes by W3C `traceparent` text; metrics without
//! globals, through a [`Metrics`] handle that is passed in, over OTLP too where asked for; calls, databases and messages by
//! the names that OpenTelemetry has for them; `/metrics`, `/livez` and `/readyz` on a listener of their own. Leaves to
//! others: reading the configuration and carrying `traceparent` in gRPC headers (`sightline-service`) and in messages
//! (`sightline-core`), and deciding what is worth a span or a metric.

mod db;
mod error;
mod export;
mod exposition;
mod http;
mod instruments;
mod label;
mod logs;
mod messaging;
mod metrics;
mod otlp_metrics;
mod otlp_names;
mod pairs;
mod readiness;
mod rpc;
mod telemetry;
mod traceparent;

pub use db::{DbCall, DbClientMetrics};
pub use error::{MetricsError, TelemetryError};
pub use export::OtlpOptions;
pub use http::ObservabilityServer;
pub use messaging::{MessagingMetrics, ProcessedMessage, Processing};
pub use metrics::{HistogramFamily, Labels, Metrics};
pub use otlp_metrics::MetricsExport;
pub use pairs::{OtlpHeaders, PairsError, resource_attributes};
pub use readiness::{Condition, Readiness, ReadinessSnapshot};
pub use rpc::{AnsweredCall, RpcServerMetrics};
pub use telemetry::{LogFormat, Options, ServiceIdentity, Telemetry};
pub use traceparent::{TraceparentExt, current_trace_id, current_traceparent};

/// The metric types that [`Metrics`] hands out. A crate that derives [`EncodeLabelSet`](metric::EncodeLabelSet) depends
/// on `prometheus-client` itself, whose name the derived code uses.
pub mod metric {
    pub use crate::label::LabelText;
    pub use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
    pub use prometheus_client::metrics::counter::Counter;
    pub use prometheus_client::metrics::family::Family;
    pub use prometheus_client::metrics::gauge::Gauge;
    pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

    /// A number that rises and falls, with a fraction: shares between 0 and 1.
    pub type Ratio = Gauge<f64, std::sync::atomic::AtomicU64>;
}
