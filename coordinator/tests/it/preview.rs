//! Runs that are only planned and counted.

use crate::fixture::Fixture;
use crate::imports::collection;
use sightline_core::CollectionName;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

async fn preview(fixture: &Fixture, spec: v1::RunSpec) -> Result<v1::PreviewRunResponse, tonic::Status> {
    let request = v1::PreviewRunRequest { spec: Some(spec) };
    let mut told = fixture.api().preview_run(Request::new(request)).await?.into_inner();
    let mut last = None;
    while let Some(message) = told.next().await {
        last = Some(message?);
    }
    Ok(last.unwrap())
}

#[tokio::test]
async fn a_preview_counts_what_the_run_would_take_and_stores_and_queues_nothing() {
    let fixture = Fixture::new(25).await;
    let dataset = fixture.folder.path().join("dataset");
    std::fs::write(dataset.join("notes.txt"), "no picture").unwrap();
    std::fs::write(dataset.join("a.JPG"), "12345").unwrap();
    let told = preview(&fixture, fixture.spec()).await.unwrap();
    assert!(told.complete);
    assert_eq!((told.items, told.shards), (27, 3));
    let types: Vec<_> = told.types.iter().map(|of| (of.r#type.as_str(), of.items)).collect();
    assert_eq!(types, [("jpg", 1), ("png", 25)]);
    assert_eq!(told.types[0].bytes, 5);
    assert_eq!(told.bytes, told.types.iter().map(|of| of.bytes).sum::<i64>());
    assert_eq!(
        (told.skips[0].reason.as_str(), told.skips[0].count),
        ("unsupported_type", 1)
    );
    assert_eq!(told.unchanged_items, Some(0), "there is no collection yet");
    assert!(fixture.state.list_runs(None).await.unwrap().runs.is_empty());
    assert!(fixture.index.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_preview_of_what_cannot_be_is_refused_like_the_run() {
    let fixture = Fixture::new(1).await;
    let wrong = v1::RunSpec {
        collection: "nothing".into(),
        ..fixture.spec()
    };
    let refused = preview(&fixture, wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let absent = fixture.spec_of_table("absent.csv");
    let refused = preview(&fixture, absent).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("absent.csv"), "{refused}");
}

#[tokio::test]
async fn a_preview_into_an_alias_is_refused_in_the_words_that_refuse_the_run() {
    let fixture = Fixture::new(1).await;
    collection(&fixture, "behind").await;
    let [alias, behind] = ["front", "behind"].map(|name| CollectionName::new(name).unwrap());
    fixture.index.set_alias(&alias, &behind).await.unwrap();
    let into = |name: &str| v1::RunSpec {
        collection: format!("collections/{name}"),
        ..fixture.spec()
    };
    let refused = preview(&fixture, into("front")).await.unwrap_err();
    let run = fixture.create("alias", into("front")).await.unwrap_err();
    let said = refused.message();
    assert!(said.contains("front is an alias of collection behind"), "{said}");
    assert_eq!((refused.code(), refused.message()), (run.code(), run.message()));
    assert!(preview(&fixture, into("behind")).await.unwrap().complete);
}
