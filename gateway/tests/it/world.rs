//! A gateway that serves on a free port, with its own index.

use crate::encoder::CountingEncoder;
use sightline_core::{CollectionDescription, Row};
use sightline_encoding::{BatchingEncoder, Encoder, EncodingMetrics};
use sightline_gateway::config::GatewayConfig;
use sightline_gateway::{Parts, serve};
use sightline_index::VectorIndex;
use sightline_index::sqlite::SqliteIndex;
use sightline_objects::Stores;
use sightline_proto::v1::embedding_client::EmbeddingClient;
use sightline_proto::v1::search_client::SearchClient;
use sightline_service::Context;
use sightline_telemetry::{Metrics, Readiness};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub(crate) struct World {
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) metrics: Metrics,
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    _folder: TempDir,
}

pub(crate) async fn sqlite(folder: &TempDir) -> Arc<dyn VectorIndex> {
    let options = sightline_index::OpenOptions::default();
    Arc::new(
        SqliteIndex::open(&folder.path().join("index.db"), &options)
            .await
            .unwrap(),
    )
}

fn batching(model: CountingEncoder, config: &GatewayConfig, metrics: &Metrics) -> Arc<dyn Encoder> {
    let counted = EncodingMetrics::new(metrics).unwrap();
    Arc::new(BatchingEncoder::start(model, &config.batching, counted))
}

impl World {
    /// With the model that made the collections of `rows::described`.
    pub(crate) async fn new() -> Self {
        Self::with_encoder(Some(CountingEncoder::new("counter", true))).await
    }

    pub(crate) async fn with_encoder(encoder: Option<CountingEncoder>) -> Self {
        Self::start(encoder, GatewayConfig::default(), |index| index).await
    }

    pub(crate) async fn start(
        encoder: Option<CountingEncoder>,
        config: GatewayConfig,
        wrap: impl FnOnce(Arc<dyn VectorIndex>) -> Arc<dyn VectorIndex>,
    ) -> Self {
        let metrics = Metrics::new("sightline-gateway", "test");
        let encoder = encoder.map(|model| batching(model, &config, &metrics));
        Self::serving(encoder, config, metrics, wrap).await
    }

    /// With an encoder of any kind.
    pub(crate) async fn with(encoder: Arc<dyn Encoder>) -> Self {
        let metrics = Metrics::new("sightline-gateway", "test");
        Self::serving(Some(encoder), GatewayConfig::default(), metrics, |index| index).await
    }

    async fn serving(
        encoder: Option<Arc<dyn Encoder>>,
        mut config: GatewayConfig,
        metrics: Metrics,
        wrap: impl FnOnce(Arc<dyn VectorIndex>) -> Arc<dyn VectorIndex>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let index = sqlite(&folder).await;
        config.allow_file_datasets = true;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let readiness = Readiness::new();
        let condition = readiness.condition("index");
        let context = Context {
            shutdown: shutdown.clone(),
            drain: Duration::from_secs(5),
            metrics: metrics.clone(),
            readiness,
        };
        let parts = Parts {
            index: wrap(Arc::clone(&index)),
            encoder,
            stores: Arc::new(Stores::new(config.stores())),
        };
        let server = tokio::spawn(async move {
            serve(&config, parts, listener, context, condition).await.unwrap();
        });
        Self {
            index,
            metrics,
            address,
            shutdown,
            server,
            _folder: folder,
        }
    }

    pub(crate) async fn fill(&self, description: &CollectionDescription, rows: &[Row]) {
        self.index.create(description).await.unwrap();
        self.index.upsert(&description.name, rows).await.unwrap();
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub(crate) async fn search(&self) -> SearchClient<Channel> {
        SearchClient::new(self.channel().await)
    }

    pub(crate) async fn embedding(&self) -> EmbeddingClient<Channel> {
        EmbeddingClient::new(self.channel().await)
    }

    /// Ends in order, and shows what broke in the server.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}
