//! The coordinator's configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_service::ServiceConfig;
use sightline_service::config::{
    Config, GrpcConfig, IndexConfig, ListenConfig, ObservabilityConfig, Problems, QueueConfig, S3Config,
    ShutdownConfig, StateConfig, TelemetryConfig,
};

/// The port of a coordinator.
pub const DEFAULT_PORT: u16 = 7301;

/// The coordinator's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinatorConfig {
    /// Where it listens.
    pub listen: ListenConfig,
    /// Limits of its gRPC service.
    pub grpc: GrpcConfig,
    /// Where runs, plans and results lie.
    pub state: StateConfig,
    /// The broker.
    pub queue: QueueConfig,
    /// The index, for audits and repairs of runs; those are refused where it is not given.
    pub index: IndexConfig,
    /// How S3 is reached.
    pub s3: S3Config,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Metrics and probes.
    pub observability: ObservabilityConfig,
    /// The way out.
    pub shutdown: ShutdownConfig,
    /// Whether datasets may lie on this machine's disk (`file:` roots). Whoever may create runs can then have any
    /// file that this process may read listed.
    pub allow_file_datasets: bool,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            listen: ListenConfig::on_port(DEFAULT_PORT),
            grpc: GrpcConfig::default(),
            state: StateConfig::default(),
            queue: QueueConfig::default(),
            index: IndexConfig::default(),
            s3: S3Config::default(),
            telemetry: TelemetryConfig::default(),
            observability: ObservabilityConfig::default(),
            shutdown: ShutdownConfig::default(),
            allow_file_datasets: false,
        }
    }
}

impl Config for CoordinatorConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| self.listen.check(problems));
        problems.within("grpc", |problems| self.grpc.check(problems));
        problems.within("state", |problems| self.state.check(problems));
        problems.within("queue", |problems| self.queue.check(problems));
        if self.index.url.is_some() {
            problems.within("index", |problems| self.index.check(problems));
        }
        problems.within("s3", |problems| self.s3.check(problems));
        problems.within("telemetry", |problems| self.telemetry.check(problems));
        problems.within("observability", |problems| self.observability.check(problems));
    }
}

impl ServiceConfig for CoordinatorConfig {
    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn observability(&self) -> &ObservabilityConfig {
        &self.observability
    }

    fn shutdown(&self) -> &ShutdownConfig {
        &self.shutdown
    }
}
