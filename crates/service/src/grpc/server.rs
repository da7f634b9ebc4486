//! The server that every service is offered by.

use super::incoming::accept;
use super::limit::InFlightLayer;
use super::methods::Methods;
use super::trace::{CallLayer, CallMetrics};
use crate::config::{GrpcConfig, ListenConfig};
use sightline_telemetry::{Metrics, MetricsError, Readiness};
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_web::GrpcWebLayer;

/// A gRPC server could not be built, or broke.
#[derive(Debug, thiserror::Error)]
pub enum GrpcServerError {
    /// A file of TLS cannot be read.
    #[error("cannot read {key} from {}: {source}", path.display())]
    TlsFile {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate and key make no TLS server.
    #[error("cannot serve TLS with the configured certificate and key")]
    Tls(#[source] tonic::transport::Error),
    /// The descriptors of the protos are broken.
    #[error("cannot offer reflection: {0}")]
    Descriptors(String),
    /// A metric is taken by another type.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The transport broke.
    #[error("the gRPC server broke")]
    Transport(#[source] tonic::transport::Error),
}

/// A server with health, reflection, grpc-web, limits, spans and metrics.
///
/// The limit of a message is a matter of each generated service in tonic: hand [`GrpcConfig::max_message_bytes`] to its
/// `max_decoding_message_size` and `max_encoding_message_size`.
#[derive(Debug)]
pub struct GrpcServer {
    config: GrpcConfig,
    identity: Option<Identity>,
    routes: RoutesBuilder,
    services: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
    metrics: CallMetrics,
    readiness: Readiness,
}

impl GrpcServer {
    /// A server without services. The services' health follows `readiness`.
    ///
    /// # Errors
    /// Where the names of its metrics are taken by other types.
    pub fn new(config: &GrpcConfig, metrics: &Metrics, readiness: &Readiness) -> Result<Self, GrpcServerError> {
        Ok(Self {
            config: config.clone(),
            identity: None,
            routes: RoutesBuilder::default(),
            services: Vec::new(),
            descriptors: vec![tonic_health::pb::FILE_DESCRIPTOR_SET],
            metrics: CallMetrics::new(metrics)?,
            readiness: readiness.clone(),
        })
    }

    /// Turns TLS on where the block names a certificate and a key.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn with_tls_of(mut self, listen: &ListenConfig) -> Result<Self, GrpcServerError> {
        if let (Some(cert), Some(key)) = (&listen.tls_cert, &listen.tls_key) {
            self.identity = Some(Identity::from_pem(read("tls_cert", cert)?, read("tls_key", key)?));
        }
        Ok(self)
    }

    /// Offers an encoded `FileDescriptorSet` through reflection.
    #[must_use]
    pub fn with_descriptors(mut self, encoded: &'static [u8]) -> Self {
        self.descriptors.push(encoded);
        self
    }

    /// Adds a service.
    #[must_use]
    pub fn with_service<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.services.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Serves until `shutdown`, then says NOT_SERVING, takes no new connection or call, and waits at most `drain` for
    /// the calls under way; connections that last longer are cut. Streams without an end have to watch `shutdown`
    /// themselves if they are to end in order.
    ///
    /// # Errors
    /// Where TLS or the descriptors are unusable, or the transport breaks.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: CancellationToken,
        drain: Duration,
    ) -> Result<(), GrpcServerError> {
        let (reporter, health) = health_reporter();
        self.add_reflection()?;
        self.routes.add_service(health);
        let methods =
            Methods::of(&self.descriptors).map_err(|error| GrpcServerError::Descriptors(error.to_string()))?;
        let timeout = Duration::from_secs(self.config.timeout_seconds);
        let mut builder = Server::builder();
        if let Some(identity) = self.identity.take() {
            builder = builder
                .tls_config(ServerTlsConfig::new().identity(identity))
                .map_err(GrpcServerError::Tls)?;
        }
        // Calls under way end however long they take: a watched run lasts for hours. So there is no time of grace.
        if let Some(age) = self.config.connection_age(RandomState::new().build_hasher().finish()) {
            builder = builder.max_connection_age(age);
        }
        let address = listener
            .local_addr()
            .map_or_else(|error| error.to_string(), |address| address.to_string());
        tracing::info!(address, services = self.services.join(","), "serving gRPC");
        let cut = CancellationToken::new();
        let stopping = CancellationToken::new();
        let server = builder
            .accept_http1(true)
            .max_concurrent_streams(self.config.max_concurrent_streams)
            .http2_max_header_list_size(self.config.max_header_list_bytes)
            .http2_keepalive_interval(Some(Duration::from_secs(self.config.keepalive_seconds)))
            .http2_keepalive_timeout(Some(Duration::from_secs(self.config.keepalive_timeout_seconds)))
            .layer(GrpcWebLayer::new())
            .layer(CallLayer::new(self.metrics.clone(), methods, timeout))
            .layer(InFlightLayer::new(
                self.config.max_in_flight_calls,
                self.metrics.in_flight.clone(),
            ))
            .add_routes(self.routes.routes())
            .serve_with_incoming_shutdown(accept(listener, cut.clone()), stopping.clone().cancelled_owned());
        let mut server = std::pin::pin!(server);

        let mut names = self.services;
        names.push("");
        let health = follow_readiness(&self.readiness, &reporter, &names);
        tokio::select! {
            result = &mut server => return result.map_err(GrpcServerError::Transport),
            () = health => {}
            () = shutdown.cancelled() => {}
        }
        self.readiness.stop();
        end_health(reporter, &names).await;
        stopping.cancel();
        match tokio::time::timeout(drain, &mut server).await {
            Ok(result) => result.map_err(GrpcServerError::Transport),
            Err(_) => {
                tracing::warn!(
                    drain_seconds = drain.as_secs_f64(),
                    "cut connections whose calls did not end in time"
                );
                cut.cancel();
                server.await.map_err(GrpcServerError::Transport)
            }
        }
    }

    fn add_reflection(&mut self) -> Result<(), GrpcServerError> {
        let broken = |error: tonic_reflection::server::Error| GrpcServerError::Descriptors(error.to_string());
        let builder = || {
            let empty = tonic_reflection::server::Builder::configure();
            self.descriptors
                .iter()
                .fold(empty, |builder, set| builder.register_encoded_file_descriptor_set(set))
        };
        let v1 = builder().build_v1().map_err(broken)?;
        let v1alpha = builder().build_v1alpha().map_err(broken)?;
        self.routes.add_service(v1).add_service(v1alpha);
        self.descriptors.push(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET);
        self.descriptors
            .push(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET);
        Ok(())
    }
}

/// Tells health what readiness says, for ever.
async fn follow_readiness(readiness: &Readiness, reporter: &HealthReporter, names: &[&'static str]) {
    let mut watch = readiness.subscribe();
    loop {
        let ready = watch.borrow_and_update().is_ready();
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in names {
            reporter.set_service_status(*name, status).await;
        }
        if watch.changed().await.is_err() {
            return;
        }
    }
}

/// Says NOT_SERVING to all who watch, and ends their streams, which would else hold the drain.
async fn end_health(mut reporter: HealthReporter, names: &[&'static str]) {
    for name in names {
        reporter.set_service_status(*name, ServingStatus::NotServing).await;
        reporter.clear_service_status(name).await;
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, GrpcServerError> {
    std::fs::read(path).map_err(|source| GrpcServerError::TlsFile {
        key,
        path: path.to_owned(),
        source,
    })
}
