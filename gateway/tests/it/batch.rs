//! Several searches in one call.

use crate::rows::{described, row};
use crate::search::request;
use crate::world::World;
use sightline_core::VectorField;
use sightline_proto::v1;
use sightline_proto::v1::search_result::Outcome;
use std::collections::BTreeMap;
use tonic::Code;

fn asked(text: &str) -> v1::SearchRequest {
    v1::SearchRequest {
        text: text.into(),
        top_k: Some(1),
        ..v1::SearchRequest::default()
    }
}

/// The best hit's key, or the code and reason of what went wrong.
fn short(result: &v1::SearchResult) -> String {
    match result.outcome.as_ref().unwrap() {
        Outcome::Response(answer) => answer.hits[0].item.as_ref().unwrap().key.clone(),
        Outcome::Error(error) => format!("{:?} {}", Code::from(error.code), error.reason),
    }
}

async fn world() -> World {
    let world = World::new().await;
    let rows = ["aab", "bbc", "ccd"].map(|text| row(text, None, Some(text)));
    world.fill(&described("c", &[VectorField::Text]), &rows).await;
    world
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_and_a_wrong_search_fails_alone() {
    let world = world().await;
    let wrong = v1::SearchRequest {
        alpha: Some(7.0),
        ..asked("x")
    };
    let batch = v1::BatchSearchRequest {
        parent: "collections/c".into(),
        requests: vec![asked("ccd"), wrong, asked("aab"), request("c"), asked("bbc")],
    };
    let answer = world.search().await.batch_search(batch).await.unwrap().into_inner();
    let found: Vec<String> = answer.results.iter().map(short).collect();
    let invalid = "InvalidArgument INVALID_ARGUMENT";
    assert_eq!(found, ["ccd", invalid, "aab", invalid, "bbc"]);
    world.end().await;
}

#[tokio::test]
async fn a_batch_of_nothing_of_too_much_or_of_two_collections_is_refused() {
    let world = world().await;
    let batch = |parent: &str, requests| v1::BatchSearchRequest {
        parent: parent.into(),
        requests,
    };
    for (batch, field) in [
        (batch("collections/c", vec![]), "requests"),
        (batch("collections/c", vec![asked("x"); 1001]), "requests"),
        (batch("collections/c", vec![request("d")]), "requests[0].collection"),
        (batch("c", vec![asked("x")]), "parent"),
    ] {
        let status = world.search().await.batch_search(batch).await.unwrap_err();
        assert!(
            status.code() == Code::InvalidArgument && status.message().contains(field),
            "{status}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn a_stream_answers_each_search_under_its_id() {
    let world = world().await;
    let searches = ["aab", "bbc", "ccd", ""].into_iter().cycle().take(40).enumerate();
    let request = |id, text| v1::StreamSearchRequest {
        id,
        request: Some(v1::SearchRequest {
            collection: "collections/c".into(),
            ..asked(text)
        }),
    };
    let too_long = request(format!("{}:", "x".repeat(256)), "aab");
    let requests = searches.map(|(number, text)| request(format!("{number}:{text}"), text));
    let requests = futures::stream::iter(std::iter::once(too_long).chain(requests).collect::<Vec<_>>());
    let mut answers = world.search().await.stream_search(requests).await.unwrap().into_inner();
    let mut found = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        found.insert(answer.id.clone(), short(&answer.result.unwrap()));
    }
    assert_eq!(found.len(), 41);
    for (id, found) in found {
        let (_, text) = id.split_once(':').unwrap();
        let expected = if text.is_empty() {
            "InvalidArgument INVALID_ARGUMENT"
        } else {
            text
        };
        assert_eq!(found, expected, "{id}");
    }
    world.end().await;
}
