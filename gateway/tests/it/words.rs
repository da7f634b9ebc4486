//! Where words go: to texts, or to pictures while the collection holds no text, whatever was known before.

use crate::encoder::CountingEncoder;
use crate::rows::{collection, described, row};
use crate::search::{keys, picture, request};
use crate::world::World;
use sightline_core::{Row, VectorField};
use sightline_gateway::config::GatewayConfig;
use sightline_proto::v1;
use sightline_proto::v1::search_response::Ranking;
use std::sync::Arc;

const NAME: &str = "pictures";

fn pictures() -> [Row; 2] {
    [row("a", Some("aab"), None), row("d", Some("ddd"), None)]
}

fn words() -> v1::SearchRequest {
    v1::SearchRequest {
        text: "ddd".into(),
        ..request(NAME)
    }
}

/// Two gateways over one index, which holds pictures and a text, and both know that it does.
async fn replicas() -> [World; 2] {
    let one = World::new().await;
    let index = Arc::clone(&one.index);
    let encoder = Some(CountingEncoder::new("counter", true));
    let other = World::start(encoder, GatewayConfig::default(), |_| index).await;
    let both = described(NAME, &VectorField::ALL);
    one.fill(&both, &pictures()).await;
    one.fill(&both, &[row("t", None, Some("ddd"))]).await;
    let worlds = [one, other];
    for world in &worlds {
        assert_eq!(found(world, words()).await, ["t"]);
    }
    worlds
}

async fn found(world: &World, asked: v1::SearchRequest) -> Vec<String> {
    let answer = world.search().await.search(asked).await.unwrap().into_inner();
    assert_eq!(answer.ranking(), Ranking::Exact);
    keys(&answer).into_iter().map(str::to_owned).collect()
}

async fn end(worlds: [World; 2]) {
    for world in worlds {
        world.end().await;
    }
}

#[tokio::test]
async fn words_ask_pictures_of_a_collection_that_was_made_anew_without_texts_at_every_gateway() {
    let worlds = replicas().await;
    let asked = v1::DeleteCollectionRequest {
        name: format!("collections/{NAME}"),
    };
    worlds[0].search().await.delete_collection(asked).await.unwrap();
    worlds[0].fill(&described(NAME, &VectorField::ALL), &pictures()).await;
    for world in &worlds {
        assert_eq!(found(world, words()).await, ["d", "a"]);
    }
    end(worlds).await;
}

#[tokio::test]
async fn words_ask_pictures_once_the_last_text_was_deleted_and_texts_again_once_there_is_one() {
    let worlds = replicas().await;
    let asked = v1::DeleteItemsRequest {
        parent: format!("collections/{NAME}"),
        filter: "has_text = true".into(),
        ..v1::DeleteItemsRequest::default()
    };
    worlds[0].search().await.delete_items(asked).await.unwrap();
    let both = v1::SearchRequest {
        image: picture("aab"),
        alpha: Some(0.1),
        ..words()
    };
    for world in &worlds {
        assert_eq!(
            found(world, both.clone()).await,
            ["d", "a"],
            "alpha holds for the words, too"
        );
        assert_eq!(found(world, words()).await, ["d", "a"]);
    }
    let rows = [row("t", None, Some("ddd"))];
    worlds[0].index.upsert(&collection(NAME), &rows).await.unwrap();
    for world in &worlds {
        assert_eq!(found(world, words()).await, ["t"]);
    }
    end(worlds).await;
}

#[tokio::test]
async fn words_find_nothing_where_a_filter_leaves_no_text_of_those_that_are_there() {
    let worlds = replicas().await;
    let filtered = v1::SearchRequest {
        filter: "has_image = true".into(),
        ..words()
    };
    assert!(found(&worlds[0], filtered).await.is_empty());
    end(worlds).await;
}
