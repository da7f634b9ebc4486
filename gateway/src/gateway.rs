//! The gateway's parts, and the gRPC services made of them.

use crate::effort::Efforts;
use crate::error::GatewayError;
use crate::known_collections::KnownCollections;
use crate::known_vectors::KnownVectors;
use crate::metrics::GatewayMetrics;
use crate::search_service::SearchService;
use crate::texts::KnownTexts;
use crate::thumbnails::Thumbnails;
use sightline_core::{CollectionDescription, CollectionName};
use sightline_encoding::{EmbeddingService, Encoder};
use sightline_index::VectorIndex;
use sightline_objects::Stores;
use sightline_pictures::DecodeLimits;
use sightline_proto::v1::search_server::SearchServer;
use sightline_service::grpc::GrpcServer;
use sightline_telemetry::{Metrics, MetricsError};
use std::sync::Arc;
use std::time::Duration;

/// What a gateway works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The index.
    pub index: Arc<dyn VectorIndex>,
    /// The model; without one, items and vectors can be searched with.
    pub encoder: Option<Arc<dyn Encoder>>,
    /// Where pictures of hits are read.
    pub stores: Arc<Stores>,
}

/// How much a gateway does at once, and for one call.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest picture of a query in bytes.
    pub max_image_bytes: usize,
    /// Thumbnails that are made at once.
    pub thumbnails_at_once: usize,
    /// Largest file of a thumbnail's source in bytes.
    pub max_object_bytes: u64,
    /// Limits on one picture.
    pub decode: DecodeLimits,
    /// Vectors of queries that are kept.
    pub known_vectors: usize,
    /// How long a collection is taken for what it was.
    pub known_collection: Duration,
    /// Largest message in bytes, of a request and of an answer.
    pub max_message_bytes: usize,
}

/// A gateway without a server. Clones share it.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) encoder: Option<Arc<dyn Encoder>>,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) limits: Limits,
    pub(crate) known_texts: KnownTexts,
    pub(crate) known_vectors: KnownVectors,
    pub(crate) known_collections: KnownCollections,
    pub(crate) efforts: Efforts,
}

impl Shared {
    /// The collection of this name, or the one that the alias points at. What follows asks for it by its own name.
    pub(crate) async fn collection(&self, name: &CollectionName) -> Result<CollectionDescription, GatewayError> {
        let found = self.index.describe(name).await?;
        found.ok_or_else(|| GatewayError::NoCollection(name.clone()))
    }
}

impl Gateway {
    /// Puts a gateway together.
    ///
    /// # Errors
    /// Where the names of its metrics are taken by other types.
    pub fn new(parts: Parts, limits: Limits, metrics: &Metrics) -> Result<Self, MetricsError> {
        let thumbnails = Thumbnails::new(
            parts.stores,
            limits.thumbnails_at_once,
            limits.decode,
            limits.max_object_bytes,
        );
        let shared = Shared {
            index: parts.index,
            encoder: parts.encoder,
            thumbnails,
            metrics: GatewayMetrics::new(metrics)?,
            known_vectors: KnownVectors::new(limits.known_vectors),
            known_collections: KnownCollections::new(limits.known_collection),
            limits,
            known_texts: KnownTexts::default(),
            efforts: Efforts::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Adds `Search` and `Embedding` to a server.
    #[must_use]
    pub fn add_to(&self, server: GrpcServer) -> GrpcServer {
        let limit = self.shared.limits.max_message_bytes;
        let search = SearchServer::new(SearchService::new(Arc::clone(&self.shared)))
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit);
        let embedding = EmbeddingService::new(self.shared.encoder.clone(), self.shared.limits.max_image_bytes);
        server.with_service(search).with_service(embedding.into_server(limit))
    }

    /// Asks the index whether it is there.
    ///
    /// # Errors
    /// What the index said.
    pub async fn check_index(&self) -> Result<(), sightline_index::IndexError> {
        self.shared.index.list().await.map(|_| ())
    }
}
