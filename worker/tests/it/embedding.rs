//! `Embedding` calls, answered by the engine of a worker and by an encoder alone, with a model whose queries and documents
//! have other words before them.

use crate::bench::{Bench, entries, eventually};
use sightline_core::vector::dot;
use sightline_core::{Item, ItemKey, VectorField};
use sightline_encoding::{Encoder, RemoteEncoder, RemoteOptions};
use sightline_models::TextRole;
use sightline_proto::v1;
use sightline_proto::v1::embedding_client::EmbeddingClient;
use sightline_service::config::ListenConfig;
use sightline_service::grpc::ClientOptions;
use sightline_service::{Context, reason};
use sightline_telemetry::{Metrics, Readiness};
use sightline_worker::embedding::{EncoderConfig, SocketConfig, open_proxy, serve_encoder};
use sightline_worker::{ENGINE_COMMAND, EngineCommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Server;

/// A small XLM-RoBERTa with prompts, of the fixtures that transformers made.
fn model_with_prompts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parity/fixtures/xlm-roberta/1/model")
}

async fn remote(address: SocketAddr) -> RemoteEncoder {
    let options = RemoteOptions {
        url: format!("http://{address}"),
        client: ClientOptions::default(),
        timeout: Duration::from_secs(30),
        max_message_bytes: 64 << 20,
    };
    eventually("the encoder answers", || {
        let options = options.clone();
        async move { RemoteEncoder::connect(options).await.ok() }
    })
    .await
}

async fn embed(encoder: &RemoteEncoder, text: &str, role: TextRole) -> Vec<f32> {
    let described = encoder.description();
    let encoded = encoder.encode_texts(&described, vec![text.to_owned()], role).await;
    encoded.unwrap().remove(0).unwrap()
}

fn engine() -> EngineCommand {
    EngineCommand {
        program: env!("CARGO_BIN_EXE_sightline-worker").into(),
        args: vec![ENGINE_COMMAND.into()],
        memory_bytes: None,
    }
}

#[tokio::test]
async fn a_worker_stores_documents_and_answers_calls_with_the_same_model_as_documents_and_as_queries() {
    let mut bench = Bench::new().await;
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("embedding.sock");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(open_proxy(path.clone(), 64 << 20));
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    // Before there is an engine.
    let mut client = EmbeddingClient::connect(format!("http://{address}")).await.unwrap();
    let name = "models/-".to_owned();
    let status = client.get_model(v1::GetModelRequest { name }).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::Unavailable, Some("ENGINE_UNAVAILABLE"))
    );

    let mut item = Item::new(ItemKey::new("report").unwrap());
    item.text = Some("the heart is enlarged".into());
    let message = bench.plan("texts", entries(vec![item])).await;
    let mut config = bench.config();
    config.engine.model.folder = Some(model_with_prompts());
    config.engine.embedding = Some(SocketConfig {
        path,
        max_image_bytes: 1 << 20,
        max_message_bytes: 64 << 20,
        batching: Default::default(),
    });
    let worker = bench.start_engine(config, engine());
    let result = bench.work(&message).await;
    assert_eq!(result.counts.indexed, 1);
    let stored = bench.rows().await.remove(0).text_embedding.unwrap();

    let encoder = remote(address).await;
    assert!(!encoder.description().fields.contains_key(&VectorField::Image));
    let document = embed(&encoder, "the heart is enlarged", TextRole::Document).await;
    let query = embed(&encoder, "the heart is enlarged", TextRole::Query).await;
    assert!(dot(&stored, &document) > 0.9999, "{}", dot(&stored, &document));
    assert!(dot(&stored, &query) < 0.999, "{}", dot(&stored, &query));
    worker.end().await.unwrap();
    serving.abort();
}

#[tokio::test]
async fn an_encoder_alone_needs_neither_broker_nor_index_and_ends_in_order() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = EncoderConfig {
        listen: ListenConfig::on_port(free.port()),
        ..EncoderConfig::default()
    };
    config.model.folder = Some(model_with_prompts());
    config.model.name = Some("reports".into());
    let shutdown = CancellationToken::new();
    let context = Context {
        shutdown: shutdown.clone(),
        drain: Duration::from_secs(5),
        metrics: Metrics::new("sightline-encoder", "test"),
        readiness: Readiness::new(),
    };
    let metrics = context.metrics.clone();
    let serving = tokio::spawn(serve_encoder(config, context));
    let encoder = remote(free).await;
    assert_eq!(encoder.description().model.as_str(), "reports");
    let (query, document) = tokio::join!(
        embed(&encoder, "lungs are clear", TextRole::Query),
        embed(&encoder, "lungs are clear", TextRole::Document)
    );
    assert!(dot(&query, &document) < 0.999);
    assert!(metrics.encode().contains("embedding_batch_inputs"));
    drop(encoder);
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}
