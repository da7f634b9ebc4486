//! The block of logs and traces.

use super::problems::Problems;
use super::secret::SecretUrl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_telemetry::{LogFormat, Options, OtlpOptions, ServiceIdentity};
use std::time::Duration;

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormatName {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What is logged: a level, and levels by module, as in `info,sightline_worker=debug`.
    pub log: String,
    /// How a log line looks.
    pub log_format: LogFormatName,
    /// The collector that traces are sent to over OTLP/gRPC, `http://host:4317`; none are sent without it.
    pub otlp_endpoint: Option<SecretUrl>,
    /// Whether log events are sent to that collector, too; they are written as lines anyway.
    pub otlp_logs: bool,
    /// Whether metrics are sent to that collector, too, each half minute; `/metrics` has them anyway.
    pub otlp_metrics: bool,
    /// The longest time of one export, in seconds.
    pub otlp_timeout_seconds: u64,
    /// The share of new traces that is recorded, in [0, 1].
    pub trace_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormatName::Text,
            otlp_endpoint: None,
            otlp_logs: false,
            otlp_metrics: false,
            otlp_timeout_seconds: 10,
            trace_ratio: 1.0,
        }
    }
}

impl TelemetryConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            problems.note("trace_ratio", "must lie in [0, 1]");
        }
        if self
            .otlp_endpoint
            .as_ref()
            .is_some_and(|endpoint| !matches!(endpoint.scheme(), "http" | "https"))
        {
            problems.note("otlp_endpoint", "must be an http:// or https:// URL");
        }
        for (key, wanted) in [("otlp_logs", self.otlp_logs), ("otlp_metrics", self.otlp_metrics)] {
            if wanted && self.otlp_endpoint.is_none() {
                problems.note(key, "needs otlp_endpoint: it says where they are sent");
            }
        }
        if self.otlp_timeout_seconds == 0 {
            problems.note("otlp_timeout_seconds", "must be at least 1");
        }
    }

    /// What telemetry is started with.
    #[must_use]
    pub fn options(&self, service: ServiceIdentity, colour: bool) -> Options {
        let timeout = Duration::from_secs(self.otlp_timeout_seconds);
        let otlp = self.otlp_endpoint.as_ref().map(|url| OtlpOptions {
            endpoint: url.expose().to_string(),
            timeout,
            logs: self.otlp_logs,
            metrics: self.otlp_metrics,
        });
        let log_format = match self.log_format {
            LogFormatName::Text => LogFormat::Text,
            LogFormatName::Json => LogFormat::Json,
        };
        Options {
            service,
            log_filter: self.log.clone(),
            log_format,
            colour,
            otlp,
            trace_ratio: self.trace_ratio,
        }
    }
}
