//! The block of logs and traces.

use super::problems::Problems;
use super::secret::{Secret, SecretUrl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_telemetry::{LogFormat, Options, OtlpHeaders, OtlpOptions, PairsError, ServiceIdentity};
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
    /// Headers that are sent to that collector with every export, `name=value,name=value` with percent-encoded values: a
    /// token mostly.
    pub otlp_headers: Secret,
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
            otlp_headers: Secret::default(),
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
        if let Err(error) = self.headers() {
            problems.note("otlp_headers", error.to_string());
        }
        for (key, wanted) in [
            ("otlp_headers", !self.otlp_headers.is_empty()),
            ("otlp_logs", self.otlp_logs),
            ("otlp_metrics", self.otlp_metrics),
        ] {
            if wanted && self.otlp_endpoint.is_none() {
                problems.note(key, "needs otlp_endpoint: it says where they are sent");
            }
        }
        if self.otlp_timeout_seconds == 0 {
            problems.note("otlp_timeout_seconds", "must be at least 1");
        }
    }

    fn headers(&self) -> Result<OtlpHeaders, PairsError> {
        OtlpHeaders::parse(self.otlp_headers.expose())
    }

    /// What telemetry is started with.
    #[must_use]
    pub fn options(&self, service: ServiceIdentity, colour: bool) -> Options {
        let timeout = Duration::from_secs(self.otlp_timeout_seconds);
        let otlp = self.otlp_endpoint.as_ref().map(|url| OtlpOptions {
            endpoint: url.expose().to_string(),
            // Checked before: what is wrong with them was told.
            headers: self.headers().unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_exports_are_hidden_and_what_is_wrong_with_them_is_told_without_them() {
        let given = |headers: &str| TelemetryConfig {
            otlp_endpoint: Some(SecretUrl::parse("https://collector:4317").unwrap()),
            otlp_headers: Secret::new(headers),
            ..TelemetryConfig::default()
        };
        let problems = |config: &TelemetryConfig| {
            let mut problems = Problems::default();
            config.check(&mut problems);
            problems.into_vec()
        };
        let config = given("authorization=hunter2");
        assert!(problems(&config).is_empty());
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        let wrong = problems(&given("hunter2"));
        assert_eq!((wrong.len(), wrong[0].key.as_str()), (1, "otlp_headers"));
        assert!(!wrong[0].message.contains("hunter2"), "{wrong:?}");
        let nowhere = TelemetryConfig {
            otlp_endpoint: None,
            ..config
        };
        assert!(problems(&nowhere)[0].message.contains("needs otlp_endpoint"));
    }
}
