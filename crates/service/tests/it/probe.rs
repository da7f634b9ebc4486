//! A service of one method whose calls a test holds and lets go. Its messages are those of gRPC's own health service,
//! so that nothing has to be generated.

use sightline_service::config::GrpcConfig;
use sightline_service::grpc::{ClientOptions, GrpcServer, TracedChannel, connect};
use sightline_service::{ServiceError, grpc::GrpcServerError};
use sightline_telemetry::{Metrics, Readiness, current_traceparent};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The method's path on a name of its own, so that it does not meet the real health service.
pub(crate) const PROBE: &str = "/test.Probe/Check";

/// What the handler does, and what it saw.
#[derive(Clone)]
pub(crate) struct Probe {
    /// A call ends when it gets a permit.
    pub(crate) gate: Arc<Semaphore>,
    entered: mpsc::Sender<()>,
    pub(crate) traceparents: Arc<Mutex<Vec<Option<String>>>>,
    /// The client's end of the connection that the last call came over.
    pub(crate) peer: Arc<Mutex<Option<SocketAddr>>>,
}

#[tonic::async_trait]
impl Health for Probe {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.traceparents.lock().unwrap().push(current_traceparent());
        *self.peer.lock().unwrap() = request.remote_addr();
        if request.get_ref().service == "bad" {
            return Err(ServiceError::invalid_argument("service", "is bad").into());
        }
        if request.get_ref().service == "broken" {
            return Err(ServiceError::internal(std::io::Error::other("disk gone")).into());
        }
        self.entered.send(()).await.unwrap();
        self.gate.acquire().await.unwrap().forget();
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = futures::stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(futures::stream::pending()))
    }
}

/// The probe under another name.
#[derive(Clone)]
struct Renamed(HealthServer<Probe>);

impl tonic::server::NamedService for Renamed {
    const NAME: &'static str = "test.Probe";
}

impl tower::Service<http::Request<tonic::body::Body>> for Renamed {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = <HealthServer<Probe> as tower::Service<http::Request<tonic::body::Body>>>::Future;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        tower::Service::<http::Request<tonic::body::Body>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        let path = request.uri().path().replace("test.Probe", "grpc.health.v1.Health");
        *request.uri_mut() = path.parse().unwrap();
        tower::Service::call(&mut self.0, request)
    }
}

/// A running server with its probe.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) probe: Probe,
    pub(crate) entered: mpsc::Receiver<()>,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<Result<(), GrpcServerError>>,
}

impl Running {
    /// Starts a server after `change` had its way with it.
    pub(crate) async fn start(
        config: &GrpcConfig,
        drain: Duration,
        change: impl FnOnce(GrpcServer) -> GrpcServer,
    ) -> Self {
        let metrics = Metrics::new("test", "1");
        let readiness = Readiness::new();
        let (entered_by, entered) = mpsc::channel(16);
        let probe = Probe {
            gate: Arc::new(Semaphore::new(0)),
            entered: entered_by,
            traceparents: Arc::default(),
            peer: Arc::default(),
        };
        let service = HealthServer::new(probe.clone()).max_decoding_message_size(config.max_message_bytes);
        let server = change(
            GrpcServer::new(config, &metrics, &readiness)
                .unwrap()
                .with_service(Renamed(service)),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let serving = server.serve(listener, shutdown.clone(), drain);
        Self {
            url,
            probe,
            entered,
            metrics,
            readiness,
            shutdown,
            server: tokio::spawn(serving),
        }
    }

    pub(crate) async fn client(&self) -> TracedChannel {
        connect("probe", &self.url, &ClientOptions::default()).await.unwrap()
    }
}

/// Calls the probe.
pub(crate) async fn call(channel: TracedChannel, service: &str) -> Result<HealthCheckResponse, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let request = Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let codec = tonic_prost::ProstCodec::default();
    client
        .unary(request, http::uri::PathAndQuery::from_static(PROBE), codec)
        .await
        .map(Response::into_inner)
}
