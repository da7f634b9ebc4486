//! Rows of which the pictures are the same to the byte.

use crate::rows::{collection, described, row};
use crate::world::World;
use sightline_core::digest::sha256_hex;
use sightline_core::{DatasetName, ItemKey, Row, RowId, VectorField};
use sightline_index::Projection;
use sightline_proto::v1;
use std::collections::BTreeSet;
use tonic::{Code, Streaming};

fn pictured(key: &str, dataset: &str, picture: &str, text: Option<&str>) -> Row {
    let mut row = row(key, Some(picture), text);
    row.dataset = DatasetName::new(dataset).unwrap();
    row.id = RowId::of_item(&row.dataset, &ItemKey::new(key).unwrap());
    row.content_hash = sha256_hex(picture.as_bytes());
    row
}

/// Two pictures that several rows have, one that one has, and texts without picture.
async fn world() -> World {
    let world = World::with_encoder(None).await;
    let rows = [
        pictured("b.png", "d", "cat", None),
        pictured("a.png", "d", "cat", None),
        pictured("a.png", "e", "cat", Some("another text")),
        pictured("c.png", "d", "dog", None),
        pictured("d.png", "d", "dog", None),
        pictured("e.png", "d", "fish", None),
        row("t1", None, Some("a text")),
        row("t2", None, Some("a text")),
    ];
    world
        .fill(&described("c", &[VectorField::Image, VectorField::Text]), &rows)
        .await;
    world
}

async fn all(mut told: Streaming<v1::DuplicatesResponse>) -> (Vec<v1::DuplicateGroup>, v1::DuplicatesResponse) {
    let (mut groups, mut last) = (Vec::new(), None);
    while let Some(mut message) = told.message().await.unwrap() {
        groups.append(&mut message.groups);
        last = Some(message);
    }
    (groups, last.unwrap())
}

fn find(dataset: &str) -> v1::FindDuplicatesRequest {
    v1::FindDuplicatesRequest {
        name: "collections/c".into(),
        dataset: dataset.into(),
    }
}

async fn drop_all(world: &World, dataset: &str) -> v1::duplicates_response::Summary {
    let request = v1::DropDuplicatesRequest {
        name: "collections/c".into(),
        dataset: dataset.into(),
    };
    let told = world.search().await.drop_duplicates(request).await.unwrap();
    all(told.into_inner()).await.1.summary.unwrap()
}

async fn keys(world: &World) -> BTreeSet<String> {
    let rows = world
        .index
        .scan(&collection("c"), None, None, 100, Projection::Metadata)
        .await;
    let name = |row: Row| format!("{}/{}", row.dataset, row.key);
    rows.unwrap().into_iter().map(name).collect()
}

#[tokio::test]
async fn equal_pictures_are_told_by_hash_with_the_row_that_would_stay_first() {
    let world = world().await;
    let told = world.search().await.find_duplicates(find("")).await.unwrap();
    let (mut groups, last) = all(told.into_inner()).await;
    groups.sort_by_key(|group| group.rows);
    let keys = |group: &v1::DuplicateGroup| -> Vec<String> {
        group
            .items
            .iter()
            .map(|item| format!("{}/{}", item.dataset, item.key))
            .collect()
    };
    assert_eq!(groups.len(), 2);
    assert_eq!(keys(&groups[0]), ["d/c.png", "d/d.png"]);
    assert_eq!(keys(&groups[1]), ["d/a.png", "e/a.png", "d/b.png"]);
    assert_eq!(groups[1].content_hash, sha256_hex(b"cat"));
    assert_eq!(
        (last.checked_rows, last.total_rows),
        (6, 6),
        "rows without picture are no duplicates"
    );
    let summary = last.summary.unwrap();
    assert_eq!(
        (
            summary.groups,
            summary.surplus_rows,
            summary.other_texts,
            summary.deleted_rows
        ),
        (2, 3, 1, 0)
    );

    let told = world.search().await.find_duplicates(find("e")).await.unwrap();
    assert!(all(told.into_inner()).await.0.is_empty(), "of one dataset");
    world.end().await;
}

#[tokio::test]
async fn dropping_leaves_the_first_by_key_and_done_twice_does_nothing_more() {
    let world = world().await;
    let summary = drop_all(&world, "d").await;
    assert_eq!((summary.surplus_rows, summary.deleted_rows), (2, 2));
    let left = ["d/a.png", "e/a.png", "d/c.png", "d/e.png", "d/t1", "d/t2"];
    assert_eq!(keys(&world).await, left.map(Into::into).into());

    let summary = drop_all(&world, "").await;
    assert_eq!((summary.groups, summary.deleted_rows), (1, 1));
    let summary = drop_all(&world, "").await;
    assert_eq!(summary, v1::duplicates_response::Summary::default());
    let left = ["d/a.png", "d/c.png", "d/e.png", "d/t1", "d/t2"];
    assert_eq!(keys(&world).await, left.map(Into::into).into());
    world.end().await;
}

#[tokio::test]
async fn duplicates_of_what_is_not_there_are_refused() {
    let world = World::with_encoder(None).await;
    let refused = world.search().await.find_duplicates(find("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let wrong = v1::DropDuplicatesRequest {
        name: "nothing".into(),
        dataset: "Not A Name".into(),
    };
    let refused = world.search().await.drop_duplicates(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("name:") && refused.message().contains("dataset:"),
        "{refused}"
    );
    world.end().await;
}
