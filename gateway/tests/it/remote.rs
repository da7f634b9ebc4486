//! A gateway whose queries another process encodes.

use crate::encoder::{CountingEncoder, vector_of};
use crate::rows::{described, row};
use crate::search::request;
use crate::world::World;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::VectorField;
use sightline_encoding::{
    BatchingConfig, BatchingEncoder, EncodeError, Encoded, Encoder, EncodingMetrics, ModelDescription, RemoteEncoder,
    RemoteOptions,
};
use sightline_models::TextRole;
use sightline_proto::v1;
use sightline_service::grpc::ClientOptions;
use sightline_service::reason;
use sightline_telemetry::Metrics;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Code;
use tonic_types::StatusExt;

fn options(encoder: &World) -> RemoteOptions {
    RemoteOptions {
        url: format!("http://{}", encoder.address),
        client: ClientOptions::default(),
        timeout: Duration::from_secs(5),
        max_message_bytes: 64 << 20,
    }
}

async fn remote(encoder: &World) -> Arc<RemoteEncoder> {
    Arc::new(RemoteEncoder::connect(options(encoder)).await.unwrap())
}

/// One that may be exchanged while it is served.
#[derive(Debug)]
struct Exchangeable(Mutex<Arc<dyn Encoder>>);

impl Exchangeable {
    fn now(&self) -> Arc<dyn Encoder> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

#[async_trait]
impl Encoder for Exchangeable {
    fn description(&self) -> Arc<ModelDescription> {
        self.now().description()
    }

    async fn encode_images(&self, of: &ModelDescription, images: Vec<Bytes>) -> Result<Vec<Encoded>, EncodeError> {
        self.now().encode_images(of, images).await
    }

    async fn encode_texts(
        &self,
        of: &ModelDescription,
        texts: Vec<String>,
        role: TextRole,
    ) -> Result<Vec<Encoded>, EncodeError> {
        self.now().encode_texts(of, texts, role).await
    }
}

fn local(model: &str) -> Arc<dyn Encoder> {
    let metrics = EncodingMetrics::new(&Metrics::new("test", "0")).unwrap();
    let model = CountingEncoder::new(model, true);
    Arc::new(BatchingEncoder::start(model, &BatchingConfig::default(), metrics))
}

#[tokio::test]
async fn vectors_from_elsewhere_are_those_of_the_model_and_bad_inputs_keep_their_places() {
    let elsewhere = World::new().await;
    let remote = remote(&elsewhere).await;
    let of = remote.description();
    assert_eq!(of, local("counter").description());
    let images = [&b"picture:a"[..], b"rubbish", b"picture:b", b"no"].map(Bytes::from_static);
    let encoded = remote.encode_images(&of, images.to_vec()).await.unwrap();
    assert_eq!(encoded[0], Ok(vector_of(b"a")));
    assert_eq!(encoded[2], Ok(vector_of(b"b")));
    for bad in [1, 3] {
        assert!(
            encoded[bad].as_ref().unwrap_err().to_string().contains("no picture"),
            "{bad}"
        );
    }
    let texts = vec!["abc".to_owned()];
    let encoded = remote.encode_texts(&of, texts, TextRole::Document).await.unwrap();
    assert_eq!(encoded, [Ok(vector_of(b"abc"))]);
    elsewhere.end().await;
}

#[tokio::test]
async fn a_search_that_is_encoded_elsewhere_answers_as_one_that_is_encoded_here() {
    let elsewhere = World::new().await;
    let here = World::new().await;
    let there = World::with(remote(&elsewhere).await).await;
    let rows = [("a", "red", "apple"), ("b", "green", "pear"), ("c", "blue", "plum")];
    let rows = rows.map(|(key, image, text)| row(key, Some(image), Some(text)));
    let mut answers = Vec::new();
    for world in [&here, &there] {
        world.fill(&described("stamps", &VectorField::ALL), &rows).await;
        let asked = v1::SearchRequest {
            text: "apple".into(),
            image: Some(v1::ImageQuery {
                source: Some(v1::image_query::Source::Content(b"picture:red".to_vec())),
            }),
            alpha: Some(0.3),
            ..request("stamps")
        };
        answers.push(world.search().await.search(asked).await.unwrap().into_inner().hits);
    }
    assert!(!answers[0].is_empty());
    assert_eq!(answers[0], answers[1]);
    for world in [here, there, elsewhere] {
        world.end().await;
    }
}

#[tokio::test]
async fn a_model_that_is_exchanged_behind_the_address_is_refused_by_name_from_the_next_query_that_is_encoded_on() {
    let exchangeable = Arc::new(Exchangeable(Mutex::new(local("counter"))));
    let elsewhere = World::with(Arc::clone(&exchangeable) as _).await;
    let gateway = World::with(remote(&elsewhere).await).await;
    gateway.fill(&described("stamps", &VectorField::ALL), &[]).await;
    let asked = |text: &str| v1::SearchRequest {
        text: text.into(),
        ..request("stamps")
    };
    let mut client = gateway.search().await;
    client.search(asked("apple")).await.unwrap();
    *exchangeable.0.lock().unwrap() = local("newcomer");
    // A vector that is known is the old model's, which the collection was made with.
    client.search(asked("apple")).await.unwrap();
    let status = client.search(asked("plum")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::Unavailable, Some("ENCODER_CHANGED"))
    );
    assert!(
        status.get_details_retry_info().is_some() && status.message().contains("newcomer"),
        "{status}"
    );
    let status = client.search(asked("plum")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::FailedPrecondition, Some("MODEL_MISMATCH"))
    );
    assert!(
        status.message().contains("newcomer") && status.message().contains("counter"),
        "{status}"
    );
    gateway.end().await;
    elsewhere.end().await;
}

/// One that never answers, and shows how many calls wait for it.
#[derive(Debug)]
struct Silent(watch::Sender<usize>);

struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl Encoder for Silent {
    fn description(&self) -> Arc<ModelDescription> {
        local("counter").description()
    }

    async fn encode_images(&self, _: &ModelDescription, _: Vec<Bytes>) -> Result<Vec<Encoded>, EncodeError> {
        std::future::pending().await
    }

    async fn encode_texts(
        &self,
        _: &ModelDescription,
        _: Vec<String>,
        _: TextRole,
    ) -> Result<Vec<Encoded>, EncodeError> {
        self.0.send_modify(|count| *count += 1);
        let _waiting = Waiting(&self.0);
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_caller_s_deadline_ends_what_it_asked_of_an_encoder_elsewhere() {
    let waiting = watch::Sender::new(0);
    let mut waits = waiting.subscribe();
    let elsewhere = World::with(Arc::new(Silent(waiting))).await;
    let gateway = World::with(remote(&elsewhere).await).await;
    gateway.fill(&described("stamps", &VectorField::ALL), &[]).await;
    let mut client = gateway.search().await;
    let mut asked = tonic::Request::new(v1::SearchRequest {
        text: "apple".into(),
        ..request("stamps")
    });
    asked.set_timeout(Duration::from_millis(500));
    let call = tokio::spawn(async move { client.search(asked).await });
    waits.wait_for(|count| *count == 1).await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    // Long before the five seconds that the gateway itself gives such a call, or never.
    waits.wait_for(|count| *count == 0).await.unwrap();
    gateway.end().await;
    elsewhere.end().await;
}

#[tokio::test]
async fn an_encoder_that_is_away_is_named_with_the_time_to_come_again() {
    let elsewhere = World::new().await;
    let short = RemoteOptions {
        timeout: Duration::from_millis(200),
        ..options(&elsewhere)
    };
    let gateway = World::with(Arc::new(RemoteEncoder::connect(short.clone()).await.unwrap())).await;
    gateway.fill(&described("stamps", &VectorField::ALL), &[]).await;
    elsewhere.end().await;
    let asked = v1::SearchRequest {
        text: "apple".into(),
        ..request("stamps")
    };
    let status = gateway.search().await.search(asked).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::Unavailable, Some("ENCODER_UNAVAILABLE"))
    );
    assert!(
        status.message().contains(&short.url) && status.get_details_retry_info().is_some(),
        "{status}"
    );
    let again = RemoteEncoder::connect(short).await.unwrap_err();
    assert!(again.is_retryable(), "{again}");
    gateway.end().await;
}
