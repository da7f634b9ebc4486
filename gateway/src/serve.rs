//! A gateway as a service: opens what the configuration names, serves, ends in order.

use crate::config::GatewayConfig;
use crate::gateway::{Gateway, Parts};
use sightline_core::IdError;
use sightline_encoding::{
    BatchingEncoder, EncodeError, Encoder, EncodingMetrics, ModelOpenError, RemoteConfigError, RemoteEncoder,
    RemoteOptions, RunnerModel,
};
use sightline_hub::HubError;
use sightline_index::{CallRecorder, IndexError, OpenOptions, VectorIndex};
use sightline_objects::Stores;
use sightline_proto::FILE_DESCRIPTOR_SET;
use sightline_service::grpc::{GrpcServer, GrpcServerError};
use sightline_service::{Context, counted};
use sightline_telemetry::{Condition, Metrics, MetricsError};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How often the index is asked whether it is there.
const INDEX_CHECK: Duration = Duration::from_secs(10);
/// First delay before an index or encoder that was away is opened again; it doubles each time.
const OPEN_RETRY: Duration = Duration::from_secs(1);
/// Longest delay before an index or encoder that was away is opened again.
const MAX_OPEN_RETRY: Duration = Duration::from_secs(30);

/// Why a gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayServeError {
    /// The index can never be used as it is configured.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The model cannot be used.
    #[error("cannot serve the model: {0}")]
    Model(#[from] ModelOpenError),
    /// The encoder's address cannot be used.
    #[error(transparent)]
    RemoteConfig(#[from] RemoteConfigError),
    /// The encoder can never be used as it is configured.
    #[error("cannot use the encoder (encoder.url): {0}")]
    Encoder(#[from] EncodeError),
    /// The model cannot be fetched.
    #[error("model.folder: {0}")]
    Hub(#[from] HubError),
    /// The model's name is none.
    #[error(transparent)]
    ModelName(#[from] IdError),
    /// The address cannot be taken.
    #[error("cannot listen on {address} (listen.address): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The server could not be built, or broke.
    #[error(transparent)]
    Server(#[from] GrpcServerError),
    /// A metric is taken by another type.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// The whole service: opens index, encoder and stores, binds the address and serves until it is asked to end.
///
/// An index or an encoder that is away at the start is waited for, and readiness says so.
///
/// # Errors
/// Where something can never be used as it is configured, or the server breaks.
pub async fn run(config: GatewayConfig, context: Context) -> Result<(), GatewayServeError> {
    let waiting = context.readiness.condition("index");
    let address = config.listen.address;
    let listen = |source| GatewayServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = config
        .index
        .url
        .as_ref()
        .map(|url| url.expose().to_string())
        .unwrap_or_default();
    let calls = counted::index_calls(&context.metrics)?;
    let opening = async {
        let index = open_index(&address, calls, &waiting).await?;
        let encoder = open_encoder(&config, &context).await?;
        Ok::<_, GatewayServeError>((index, encoder))
    };
    let Some(opened) = context.shutdown.run_until_cancelled(opening).await else {
        return Ok(());
    };
    let (index, encoder) = opened?;
    let parts = Parts {
        index,
        encoder,
        stores: Arc::new(Stores::new(config.stores())),
    };
    serve(&config, parts, listener, context, waiting).await
}

/// Serves with parts that others opened, until the context says to end. `index` is the condition that says whether the
/// index answers; it does not hold readiness any more.
///
/// # Errors
/// Where the server cannot be built, or breaks.
pub async fn serve(
    config: &GatewayConfig,
    parts: Parts,
    listener: TcpListener,
    context: Context,
    index: Condition,
) -> Result<(), GatewayServeError> {
    let gateway = Gateway::new(parts, config.limits(), &context.metrics)?;
    let server = GrpcServer::new(&config.grpc, &context.metrics, &context.readiness)?
        .with_tls_of(&config.listen)?
        .with_descriptors(FILE_DESCRIPTOR_SET);
    let server = gateway.add_to(server);
    let watching = watch_index(|| gateway.check_index(), &index);
    tokio::select! {
        result = server.serve(listener, context.shutdown, context.drain) => Ok(result?),
        () = watching => Ok(()),
    }
}

/// Opens an index; waits where it is away. `calls` is told of those to its server.
async fn open_index(
    address: &str,
    calls: CallRecorder,
    waiting: &Condition,
) -> Result<Arc<dyn VectorIndex>, IndexError> {
    let options = OpenOptions {
        calls,
        ..OpenOptions::default()
    };
    let mut delay = OPEN_RETRY;
    loop {
        match sightline_index::open(address, &options).await {
            Ok(index) => return Ok(index),
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, retry_seconds = delay.as_secs_f64(), "waiting for the index");
                waiting.waiting(&error.to_string());
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(MAX_OPEN_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

async fn open_encoder(
    config: &GatewayConfig,
    context: &Context,
) -> Result<Option<Arc<dyn Encoder>>, GatewayServeError> {
    if let Some(options) = config.encoder.options(config.grpc.max_message_bytes)? {
        let waiting = context.readiness.condition("encoder");
        let encoder = connect_encoder(&options, &waiting).await?;
        tracing::info!(url = options.url, model = %encoder.description().model, "queries are encoded elsewhere");
        waiting.ready();
        return Ok(Some(Arc::new(encoder)));
    }
    let encoder = local_encoder(config, &context.metrics).await?;
    if encoder.is_none() {
        tracing::info!("no model is configured: only items and vectors can be searched with");
    }
    Ok(encoder)
}

/// Loads the configured model, if there is one, and gathers callers' inputs into its batches.
///
/// # Errors
/// When the model cannot be used.
pub async fn local_encoder(
    config: &GatewayConfig,
    metrics: &Metrics,
) -> Result<Option<Arc<dyn Encoder>>, GatewayServeError> {
    let Some(mut options) = config.model_options()? else {
        return Ok(None);
    };
    options.folder = config.hub.folder_of(&options.folder).await?;
    let metrics = EncodingMetrics::new(metrics)?;
    let model = RunnerModel::open(options).await?;
    let encoder = BatchingEncoder::start(model, &config.batching, metrics);
    tracing::info!(model = %encoder.description().model, "model loaded");
    Ok(Some(Arc::new(encoder)))
}

/// Connects to an encoder; waits where it is away.
async fn connect_encoder(options: &RemoteOptions, waiting: &Condition) -> Result<RemoteEncoder, EncodeError> {
    let mut delay = OPEN_RETRY;
    loop {
        match RemoteEncoder::connect(options.clone()).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, retry_seconds = delay.as_secs_f64(), "waiting for the encoder");
                waiting.waiting(&error.to_string());
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(MAX_OPEN_RETRY);
            }
            result => return result,
        }
    }
}

/// Tells, for ever, whether the index answers. A gateway stays ready without: all gateways lack the index at once, and
/// a caller is better off with UNAVAILABLE and the time to try again than with nobody to connect to.
async fn watch_index<F>(check: impl Fn() -> F, condition: &Condition)
where
    F: Future<Output = Result<(), IndexError>>,
{
    let mut ticks = tokio::time::interval(INDEX_CHECK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match check().await {
            Ok(()) => condition.ready(),
            Err(error) => {
                tracing::warn!(%error, "the index does not answer");
                condition.away(&error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_telemetry::{Readiness, ReadinessSnapshot};
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_gateway_stays_ready_while_its_index_is_away_and_says_what_it_lacks() {
        let readiness = Readiness::new();
        let condition = readiness.condition("index");
        assert!(!readiness.snapshot().is_ready(), "the index was never there");
        let away = AtomicBool::new(false);
        let check = || async {
            if away.load(Ordering::Relaxed) {
                return Err(IndexError::Unavailable {
                    action: "list",
                    message: "refused".into(),
                });
            }
            Ok(())
        };
        let mut changes = readiness.subscribe();
        let scenario = async {
            changes.wait_for(ReadinessSnapshot::is_ready).await.unwrap();
            away.store(true, Ordering::Relaxed);
            let lacking = changes.wait_for(|state| !state.away.is_empty()).await.unwrap().clone();
            assert!(lacking.is_ready());
            assert!(lacking.away["index"].contains("refused"), "{lacking:?}");
            away.store(false, Ordering::Relaxed);
            changes.wait_for(|state| state.away.is_empty()).await.unwrap();
        };
        tokio::select! {
            () = watch_index(check, &condition) => {}
            () = scenario => {}
        }
        assert!(readiness.snapshot().is_ready());
    }
}
