//! How widely an approximate index looks: as a search says, or as far as its recall target needs.

use crate::between::{Between, OnTheWay};
use crate::encoder::CountingEncoder;
use crate::rows::{described, row};
use crate::search::{picture, request};
use crate::world::World;
use async_trait::async_trait;
use sightline_core::{CollectionDescription, IndexKind, Row, VectorField};
use sightline_gateway::config::GatewayConfig;
use sightline_index::{FieldHits, FieldSearch, IndexError, VectorIndex};
use sightline_proto::v1;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Lists of the index.
const NLIST: u32 = 64;

type Efforts = Arc<Mutex<Vec<Option<u32>>>>;

/// An index whose recall among the ten best is a tenth for each list that it looks at.
#[derive(Debug)]
struct ATenthAList {
    efforts: Efforts,
    takes: Duration,
}

#[async_trait]
impl OnTheWay for ATenthAList {
    async fn before(&self, call: &'static str) -> Result<(), IndexError> {
        if call == "search" && !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        Ok(())
    }

    fn found(&self, search: &FieldSearch, mut found: FieldHits) -> FieldHits {
        self.efforts.lock().unwrap().push(search.effort);
        let lists = search.effort.unwrap_or(NLIST) as usize;
        // A stored vector finds itself however narrow the look is.
        found.hits.truncate(lists + 1);
        found.exact = false;
        found.settled = found.hits.len();
        found
    }
}

/// Rows that no two of look alike.
fn rows() -> Vec<Row> {
    let word = |number: usize| format!("{}{}", "a".repeat(1 + number % 9), "b".repeat(1 + number / 9));
    (0..60)
        .map(|number| row(&format!("k{number}"), Some(&word(number)), None))
        .collect()
}

async fn world(index: IndexKind) -> (World, Efforts) {
    slow_world(index, Duration::ZERO).await
}

async fn slow_world(index: IndexKind, takes: Duration) -> (World, Efforts) {
    let efforts = Efforts::default();
    let way = ATenthAList {
        efforts: Arc::clone(&efforts),
        takes,
    };
    let encoder = CountingEncoder::new("counter", true);
    let wrap = |index| -> Arc<dyn VectorIndex> { Arc::new(Between { index, way }) };
    let world = World::start(Some(encoder), GatewayConfig::default(), wrap).await;
    let description = CollectionDescription {
        index,
        ..described("stamps", &[VectorField::Image])
    };
    world.fill(&description, &rows()).await;
    (world, efforts)
}

fn asked(effort: i32, recall_target: Option<f64>) -> v1::SearchRequest {
    v1::SearchRequest {
        image: picture("aab"),
        effort,
        recall_target,
        fields: vec!["id".into()],
        ..request("stamps")
    }
}

/// Efforts of the searches since the last time.
fn taken(efforts: &Efforts) -> Vec<Option<u32>> {
    std::mem::take(&mut *efforts.lock().unwrap())
}

#[tokio::test]
async fn a_search_looks_as_widely_as_it_says() {
    let (world, efforts) = world(IndexKind::IvfFlat { nlist: NLIST }).await;
    let mut client = world.search().await;
    client.search(asked(0, None)).await.unwrap();
    assert!(taken(&efforts).iter().all(Option::is_none), "the index's default");
    client.search(asked(12, None)).await.unwrap();
    assert!(taken(&efforts).iter().all(|effort| *effort == Some(12)));
    world.end().await;
}

#[tokio::test]
async fn a_recall_target_takes_the_least_effort_that_reached_it_and_measures_once_in_ten_minutes() {
    let (world, efforts) = world(IndexKind::IvfFlat { nlist: NLIST }).await;
    let mut client = world.search().await;
    let targets = [(0.4, 4), (0.41, 8), (0.1, 1), (0.8, 8), (0.81, 16), (1.0, 16)];
    for (place, (target, effort)) in targets.into_iter().enumerate() {
        client.search(asked(0, Some(target))).await.unwrap();
        let asked = taken(&efforts);
        assert_eq!(asked.last(), Some(&Some(effort)), "{target}");
        assert_eq!(asked.len() > 20, place == 0, "{target}: {} searches", asked.len());
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    let mut client = world.search().await;
    client.search(asked(0, Some(0.4))).await.unwrap();
    assert!(
        taken(&efforts).len() > 20,
        "what was measured long ago is measured again"
    );
    world.end().await;
}

#[tokio::test]
async fn a_recall_target_is_measured_for_each_filter_among_the_rows_that_it_leaves() {
    let (world, efforts) = world(IndexKind::IvfFlat { nlist: NLIST }).await;
    let mut client = world.search().await;
    let filtered = |filter: &str| v1::SearchRequest {
        filter: filter.to_owned(),
        ..asked(0, Some(0.4))
    };
    for (filter, effort, is_measured) in [
        ("", 4, true),
        ("key != k1", 4, true),
        ("key != k1", 4, false),
        ("", 4, false),
        // Fewer rows than are measured with.
        ("key IN (k1, k2)", NLIST, false),
    ] {
        client.search(filtered(filter)).await.unwrap();
        let asked = taken(&efforts);
        assert_eq!(asked.last(), Some(&Some(effort)), "{filter}");
        assert_eq!(asked.len() > 20, is_measured, "{filter}: {} searches", asked.len());
    }
    world.end().await;
}

#[tokio::test]
async fn a_measurement_goes_on_when_its_caller_has_gone() {
    let (world, efforts) = slow_world(IndexKind::IvfFlat { nlist: NLIST }, Duration::from_millis(5)).await;
    let mut client = world.search().await;
    let mut hurried = tonic::Request::new(asked(0, Some(0.4)));
    hurried.set_timeout(Duration::from_millis(100));
    client.search(hurried).await.unwrap_err();
    client.search(asked(0, Some(0.4))).await.unwrap();
    let widest = taken(&efforts).into_iter().filter(|effort| *effort == Some(NLIST));
    assert_eq!(widest.count(), 32, "one widest look for each vector of the sample");
    world.end().await;
}

#[tokio::test]
async fn a_recall_target_is_measured_on_rows_that_have_the_field() {
    let (world, efforts) = world(IndexKind::IvfFlat { nlist: NLIST }).await;
    let description = CollectionDescription {
        index: IndexKind::IvfFlat { nlist: NLIST },
        ..described("both", &VectorField::ALL)
    };
    // The rows that come first by id have no picture.
    let mut rows: Vec<Row> = (0..120).map(|number| row(&format!("k{number}"), None, None)).collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    for (row, full) in rows.iter_mut().skip(60).zip(self::rows()) {
        row.image_embedding = full.image_embedding;
    }
    world.fill(&description, &rows).await;
    let asked = v1::SearchRequest {
        collection: "collections/both".into(),
        ..asked(0, Some(0.4))
    };
    world.search().await.search(asked).await.unwrap();
    assert_eq!(taken(&efforts).last(), Some(&Some(4)));
    world.end().await;
}

#[tokio::test]
async fn too_few_rows_are_looked_at_widely_and_measured_once_there_are_more() {
    let (world, efforts) = world(IndexKind::IvfFlat { nlist: NLIST }).await;
    let description = CollectionDescription {
        index: IndexKind::IvfFlat { nlist: NLIST },
        ..described("growing", &[VectorField::Image])
    };
    let mut client = world.search().await;
    let asked = || v1::SearchRequest {
        collection: "collections/growing".into(),
        ..asked(0, Some(0.4))
    };
    for count in [0, 1, 5] {
        world.fill(&description, &rows()[..count]).await;
        client.search(asked()).await.unwrap();
        assert_eq!(taken(&efforts), [Some(NLIST)], "{count}");
    }
    world.fill(&description, &rows()).await;
    client.search(asked()).await.unwrap();
    assert_eq!(taken(&efforts).last(), Some(&Some(4)));
    world.end().await;
}

#[tokio::test]
async fn what_was_measured_does_not_hold_for_another_collection_of_the_same_name() {
    let (world, efforts) = world(IndexKind::IvfFlat { nlist: NLIST }).await;
    let mut client = world.search().await;
    client.search(asked(0, Some(0.4))).await.unwrap();
    assert!(taken(&efforts).len() > 20);
    let other = CollectionDescription {
        index: IndexKind::IvfFlat { nlist: NLIST / 2 },
        ..described("stamps", &[VectorField::Image])
    };
    // Through another gateway first, then through this one.
    world.index.drop_collection(&other.name).await.unwrap();
    world.fill(&other, &rows()).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    let mut client = world.search().await;
    client.search(asked(0, Some(0.4))).await.unwrap();
    assert!(taken(&efforts).len() > 20, "it has another index");
    let dropped = v1::DeleteCollectionRequest {
        name: "collections/stamps".into(),
    };
    client.delete_collection(dropped).await.unwrap();
    world.fill(&other, &rows()).await;
    client.search(asked(0, Some(0.4))).await.unwrap();
    assert!(taken(&efforts).len() > 20, "it was made anew");
    world.end().await;
}

#[tokio::test]
async fn an_index_that_looks_at_everything_is_not_measured() {
    let (world, efforts) = world(IndexKind::Flat).await;
    world.search().await.search(asked(0, Some(0.99))).await.unwrap();
    assert!(taken(&efforts).iter().all(Option::is_none));
    world.end().await;
}
