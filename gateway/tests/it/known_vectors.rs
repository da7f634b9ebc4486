//! Vectors of queries that were asked before.

use crate::encoder::CountingEncoder;
use crate::rows::{described, row};
use crate::search::{picture, request};
use crate::world::World;
use sightline_core::VectorField;
use sightline_gateway::config::GatewayConfig;
use sightline_proto::v1;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::{Code, Request};

/// A gateway that keeps so many vectors, and may run its model so often.
async fn world(known_vectors: usize, batches: usize) -> (World, Arc<Semaphore>) {
    let encoder = CountingEncoder::closed("counter");
    let gate = Arc::clone(&encoder.gate);
    gate.add_permits(batches);
    let mut config = GatewayConfig::default();
    config.limits.known_vectors = known_vectors;
    let world = World::start(Some(encoder), config, |index| index).await;
    let rows = [row("a", Some("aab"), Some("aabb")), row("d", Some("ddd"), Some("dd"))];
    world.fill(&described("stamps", &VectorField::ALL), &rows).await;
    (world, gate)
}

fn asked(image: &str, text: &str, alpha: f64) -> v1::SearchRequest {
    v1::SearchRequest {
        image: picture(image),
        text: text.into(),
        alpha: Some(alpha),
        ..request("stamps")
    }
}

fn counted(world: &World, what: &str, count: u32) -> bool {
    world
        .metrics
        .encode()
        .contains(&format!("sightline_gateway_{what}_query_vectors_total {count}\n"))
}

#[tokio::test]
async fn a_query_that_was_asked_before_needs_no_model_whatever_its_alpha_filter_or_number_of_hits() {
    // A batch of pictures and one of texts.
    let (world, _gate) = world(16, 2).await;
    let mut client = world.search().await;
    let first = client.search(asked("aab", "aabb", 0.5)).await.unwrap().into_inner();
    for (alpha, filter, top_k) in [(0.2, "", 10), (0.5, "key = a", 10), (0.5, "", 1)] {
        let again = v1::SearchRequest {
            filter: filter.into(),
            top_k: Some(top_k),
            ..asked("aab", "aabb", alpha)
        };
        client.search(again).await.unwrap();
    }
    let same = client.search(asked("aab", "aabb", 0.5)).await.unwrap().into_inner();
    assert_eq!(first.hits, same.hits);
    assert!(
        counted(&world, "encoded", 2) && counted(&world, "known", 8),
        "{}",
        world.metrics.encode()
    );
    world.end().await;
}

#[tokio::test]
async fn another_text_and_a_text_that_is_a_picture_s_bytes_are_encoded() {
    let (world, gate) = world(16, 2).await;
    let mut client = world.search().await;
    client.search(asked("aab", "aabb", 0.5)).await.unwrap();
    for other in ["aabc", "picture:aab"] {
        let mut late = Request::new(v1::SearchRequest {
            text: other.into(),
            ..request("stamps")
        });
        late.set_timeout(Duration::from_millis(200));
        let status = client.search(late).await.unwrap_err();
        assert!(
            matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
            "{other}: {status}"
        );
    }
    gate.add_permits(Semaphore::MAX_PERMITS / 2);
    world.end().await;
}

#[tokio::test]
async fn where_no_vectors_are_kept_each_query_is_encoded() {
    let (world, _gate) = world(0, 4).await;
    let mut client = world.search().await;
    for _ in 0..2 {
        client.search(asked("aab", "aabb", 0.5)).await.unwrap();
    }
    assert!(counted(&world, "encoded", 4), "{}", world.metrics.encode());
    world.end().await;
}
