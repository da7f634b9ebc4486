//! The supervisor's side: hands calls on to whichever engine there is.

use hyper_util::rt::TokioIo;
use sightline_proto::v1;
use sightline_proto::v1::embedding_client::EmbeddingClient;
use sightline_proto::v1::embedding_server::{Embedding, EmbeddingServer};
use sightline_service::{ServiceError, reason};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};
use tower::service_fn;

/// When an engine that does not answer may: loading a model takes seconds.
const ENGINE_RETRY: Duration = Duration::from_secs(2);

/// `sightline.v1.Embedding`, answered by the engine.
#[derive(Debug, Clone)]
pub struct EngineEmbedding {
    client: EmbeddingClient<Channel>,
}

/// A service of messages of at most so many bytes. Calls go to whoever listens on the socket at that moment.
#[must_use]
pub fn open_proxy(socket: PathBuf, max_message_bytes: usize) -> EmbeddingServer<EngineEmbedding> {
    // The connection is a socket's: the address is only needed as a name.
    let endpoint = Endpoint::from_static("http://engine");
    let channel = endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    }));
    let client = EmbeddingClient::new(channel)
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(max_message_bytes);
    EmbeddingServer::new(EngineEmbedding { client })
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(max_message_bytes)
}

/// What the engine said is said again; where it said nothing, it is not there.
fn told(status: Status) -> Status {
    if reason(&status).is_some() {
        return status;
    }
    let message = format!(
        "the worker's engine does not answer ({}): it is starting, or it died and is being replaced",
        status.message()
    );
    ServiceError::unavailable("ENGINE_UNAVAILABLE", message, ENGINE_RETRY).into()
}

#[tonic::async_trait]
impl Embedding for EngineEmbedding {
    async fn embed_images(
        &self,
        request: Request<v1::EmbedImagesRequest>,
    ) -> Result<Response<v1::EmbedResponse>, Status> {
        self.client
            .clone()
            .embed_images(request.into_inner())
            .await
            .map_err(told)
    }

    async fn embed_texts(
        &self,
        request: Request<v1::EmbedTextsRequest>,
    ) -> Result<Response<v1::EmbedResponse>, Status> {
        self.client
            .clone()
            .embed_texts(request.into_inner())
            .await
            .map_err(told)
    }

    async fn get_model(&self, request: Request<v1::GetModelRequest>) -> Result<Response<v1::Model>, Status> {
        self.client.clone().get_model(request.into_inner()).await.map_err(told)
    }
}
