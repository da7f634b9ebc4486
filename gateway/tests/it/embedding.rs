use crate::encoder::{CountingEncoder, space, vector_of};
use crate::world::World;
use sightline_gateway::config::GatewayConfig;
use sightline_proto::v1;
use sightline_service::reason;
use std::sync::Arc;
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn inputs_become_vectors_in_order_and_the_answer_names_model_and_space() {
    let world = World::new().await;
    let mut client = world.embedding().await;
    let texts = vec!["abc".to_owned(), "ddd".to_owned()];
    let asked = v1::EmbedTextsRequest {
        model: "counter".into(),
        texts,
        ..Default::default()
    };
    let answer = client.embed_texts(asked).await.unwrap().into_inner();
    let values: Vec<_> = answer.embeddings.into_iter().map(|vector| vector.values).collect();
    assert_eq!(values, [vector_of(b"abc"), vector_of(b"ddd")]);
    assert_eq!(answer.fingerprint, space("counter", "text").fingerprint().as_str());
    let asked = v1::EmbedImagesRequest {
        model: String::new(),
        images: vec![b"picture:abc".to_vec()],
    };
    let answer = client.embed_images(asked).await.unwrap().into_inner();
    assert_eq!(answer.embeddings[0].values, vector_of(b"abc"));
    assert_eq!(
        (answer.model.as_str(), answer.fingerprint.as_str()),
        ("counter", space("counter", "image").fingerprint().as_str())
    );
    world.end().await;
}

#[tokio::test]
async fn an_input_that_cannot_be_embedded_is_named_by_its_index() {
    let world = World::new().await;
    let mut client = world.embedding().await;
    let images = vec![b"picture:a".to_vec(), b"rubbish".to_vec()];
    let status = client
        .embed_images(v1::EmbedImagesRequest {
            images,
            ..Default::default()
        })
        .await
        .unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(
        (status.code(), violations[0].field.as_str()),
        (Code::InvalidArgument, "images[1]")
    );
    let texts = vec!["a".to_owned(), " ".to_owned(), "x".repeat(1 << 20)];
    let status = client
        .embed_texts(v1::EmbedTextsRequest {
            texts,
            ..Default::default()
        })
        .await
        .unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(
        violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(),
        ["texts[1]", "texts[2]"]
    );
    world.end().await;
}

#[tokio::test]
async fn too_many_inputs_none_and_another_model_are_refused() {
    let world = World::new().await;
    let mut client = world.embedding().await;
    for count in [0, 1025] {
        let texts = vec!["a".to_owned(); count];
        let status = client
            .embed_texts(v1::EmbedTextsRequest {
                texts,
                ..Default::default()
            })
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{count}");
    }
    let asked = v1::EmbedTextsRequest {
        model: "other".into(),
        texts: vec!["a".into()],
        ..Default::default()
    };
    let status = client.embed_texts(asked).await.unwrap_err();
    assert_eq!(reason(&status).as_deref(), Some("MODEL_NOT_SERVED"));
    assert!(
        status.message().contains("counter") && status.message().contains("other"),
        "{status}"
    );
    world.end().await;
}

#[tokio::test]
async fn calls_beyond_the_encoder_s_queue_are_refused_at_once_and_those_in_it_are_served() {
    let encoder = CountingEncoder::closed("counter");
    let gate = Arc::clone(&encoder.gate);
    let mut config = GatewayConfig::default();
    config.batching.max_inputs = 2;
    let world = World::start(Some(encoder), config, |index| index).await;
    let client = world.embedding().await;
    let call = |mut client: v1::embedding_client::EmbeddingClient<_>| async move {
        client
            .embed_texts(v1::EmbedTextsRequest {
                texts: vec!["a".into()],
                ..Default::default()
            })
            .await
    };
    // Three calls for two places: which one is refused does not matter, and nothing is encoded before it is.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..3 {
        calls.spawn(call(client.clone()));
    }
    let refused = calls.join_next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_deref()),
        (Code::ResourceExhausted, Some("ENCODER_BUSY"))
    );
    assert!(refused.get_details_retry_info().is_some());
    gate.add_permits(2);
    while let Some(served) = calls.join_next().await {
        assert_eq!(served.unwrap().unwrap().into_inner().embeddings.len(), 1);
    }
    world.end().await;
}
