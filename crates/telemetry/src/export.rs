//! Spans on their way to an OTLP collector.

use crate::error::TelemetryError;
use crate::telemetry::Options;
use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::time::Duration;

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpOptions {
    /// A collector's gRPC endpoint, `http://host:4317`, or `https://` for TLS with the system's roots.
    pub endpoint: String,
    /// The limit of one export.
    pub timeout: Duration,
}

/// A provider that samples and, where an endpoint is given, exports in batches.
///
/// Without an endpoint spans still get ids: logs name their trace, and a trace that began elsewhere goes on through
/// this process.
pub(crate) fn tracer_provider(options: &Options) -> Result<SdkTracerProvider, TelemetryError> {
    if !(0.0..=1.0).contains(&options.trace_ratio) {
        return Err(TelemetryError::TraceRatio(options.trace_ratio));
    }
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", options.service.name.clone()),
            KeyValue::new("service.version", options.service.version.clone()),
            KeyValue::new("service.instance.id", options.service.instance.clone()),
        ])
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.trace_ratio)));
    let builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampler);
    let Some(otlp) = &options.otlp else {
        return Ok(builder.build());
    };
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&otlp.endpoint)
        .with_timeout(otlp.timeout);
    if otlp.endpoint.starts_with("https://") {
        // The exporter's own default for TLS trusts no root at all.
        exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    let exporter = exporter.build().map_err(|source| TelemetryError::Exporter {
        endpoint: otlp.endpoint.clone(),
        reason: source.to_string(),
    })?;
    Ok(builder.with_batch_exporter(exporter).build())
}
