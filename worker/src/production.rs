//! What the engine works with in production, opened from its configuration.

use crate::config::{DatasetsConfig, EngineConfig, EngineTelemetry};
use crate::encoder::FolderModel;
use crate::engine::{Datasets, EngineParts, OpenParts};
use crate::index_calls::UntoldCalls;
use crate::ipc::IndexCallReport;
use crate::model::NoModel;
use async_trait::async_trait;
use sightline_encoding::{BatchingEncoder, Encoder, EncodingMetrics};
use sightline_index::{CallRecorder, IndexError, VectorIndex};
use sightline_objects::{FileAccess, ObjectError, ObjectStore, S3Options, Stores};
use sightline_service::resource_attributes;
use sightline_telemetry::{LogFormat, Metrics, Options, OtlpHeaders, OtlpOptions, ServiceIdentity, Telemetry};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time for the last spans.
const FLUSH_LIMIT: Duration = Duration::from_millis(800);
/// Longest delay between two attempts to reach an index that is away.
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// Runs an engine on stdin and stdout: the hidden command `engine` of every program that starts workers.
#[must_use]
pub fn run_engine() -> ExitCode {
    crate::engine::run(&Production::default())
}

#[derive(Default)]
struct Production {
    telemetry: Mutex<Option<Telemetry>>,
    calls: UntoldCalls,
}

#[derive(Debug)]
struct ObjectRoots {
    stores: Stores,
    /// The operator's choice, so it may lie on this disk whatever datasets may.
    own: Stores,
    previews: Option<String>,
}

impl ObjectRoots {
    fn new(config: &DatasetsConfig) -> Self {
        let mut options = object_options(config);
        // The engine tries calls again by itself, within a budget (engine/tokens.rs); the library's attempts would multiply them.
        options.s3.max_attempts = 1;
        let own = sightline_objects::OpenOptions {
            files: FileAccess::Allowed,
            ..options.clone()
        };
        Self {
            stores: Stores::new(options),
            own: Stores::new(own),
            previews: config.previews.clone(),
        }
    }
}

#[async_trait]
impl Datasets for ObjectRoots {
    async fn open(&self, root: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        self.stores.open(root).await
    }

    async fn previews(&self, root: Option<&str>) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        match (root, &self.previews) {
            (Some(root), _) => self.stores.open(root).await,
            (None, Some(own)) => self.own.open_or_create(own).await,
            (None, None) => Err(ObjectError::Invalid {
                action: "open",
                key: String::new(),
                message: "this worker has no root for previews: name one in the run's specification".into(),
            }),
        }
    }
}

#[async_trait]
impl OpenParts for Production {
    async fn open(&self, config: &EngineConfig) -> Result<EngineParts, String> {
        let telemetry = start_telemetry(&config.telemetry)?;
        *self.telemetry.lock().unwrap_or_else(PoisonError::into_inner) = Some(telemetry);
        let model = match &config.model.folder {
            Some(_) => Some(FolderModel::load(&config.model).await?),
            None => None,
        };
        let index = open_index(&config.index, self.calls.recorder()).await;
        let index = index.map_err(|error| error.to_string())?;
        let shared = model.as_ref().map(FolderModel::shared);
        let encoder = config.embedding.as_ref().zip(shared).map(|(socket, shared)| {
            let counted = EncodingMetrics::new(&Metrics::new("sightline-worker-engine", env!("CARGO_PKG_VERSION")));
            let counted = counted.map_err(|error| error.to_string())?;
            let encoder = BatchingEncoder::start(shared, &socket.batching, counted);
            Ok::<_, String>(Arc::new(encoder) as Arc<dyn Encoder>)
        });
        Ok(EngineParts {
            encoder: encoder.transpose()?,
            model: match model {
                Some(model) => Arc::new(model),
                None => Arc::new(NoModel(config.model.name.clone())),
            },
            index,
            datasets: Arc::new(ObjectRoots::new(&config.datasets)),
        })
    }

    fn index_calls(&self) -> Vec<IndexCallReport> {
        self.calls.take()
    }

    async fn close(&self) {
        let telemetry = self.telemetry.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(telemetry) = telemetry
            && let Err(error) = telemetry.shutdown(FLUSH_LIMIT).await
        {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

/// Opens the index, however long its server is away. `calls` is told of those to the server.
///
/// # Errors
/// When the address can never work.
pub(crate) async fn open_index(address: &str, calls: CallRecorder) -> Result<Arc<dyn VectorIndex>, IndexError> {
    let options = sightline_index::OpenOptions {
        calls,
        ..sightline_index::OpenOptions::default()
    };
    let mut delay = Duration::from_secs(1);
    loop {
        match sightline_index::open(address, &options).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, ?delay, "waiting for the index");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(LONGEST_DELAY);
            }
            result => return result,
        }
    }
}

/// How datasets are opened.
pub(crate) fn object_options(config: &DatasetsConfig) -> sightline_objects::OpenOptions {
    sightline_objects::OpenOptions {
        files: if config.allow_files {
            FileAccess::Allowed
        } else {
            FileAccess::Refused
        },
        s3: S3Options {
            endpoint: config.s3_endpoint.clone(),
            path_style: config.s3_path_style,
            region: config.s3_region.clone(),
            ..S3Options::default()
        },
    }
}

fn start_telemetry(config: &EngineTelemetry) -> Result<Telemetry, String> {
    let timeout = Duration::from_secs(config.otlp_timeout_seconds);
    let headers = OtlpHeaders::parse(&config.otlp_headers).map_err(|error| error.to_string())?;
    let options = Options {
        service: ServiceIdentity {
            name: "sightline-worker-engine".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            instance: std::process::id().to_string(),
            attributes: resource_attributes().unwrap_or_default(),
        },
        log_filter: config.log.clone(),
        log_format: if config.json { LogFormat::Json } else { LogFormat::Text },
        colour: config.colour,
        otlp: config.otlp_endpoint.clone().map(|endpoint| OtlpOptions {
            endpoint,
            headers,
            timeout,
            logs: config.otlp_logs,
            // The supervisor counts, for its engine too.
            metrics: false,
        }),
        trace_ratio: config.trace_ratio,
    };
    let telemetry = Telemetry::new(&options, std::io::stderr).map_err(|error| error.to_string())?;
    telemetry.install().map_err(|error| error.to_string())?;
    Ok(telemetry)
}
