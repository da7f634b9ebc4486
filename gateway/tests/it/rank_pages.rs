//! Pages of a ranking by rank, where a row's score changes when other rows come and go; and rows that go while one is made.

use crate::between::{Between, OnTheWay};
use crate::encoder::CountingEncoder;
use crate::refusals::violated;
use crate::rows::{collection, described, row, row_id};
use crate::search::{keys, picture, request};
use crate::world::World;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sightline_core::{Row, VectorField};
use sightline_gateway::config::GatewayConfig;
use sightline_index::{FieldHits, FieldSearch, ScoredId, VectorIndex};
use sightline_proto::v1;
use sightline_proto::v1::search_request::Fusion;
use sightline_proto::v1::search_response::Ranking;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows of which the pictures' order is one and the texts' another; five of each patient.
fn rows() -> Vec<Row> {
    let word = |number: usize| format!("{}{}{}", "a".repeat(1 + number % 7), "b".repeat(1 + number / 7), "c");
    let one = |number: usize| Row {
        uid: format!("p{}", number / 5),
        ..row(
            &format!("k{number:02}"),
            Some(&word(number)),
            Some(&word((number * 17) % 40)),
        )
    };
    (0..40).map(one).collect()
}

async fn world() -> World {
    let world = World::new().await;
    world.fill(&described("stamps", &VectorField::ALL), &rows()).await;
    world
}

fn asked() -> v1::SearchRequest {
    v1::SearchRequest {
        image: picture("aaab"),
        text: "abb".into(),
        fusion: Fusion::ReciprocalRank.into(),
        ..request("stamps")
    }
}

async fn ask(world: &World, request: v1::SearchRequest) -> v1::SearchResponse {
    let answer = world.search().await.search(request).await.unwrap().into_inner();
    assert_eq!(answer.ranking(), Ranking::Exact);
    answer
}

/// Hits of the pages to the last, and what happened after each but the last.
async fn pages(world: &World, asked: v1::SearchRequest, mut between: impl AsyncFnMut(&[v1::Hit])) -> Vec<v1::Hit> {
    let (mut hits, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = v1::SearchRequest {
            page_size: 4,
            page_token,
            ..asked.clone()
        };
        let answer = ask(world, page).await;
        hits.extend(answer.hits);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return hits;
        }
        between(&hits).await;
    }
}

fn names(hits: &[v1::Hit]) -> Vec<String> {
    let answer = v1::SearchResponse {
        hits: hits.to_vec(),
        ..v1::SearchResponse::default()
    };
    keys(&answer).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn pages_by_rank_are_parts_of_the_ranking_as_a_whole() {
    let world = world().await;
    let whole = v1::SearchRequest {
        top_k: Some(40),
        ..asked()
    };
    let whole = ask(&world, whole).await.hits;
    assert_eq!(pages(&world, asked(), async |_| ()).await, whole);
    world.end().await;
}

#[tokio::test]
async fn pages_by_rank_neither_repeat_nor_lose_a_row_that_is_there_all_the_while() {
    let world = world().await;
    let name = collection("stamps");
    let mut gone = BTreeSet::new();
    let found = pages(&world, asked(), async |hits| {
        // What was shown goes, so that all others rise; and something that stands before all comes.
        let shown: Vec<String> = names(hits).into_iter().rev().take(3).collect();
        let ids: Vec<_> = shown.iter().map(|key| row_id(key)).collect();
        world.index.delete(&name, &ids).await.unwrap();
        let new = row(&format!("new{}", gone.len()), Some("aaab"), Some("abb"));
        if gone.len() < 9 {
            world.index.upsert(&name, &[new]).await.unwrap();
        }
        gone.extend(shown);
    });
    let found = names(&found.await);
    let old: BTreeSet<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|key| key.starts_with('k'))
        .collect();
    assert_eq!(old.len(), 40, "{found:?}");
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "{found:?}");
    world.end().await;
}

#[tokio::test]
async fn pages_of_groups_by_rank_show_each_group_once_though_another_row_becomes_its_best() {
    let world = world().await;
    let name = collection("stamps");
    let grouped = v1::SearchRequest {
        group_by: "uid".into(),
        ..asked()
    };
    let found = pages(&world, grouped, async |hits| {
        // The last group's worst row becomes the best of all.
        let group = &hits.last().unwrap().group;
        let mut others = rows();
        others.retain(|row| row.uid == *group);
        let mut best = others.pop().unwrap();
        best.image_embedding = row("x", Some("aaab"), None).image_embedding;
        best.text_embedding = row("x", None, Some("abb")).text_embedding;
        world.index.upsert(&name, &[best]).await.unwrap();
    });
    let found = found.await;
    let mut groups: Vec<&str> = found.iter().map(|hit| hit.group.as_str()).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"]);
    world.end().await;
}

#[tokio::test]
async fn a_token_that_does_not_tell_what_was_shown_is_refused() {
    let world = world().await;
    let page = |group_by: &str, fusion: Fusion, page_token: String| v1::SearchRequest {
        page_size: 4,
        page_token,
        group_by: group_by.into(),
        fusion: fusion.into(),
        ..asked()
    };
    for (group_by, fusion, told) in [
        ("", Fusion::ReciprocalRank, "shown"),
        ("uid", Fusion::WeightedSum, "groups"),
    ] {
        let first = ask(&world, page(group_by, fusion, String::new())).await;
        let token = first.next_page_token;
        let mut json: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        json.as_object_mut().unwrap().remove(told).unwrap();
        let token = URL_SAFE_NO_PAD.encode(json.to_string());
        let status = world
            .search()
            .await
            .search(page(group_by, fusion, token))
            .await
            .unwrap_err();
        assert_eq!(violated(&status), ["page_token"], "{status}");
        assert!(status.message().contains("begin again"), "{status}");
    }
    world.end().await;
}

/// An index whose lists begin with rows that are gone when they are read.
#[derive(Debug)]
struct Ghosts;

impl OnTheWay for Ghosts {
    fn found(&self, search: &FieldSearch, mut found: FieldHits) -> FieldHits {
        let ghost = |number: usize| ScoredId {
            id: row_id(&format!("ghost{number}")),
            score: 1.0,
        };
        found.hits.splice(0..0, (0..3).map(ghost));
        found.hits.truncate(search.limit);
        found.settled = found.hits.len();
        found
    }
}

#[tokio::test]
async fn rows_that_go_while_a_page_by_rank_is_made_leave_their_places_to_others() {
    let wrap = |index| -> Arc<dyn VectorIndex> { Arc::new(Between { index, way: Ghosts }) };
    let encoder = Some(CountingEncoder::new("counter", true));
    let haunted = World::start(encoder, GatewayConfig::default(), wrap).await;
    haunted.fill(&described("stamps", &VectorField::ALL), &rows()).await;
    let world = world().await;
    for group_by in ["", "uid"] {
        let asked = v1::SearchRequest {
            group_by: group_by.into(),
            ..asked()
        };
        let whole = pages(&world, asked.clone(), async |_| ()).await;
        assert_eq!(pages(&haunted, asked, async |_| ()).await, whole, "{group_by}");
    }
    world.end().await;
    haunted.end().await;
}
