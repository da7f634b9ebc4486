//! What a search asks for beside its legs, and what contradicts itself.

use crate::refusals::violated;
use crate::rows::{described, row, row_id};
use crate::search::{keys, picture, request};
use crate::world::World;
use serde_json::json;
use sightline_core::{Row, VectorField};
use sightline_proto::v1;
use sightline_proto::v1::search_request::Fusion;

/// Rows that are less and less like `aaaa`; the first two are of one patient.
async fn world() -> World {
    let world = World::new().await;
    let rows = ["aaaa", "aaab", "aabb", "abbb", "bbbb"].map(|word| {
        let mut row = row(word, Some(word), Some(word));
        row.uid = if word.starts_with("aaa") {
            "p1".into()
        } else {
            String::new()
        };
        row
    });
    world.fill(&described("stamps", &VectorField::ALL), &rows).await;
    world
}

fn asked() -> v1::SearchRequest {
    v1::SearchRequest {
        image: picture("aaaa"),
        ..request("stamps")
    }
}

fn page(size: i32, token: &str) -> v1::SearchRequest {
    v1::SearchRequest {
        page_size: size,
        page_token: token.into(),
        ..asked()
    }
}

async fn ask(world: &World, request: v1::SearchRequest) -> v1::SearchResponse {
    world.search().await.search(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused_at_their_fields() {
    let world = world().await;
    let token = ask(&world, page(2, "")).await.next_page_token;
    let rank = i32::from(Fusion::ReciprocalRank);
    #[rustfmt::skip]
    let wrong: [(&str, v1::SearchRequest); 16] = [
        ("fusion", v1::SearchRequest { fusion: 99, ..asked() }),
        ("min_score", v1::SearchRequest { min_score: Some(f64::NAN), ..asked() }),
        ("min_score", v1::SearchRequest { min_score: Some(0.5), fusion: rank, ..asked() }),
        ("group_by", v1::SearchRequest { group_by: "nothing".into(), ..asked() }),
        ("group_by", v1::SearchRequest { group_by: "has_image".into(), ..asked() }),
        ("group_by", v1::SearchRequest { group_by: "labels".into(), ..asked() }),
        ("group_by", v1::SearchRequest { group_by: "attributes.\"age".into(), ..asked() }),
        ("top_k", v1::SearchRequest { top_k: Some(3), ..page(2, "") }),
        ("page_size", page(16_385, "")),
        ("page_size", page(-1, "")),
        ("page_token", page(0, &token)),
        ("page_token", page(2, "no token")),
        ("page_token", v1::SearchRequest { filter: "uid = p1".into(), ..page(2, &token) }),
        ("recall_target", v1::SearchRequest { recall_target: Some(0.0), ..asked() }),
        ("recall_target", v1::SearchRequest { recall_target: Some(1.01), ..asked() }),
        ("recall_target", v1::SearchRequest { recall_target: Some(0.9), effort: 8, ..asked() }),
    ];
    for (field, request) in wrong {
        let status = world.search().await.search(request.clone()).await.unwrap_err();
        assert_eq!(violated(&status), [field], "{request:?}: {status}");
        let (said, asked) = (status.message(), format!("{:?} makes no groups", request.group_by));
        let own_words = said.contains(&asked) && !said.contains("filter") && !said.contains("indexed_at");
        assert!(field != "group_by" || own_words, "{status}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_least_score_a_group_and_pages_are_parts_of_one_ranking() {
    let world = world().await;
    let all = ask(&world, asked()).await;
    assert_eq!(keys(&all), ["aaaa", "aaab", "aabb", "abbb", "bbbb"]);
    let least = f64::midpoint(all.hits[1].score, all.hits[2].score);
    let near = ask(
        &world,
        v1::SearchRequest {
            min_score: Some(least),
            ..asked()
        },
    );
    assert_eq!(keys(&near.await), ["aaaa", "aaab"]);
    let grouped = ask(
        &world,
        v1::SearchRequest {
            group_by: "uid".into(),
            ..asked()
        },
    );
    let grouped = grouped.await;
    assert_eq!(keys(&grouped), ["aaaa", "aabb", "abbb", "bbbb"]);
    assert_eq!(
        (grouped.hits[0].group.as_str(), grouped.hits[1].group.as_str()),
        ("p1", "")
    );
    world.end().await;
}

#[tokio::test]
async fn groups_are_told_apart_as_filters_tell_values_apart() {
    let world = World::new().await;
    let values = [
        json!(22),
        json!(22.0),
        json!("22"),
        json!(true),
        json!("true"),
        json!(0),
        json!(-0.0),
    ];
    let rows = values.iter().enumerate().map(|(number, value)| {
        let word = format!("{}b", "a".repeat(8 - number));
        let mut row = row(&number.to_string(), Some(&word), None);
        row.attributes = [("n".to_owned(), value.clone())].into();
        row
    });
    let rows: Vec<Row> = rows.collect();
    world.fill(&described("stamps", &VectorField::ALL), &rows).await;
    let request = v1::SearchRequest {
        group_by: "attributes.n".into(),
        top_k: Some(10),
        ..asked()
    };
    let answer = ask(&world, request).await;
    let mut groups: Vec<&str> = answer.hits.iter().map(|hit| hit.group.as_str()).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["0", "22", "22", "true", "true"]);
    world.end().await;
}

#[tokio::test]
async fn the_score_of_a_hit_as_the_least_score_finds_that_hit() {
    let world = World::new().await;
    let word = |number: usize| format!("{}{}", "a".repeat(1 + number % 5), "b".repeat(1 + number / 5));
    let rows: Vec<Row> = (0..25)
        .map(|number| row(&number.to_string(), Some(&word(number)), None))
        .collect();
    world.fill(&described("stamps", &VectorField::ALL), &rows).await;
    let wide = || v1::SearchRequest {
        image: picture("aaabc"),
        top_k: Some(25),
        ..request("stamps")
    };
    let all = ask(&world, wide()).await;
    for (place, hit) in all.hits.iter().enumerate() {
        let reaching = v1::SearchRequest {
            min_score: Some(hit.score),
            ..wide()
        };
        let found = ask(&world, reaching).await;
        assert!(keys(&found).starts_with(&keys(&all)[..=place]), "{place}: {found:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn pages_neither_repeat_nor_lose_a_row_that_stays_while_others_come_and_go() {
    let world = world().await;
    let first = ask(&world, page(2, "")).await;
    assert_eq!(keys(&first), ["aaaa", "aaab"]);
    // One before the page's end goes, one comes there; one behind it comes, too.
    let name = crate::rows::collection("stamps");
    world.index.delete(&name, &[row_id("aaaa")]).await.unwrap();
    let come = [row("new", Some("aaaa"), None), row("later", Some("abb"), None)];
    world.fill(&described("stamps", &VectorField::ALL), &come).await;
    let second = ask(&world, page(3, &first.next_page_token)).await;
    assert_eq!(keys(&second), ["aabb", "later", "abbb"]);
    let third = ask(&world, page(3, &second.next_page_token)).await;
    assert_eq!(keys(&third), ["bbbb"]);
    assert!(third.next_page_token.is_empty());
    world.end().await;
}

#[tokio::test]
async fn pages_of_groups_neither_repeat_a_group_whose_row_went_nor_lose_one_whose_better_row_came() {
    let world = World::new().await;
    let of = |key: &str, word: &str, uid: &str| Row {
        uid: uid.into(),
        ..row(key, Some(word), None)
    };
    let rows = [
        of("aaab", "aaab", "p1"),
        of("aabb", "aabb", "p1"),
        of("abbb", "abbb", "p2"),
        of("bbbb", "bbbb", "p3"),
    ];
    world.fill(&described("stamps", &VectorField::ALL), &rows).await;
    let grouped = |size, token: &str| v1::SearchRequest {
        group_by: "uid".into(),
        ..page(size, token)
    };
    let first = ask(&world, grouped(1, "")).await;
    assert_eq!(keys(&first), ["aaab"]);
    // The next row of p1 lies behind the page's end, the new one of p2 before it.
    let name = crate::rows::collection("stamps");
    world.index.delete(&name, &[row_id("aaab")]).await.unwrap();
    world.index.upsert(&name, &[of("new", "aaaa", "p2")]).await.unwrap();
    let second = ask(&world, grouped(1, &first.next_page_token)).await;
    assert_eq!(keys(&second), ["abbb"]);
    let third = ask(&world, grouped(5, &second.next_page_token)).await;
    assert_eq!(keys(&third), ["bbbb"]);
    world.end().await;
}

#[tokio::test]
async fn fused_by_rank_a_row_scores_by_its_places_and_its_parts_are_cosines() {
    let world = world().await;
    let answer = ask(
        &world,
        v1::SearchRequest {
            text: "bbbb".into(),
            alpha: Some(0.75),
            fusion: Fusion::ReciprocalRank.into(),
            ..asked()
        },
    );
    let answer = answer.await;
    let best = &answer.hits[0];
    assert_eq!(keys(&answer)[0], "aaaa");
    // First by its picture, last of five by its text.
    let by_places = 0.75 / 61.0 + 0.25 / 65.0;
    assert!((best.score - by_places).abs() < 1e-12, "{best:?}");
    let picture = best.parts.iter().find(|part| part.field == "image_embedding").unwrap();
    assert!((picture.score - 1.0).abs() < 1e-5, "{best:?}");
    world.end().await;
}
