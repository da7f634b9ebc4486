//! What a search asks of the index. On a server with a clock a call that waits for everybody's writes costs a tick of it,
//! 200 ms on Milvus, and each call that waits for another's answer a round.

use crate::between::Between;
use crate::counting_index::{Calls, Counting, Together};
use crate::encoder::{CountingEncoder, vector_of};
use crate::rows::{described, row};
use crate::search::{leg, picture, request};
use crate::world::World;
use sightline_core::{CollectionDescription, IndexKind, Row, VectorField};
use sightline_gateway::config::GatewayConfig;
use sightline_index::VectorIndex;
use sightline_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

fn flat(name: &str, sides: &[VectorField]) -> CollectionDescription {
    CollectionDescription {
        index: IndexKind::Flat,
        ..described(name, sides)
    }
}

/// Rows whose scores by `far` are all different.
fn rows() -> Vec<Row> {
    let words = ["a", "ab", "abb", "abbb", "abbbb", "abbbbb"];
    words.map(|word| row(word, Some(word), Some(word))).into()
}

/// Asks with each search whether its collection is what it was.
async fn world() -> (World, Calls, Together) {
    world_that_knows(0).await
}

async fn world_that_knows(known_collection_ms: u64) -> (World, Calls, Together) {
    let (calls, together) = (Calls::default(), Together::default());
    let (counted, meeting) = (Arc::clone(&calls), Arc::clone(&together));
    let encoder = CountingEncoder::new("counter", true);
    let way = Counting {
        calls: counted,
        together: meeting,
    };
    let wrap = |index| -> Arc<dyn VectorIndex> { Arc::new(Between { index, way }) };
    let mut config = GatewayConfig::default();
    config.limits.known_collection_ms = known_collection_ms;
    let world = World::start(Some(encoder), config, wrap).await;
    world.fill(&flat("stamps", &VectorField::ALL), &rows()).await;
    (world, calls, together)
}

/// What the last search asked, and no other before.
fn taken(calls: &Calls) -> BTreeMap<&'static str, usize> {
    std::mem::take(&mut *calls.lock().unwrap())
}

fn by_image(fields: &[&str]) -> v1::SearchRequest {
    v1::SearchRequest {
        image: picture("bbbbbbb"),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        top_k: Some(3),
        ..request("stamps")
    }
}

#[tokio::test]
async fn a_search_of_one_field_whose_scores_are_apart_is_one_call() {
    let (world, calls, _) = world().await;
    let mut client = world.search().await;
    client.search(by_image(&["id"])).await.unwrap();
    taken(&calls);
    let answer = client.search(by_image(&["id"])).await.unwrap().into_inner();
    assert_eq!(taken(&calls), [("describe", 1), ("search", 1)].into());
    assert_eq!(answer.ranking(), v1::search_response::Ranking::Exact);
    let expected = ["abbbbb", "abbbb", "abbb"]
        .map(|word| sightline_core::vector::dot(&vector_of(word.as_bytes()), &vector_of(b"bbbbbbb")));
    for (hit, expected) in answer.hits.iter().zip(expected) {
        assert!(
            (hit.score - expected).abs() < 1e-6 && (hit.parts[0].score - expected).abs() < 1e-6,
            "{hit:?}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn a_collection_that_was_asked_for_a_moment_ago_is_asked_for_again_only_where_its_search_fails() {
    let (world, calls, _) = world_that_knows(10_000).await;
    let mut client = world.search().await;
    client.search(by_image(&["id"])).await.unwrap();
    taken(&calls);
    client.search(by_image(&["id"])).await.unwrap();
    assert_eq!(taken(&calls), [("search", 1)].into());
    world
        .index
        .drop_collection(&crate::rows::collection("stamps"))
        .await
        .unwrap();
    let gone = client.search(by_image(&["id"])).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::NotFound, "{gone}");
    world.end().await;
}

#[tokio::test]
async fn no_search_reads_rows_in_a_way_that_waits_for_the_writes_of_others() {
    let (world, calls, _) = world().await;
    let mut client = world.search().await;
    let id = crate::rows::row_id("abb").to_string();
    let searches = [
        by_image(&["key"]),
        v1::SearchRequest {
            text: "abbb".into(),
            group_by: "uid".into(),
            ..by_image(&["key"])
        },
        v1::SearchRequest {
            text: "abbb".into(),
            fusion: v1::search_request::Fusion::ReciprocalRank.into(),
            ..by_image(&["key"])
        },
        v1::SearchRequest {
            top_k: None,
            page_size: 2,
            ..by_image(&["image_embedding"])
        },
        v1::SearchRequest {
            image: None,
            legs: vec![leg("image_embedding", 1.0, v1::leg::Query::Item(id))],
            ..by_image(&["key"])
        },
    ];
    for asked in searches {
        client.search(asked.clone()).await.unwrap();
        let calls = taken(&calls);
        let waits: Vec<_> = ["get", "scan", "count"]
            .into_iter()
            .filter(|call| calls.contains_key(call))
            .collect();
        assert!(waits.is_empty(), "{asked:?} asked for {waits:?}");
        assert!(calls.contains_key("get_found"), "{calls:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn rows_of_which_rounding_could_change_the_place_are_read() {
    let (world, calls, _) = world().await;
    let twin = row("twin", Some("abbb"), None);
    world.fill(&flat("stamps", &VectorField::ALL), &[twin]).await;
    let mut client = world.search().await;
    let answer = client.search(by_image(&["id"])).await.unwrap().into_inner();
    assert_eq!(taken(&calls).get("get_found"), Some(&1));
    let last = answer.hits[2].item.as_ref().unwrap().id.clone();
    let twins = [crate::rows::row_id("twin"), crate::rows::row_id("abbb")];
    assert_eq!(Some(last), twins.iter().min().map(ToString::to_string));
    world.end().await;
}

#[tokio::test]
async fn a_known_collection_is_searched_while_the_index_is_asked_whether_it_is_the_same() {
    let (world, _, together) = world().await;
    let mut client = world.search().await;
    client.search(by_image(&["id"])).await.unwrap();
    // From here on each of the two calls waits for the other.
    *together.lock().unwrap() = Some(Arc::new(Barrier::new(2)));
    let mut asked = tonic::Request::new(by_image(&["id"]));
    asked.set_timeout(Duration::from_secs(20));
    client.search(asked).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_collection_that_was_made_anew_is_answered_as_it_is_now() {
    let (world, ..) = world().await;
    let mut client = world.search().await;
    client.search(by_image(&["key"])).await.unwrap();
    let name = crate::rows::collection("stamps");
    world.index.drop_collection(&name).await.unwrap();
    let gone = client.search(by_image(&["key"])).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::NotFound, "{gone}");
    world.fill(&flat("stamps", &VectorField::ALL), &rows()).await;
    client.search(by_image(&["key"])).await.unwrap();
    world.index.drop_collection(&name).await.unwrap();
    let mut other = flat("stamps", &VectorField::ALL);
    for (field, described) in &mut other.fields {
        *described = crate::encoder::field("another-model", field.as_str(), b"canary");
    }
    world.fill(&other, &rows()).await;
    let refused = client.search(by_image(&["key"])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    world.end().await;
}
