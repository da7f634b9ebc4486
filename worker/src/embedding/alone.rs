//! `sightline-worker encoder`: a model and the `Embedding` service, and nothing else. It needs no broker and no index.

use super::EmbeddingConfig;
use crate::encoder::{devices_of, model_options};
use crate::settings::ModelSettings;
use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_encoding::{BatchingEncoder, EmbeddingService, Encoder, EncodingMetrics, RunnerModel};
use sightline_hub::HubConfig;
use sightline_service::config::{
    Config, GrpcConfig, ListenConfig, ObservabilityConfig, Problems, ShutdownConfig, TelemetryConfig,
};
use sightline_service::grpc::GrpcServer;
use sightline_service::{Context, ServiceConfig};
use std::sync::Arc;
use tokio::net::TcpListener;

/// The port of an encoder.
const DEFAULT_PORT: u16 = 7304;
/// Batches that may wait before the model's own thread: one is ready when another ends.
const WAITING_BATCHES: usize = 1;

/// The configuration of an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// Where it listens.
    pub listen: ListenConfig,
    /// Limits of its gRPC service.
    pub grpc: GrpcConfig,
    /// The model.
    pub model: ModelSettings,
    /// How a model named `hf:org/name[@revision]` is fetched.
    pub hub: HubConfig,
    /// How calls are answered; `enabled` is implied.
    pub embedding: EmbeddingConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Metrics and probes.
    pub observability: ObservabilityConfig,
    /// The way out.
    pub shutdown: ShutdownConfig,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            listen: ListenConfig::on_port(DEFAULT_PORT),
            grpc: GrpcConfig::default(),
            model: ModelSettings::default(),
            hub: HubConfig::default(),
            embedding: EmbeddingConfig {
                enabled: true,
                ..EmbeddingConfig::default()
            },
            telemetry: TelemetryConfig::default(),
            observability: ObservabilityConfig::default(),
            shutdown: ShutdownConfig::default(),
        }
    }
}

impl Config for EncoderConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| self.listen.check(problems));
        problems.within("grpc", |problems| self.grpc.check(problems));
        problems.within("model", |problems| self.model.check(problems));
        problems.within("hub", |problems| self.hub.check(problems));
        problems.within("embedding", |problems| {
            self.embedding.check(problems);
            if !self.embedding.enabled {
                problems.note("enabled", "is false, and an encoder does nothing else: leave it out");
            }
        });
        problems.within("telemetry", |problems| self.telemetry.check(problems));
        problems.within("observability", |problems| self.observability.check(problems));
    }
}

impl ServiceConfig for EncoderConfig {
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

/// Loads the model and answers calls until shutdown.
///
/// # Errors
/// When the model cannot be used, or the address cannot be taken.
pub async fn serve_encoder(mut config: EncoderConfig, context: Context) -> anyhow::Result<()> {
    let loading = context.readiness.condition("model");
    let address = config.listen.address;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (listen.address)"))?;
    let metrics = EncodingMetrics::new(&context.metrics)?;
    if let Some(given) = config.model.folder.take() {
        let folder = context.shutdown.run_until_cancelled(config.hub.folder_of(&given)).await;
        let Some(folder) = folder else {
            return Ok(());
        };
        config.model.folder = Some(folder.context("model.folder")?);
    }
    let model = config.model.engine().map_err(anyhow::Error::msg)?;
    let device = devices_of(&model).map_err(anyhow::Error::msg)?;
    let device = device.first().copied().unwrap_or_default();
    let options = model_options(&model, device, WAITING_BATCHES);
    let options = options.map_err(anyhow::Error::msg)?;
    let Some(model) = context.shutdown.run_until_cancelled(RunnerModel::open(options)).await else {
        return Ok(());
    };
    let model = model.context("cannot serve the model (model.folder)")?;
    let encoder = BatchingEncoder::start(model, &config.embedding.batching, metrics);
    tracing::info!(model = %encoder.description().model, "model loaded");
    loading.ready();
    let service = EmbeddingService::new(Some(Arc::new(encoder)), config.embedding.max_image_bytes);
    let server = GrpcServer::new(&config.grpc, &context.metrics, &context.readiness)?
        .with_tls_of(&config.listen)?
        .with_descriptors(sightline_proto::FILE_DESCRIPTOR_SET)
        .with_service(service.into_server(config.grpc.max_message_bytes));
    Ok(server.serve(listener, context.shutdown, context.drain).await?)
}
