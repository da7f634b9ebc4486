//! Start and stop of logs and traces.

use crate::error::TelemetryError;
use crate::export::{OtlpOptions, logger_provider, tracer_provider};
use crate::logs::JsonLines;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::dispatcher::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line; the fields of the spans around an event stand beside the event's own.
    Json,
}

/// Which process speaks: the attributes of every span it exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// `service.name`: `sightline-worker`, say.
    pub name: String,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`: differs between two processes of one service.
    pub instance: String,
    /// Further attributes, as `OTEL_RESOURCE_ATTRIBUTES` has them: the pod, the environment. Those above win.
    pub attributes: Vec<(String, String)>,
}

impl ServiceIdentity {
    /// All attributes, by their names.
    pub(crate) fn resource(&self) -> BTreeMap<&str, &str> {
        let further = self
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let own = [
            ("service.namespace", "sightline"),
            ("service.name", self.name.as_str()),
            ("service.version", self.version.as_str()),
            ("service.instance.id", self.instance.as_str()),
        ];
        further.chain(own).collect()
    }
}

/// How logs and traces are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which process speaks.
    pub service: ServiceIdentity,
    /// What is logged, in the directives of `EnvFilter`: `info,sightline_worker=debug`.
    pub log_filter: String,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// Whether text lines are coloured.
    pub colour: bool,
    /// Where traces go; `None` exports nothing.
    pub otlp: Option<OtlpOptions>,
    /// The share of new traces that is recorded, in [0, 1]. A trace that began elsewhere keeps its decision.
    pub trace_ratio: f64,
}

/// The running logs and traces of a process.
#[derive(Debug)]
pub struct Telemetry {
    dispatch: Dispatch,
    provider: SdkTracerProvider,
    logs: Option<SdkLoggerProvider>,
}

/// Fields of the spans around an event that go to a collector with it; lines have all.
const SPAN_FIELDS: [&str; 5] = ["run", "shard", "attempt", "redeliveries", "rpc.method"];
/// Whose events are about the export itself: to export them would make more of them.
const EXPORTERS: [&str; 6] = ["opentelemetry", "tonic", "h2", "hyper", "tower", "reqwest"];

impl Telemetry {
    /// Starts telemetry that writes log lines to `writer`. Nothing is recorded before [`Telemetry::install`] or
    /// outside a scope of [`Telemetry::dispatch`].
    ///
    /// With an endpoint for traces it has to be called inside a tokio runtime, which has to live until
    /// [`Telemetry::shutdown`] returns.
    ///
    /// # Errors
    /// Where the filter, the share or the endpoint is malformed. An endpoint that does not answer is no error: spans
    /// are dropped, and the log says so.
    pub fn new<W>(options: &Options, writer: W) -> Result<Self, TelemetryError>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let provider = tracer_provider(options)?;
        let traces = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("sightline"))
            .with_filter(Targets::new().with_target("sightline", LevelFilter::INFO));
        // The log layer must know our spans even where their level is not logged, or a warning would lose its run.
        let filter = log_filter(&options.log_filter)?.or(filter_fn(is_context));
        let own_dispatch = Arc::new(OnceLock::new());
        let log = tracing_subscriber::fmt::layer().with_writer(writer);
        let logs = match options.log_format {
            LogFormat::Text => log.with_ansi(options.colour).boxed(),
            LogFormat::Json => {
                let lines = JsonLines::new(Arc::clone(&own_dispatch));
                log.fmt_fields(JsonFields::new()).event_format(lines).boxed()
            }
        };
        let exported = logger_provider(options)?;
        let export = exported.as_ref().map(|provider| {
            let fields = TracingSpanAttributes::allowlist(SPAN_FIELDS);
            OpenTelemetryTracingBridge::builder(provider)
                .with_tracing_span_attributes(fields)
                .build()
        });
        // The same events as the lines, and the spans that they lie in.
        let wanted = log_filter(&options.log_filter)?
            .or(filter_fn(is_context))
            .and(filter_fn(is_not_of_exporters));
        let layers = Registry::default()
            .with(traces)
            .with(logs.with_filter(filter))
            .with(export.with_filter(wanted));
        let dispatch = Dispatch::new(layers);
        own_dispatch.get_or_init(|| dispatch.downgrade());
        Ok(Self {
            dispatch,
            provider,
            logs: exported,
        })
    }

    /// What records: for a scope of its own (`tracing::dispatcher::with_default`, `WithSubscriber`).
    #[must_use]
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Makes this the telemetry of the whole process. For mains: a process has one.
    ///
    /// # Errors
    /// Where the process has one already.
    pub fn install(&self) -> Result<(), TelemetryError> {
        tracing::dispatcher::set_global_default(self.dispatch.clone()).map_err(|_| TelemetryError::AlreadyInstalled)
    }

    /// Exports what is still held back of spans and log events, for at most `limit`, and stops exporting. Logs go on.
    ///
    /// # Errors
    /// Where some were lost because the collector did not take them in time.
    pub async fn shutdown(self, limit: Duration) -> Result<(), TelemetryError> {
        let (provider, logs) = (self.provider.clone(), self.logs.clone());
        let flush = |reason: String| TelemetryError::Flush { limit, reason };
        // The provider's shutdown blocks on its own thread's answer.
        let stopping = tokio::task::spawn_blocking(move || {
            let ended = provider.shutdown_with_timeout(limit);
            logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(limit)).and(ended)
        });
        match tokio::time::timeout(limit, stopping).await {
            Ok(Ok(result)) => result.map_err(|source| flush(source.to_string())),
            Ok(Err(join)) => Err(flush(join.to_string())),
            Err(_) => Err(flush("the collector did not answer in time".to_owned())),
        }
    }
}

fn log_filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(directives)
        .map_err(|source| TelemetryError::LogFilter {
            filter: directives.to_owned(),
            reason: source.to_string(),
        })
}

fn is_not_of_exporters(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    !EXPORTERS.contains(&root) && !root.starts_with("opentelemetry")
}

fn is_context(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("sightline") && *metadata.level() <= Level::INFO
}
