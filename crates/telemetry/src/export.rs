//! Spans and log events on their way to an OTLP collector.

use crate::error::TelemetryError;
use crate::pairs::OtlpHeaders;
use crate::telemetry::Options;
use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::time::Duration;

/// Where traces and logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpOptions {
    /// A collector's gRPC endpoint, `http://host:4317`, or `https://` for TLS with the system's roots.
    pub endpoint: String,
    /// What is sent with every export.
    pub headers: OtlpHeaders,
    /// The limit of one export.
    pub timeout: Duration,
    /// Whether log events are sent, too; they are written as lines anyway.
    pub logs: bool,
    /// Whether metrics are sent, too; they can be scraped anyway.
    pub metrics: bool,
}

/// A provider that samples and, where an endpoint is given, exports in batches.
///
/// Without an endpoint spans still get ids: logs name their trace, and a trace that began elsewhere goes on through
/// this process.
pub(crate) fn tracer_provider(options: &Options) -> Result<SdkTracerProvider, TelemetryError> {
    if !(0.0..=1.0).contains(&options.trace_ratio) {
        return Err(TelemetryError::TraceRatio(options.trace_ratio));
    }
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.trace_ratio)));
    let builder = SdkTracerProvider::builder()
        .with_resource(resource(options))
        .with_sampler(sampler);
    let Some(otlp) = &options.otlp else {
        return Ok(builder.build());
    };
    let exporter = to_collector(SpanExporter::builder().with_tonic(), otlp)
        .build()
        .map_err(|source| refused(otlp, &source))?;
    Ok(builder.with_batch_exporter(exporter).build())
}

/// A provider that exports log events in batches, where they are wanted.
pub(crate) fn logger_provider(options: &Options) -> Result<Option<SdkLoggerProvider>, TelemetryError> {
    let Some(otlp) = options.otlp.as_ref().filter(|otlp| otlp.logs) else {
        return Ok(None);
    };
    let exporter = to_collector(LogExporter::builder().with_tonic(), otlp)
        .build()
        .map_err(|source| refused(otlp, &source))?;
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource(options))
        .with_batch_exporter(exporter);
    Ok(Some(provider.build()))
}

/// An exporter that sends to the collector, in time.
fn to_collector<B: WithExportConfig + WithTonicConfig>(exporter: B, otlp: &OtlpOptions) -> B {
    let exporter = exporter.with_endpoint(&otlp.endpoint).with_timeout(otlp.timeout);
    let exporter = exporter.with_metadata(otlp.headers.metadata());
    match tls(otlp) {
        Some(tls) => exporter.with_tls_config(tls),
        None => exporter,
    }
}

/// How an `https://` endpoint is trusted: by the system's roots. The exporters' own default trusts no root at all.
pub(crate) fn tls(otlp: &OtlpOptions) -> Option<ClientTlsConfig> {
    let is_tls = otlp.endpoint.starts_with("https://");
    is_tls.then(|| ClientTlsConfig::new().with_enabled_roots())
}

/// Which process speaks.
fn resource(options: &Options) -> Resource {
    let attributes = options.service.resource().into_iter();
    let attributes = attributes.map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
    Resource::builder_empty().with_attributes(attributes).build()
}

pub(crate) fn refused(otlp: &OtlpOptions, source: &impl std::fmt::Display) -> TelemetryError {
    TelemetryError::Exporter {
        endpoint: otlp.endpoint.clone(),
        reason: source.to_string(),
    }
}
