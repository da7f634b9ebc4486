//! Runs made of other runs.

use crate::fixture::{Fixture, work};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use sightline_queue::QueueOptions;
use std::collections::BTreeSet;
use tonic::{Code, Request};

async fn retry(fixture: &Fixture, run: &str, request_id: &str) -> Result<v1::Run, tonic::Status> {
    let request = v1::RetryFailedRequest {
        name: run.into(),
        request_id: request_id.into(),
    };
    Ok(fixture.api().retry_failed(Request::new(request)).await?.into_inner())
}

/// A run of 30 items in 3 shards, of which two failed, in two shards.
async fn two_failed(fixture: &Fixture) -> v1::Run {
    let run = fixture.create("parent", fixture.spec()).await.unwrap();
    let mut consumer = fixture.consumer().await;
    for _ in 0..3 {
        work(fixture, consumer.as_mut(), &["0003.png", "0017.png"]).await;
    }
    fixture.until(&run.name, |run| run.end_time.is_some()).await
}

#[tokio::test]
async fn a_retry_is_a_run_of_exactly_the_failed_items_with_their_objects_as_they_are_now() {
    let fixture = Fixture::new(30).await;
    let parent = two_failed(&fixture).await;
    assert_eq!(parent.counts.unwrap().failed, 2);
    let changed = fixture.folder.path().join("dataset/0003.png");
    std::fs::write(&changed, "a picture that was mended").unwrap();

    let child = retry(&fixture, &parent.name, "again").await.unwrap();
    assert_eq!(child.spec.as_ref().unwrap().parent_run, parent.name);
    let mut consumer = fixture.consumer().await;
    let mut taken = work(&fixture, consumer.as_mut(), &[]).await;
    taken.sort_unstable();
    assert_eq!(taken, ["0003.png", "0017.png"]);
    let ended = fixture.until(&child.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.planned_items), (v1::run::State::Succeeded, 2));

    let sizes: BTreeSet<u64> = sizes(&fixture, &child.name).await;
    assert!(sizes.contains(&25), "the mended file's size is planned: {sizes:?}");
    let parent_again = fixture.until(&parent.name, |_| true).await;
    assert_eq!(parent_again.counts, parent.counts, "what a run reported stays as it is");
}

async fn sizes(fixture: &Fixture, run: &str) -> BTreeSet<u64> {
    let run = sightline_core::RunId::new(run.trim_start_matches("runs/")).unwrap();
    let (results, _) = fixture.state.list_results(&run, None).await.unwrap();
    let manifest = fixture.state.manifest(&run, &results[0].shard).await.unwrap();
    manifest
        .entries
        .iter()
        .map(sightline_core::ManifestEntry::object_bytes)
        .collect()
}

#[tokio::test]
async fn a_failed_item_whose_object_is_gone_is_skipped_by_the_retry() {
    let fixture = Fixture::new(30).await;
    let parent = two_failed(&fixture).await;
    std::fs::remove_file(fixture.folder.path().join("dataset/0017.png")).unwrap();
    let child = retry(&fixture, &parent.name, "again").await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    let ended = fixture.until(&child.name, |run| run.end_time.is_some()).await;
    let counts = ended.counts.unwrap();
    assert_eq!((counts.indexed, counts.skipped, counts.failed), (1, 1, 0));
    assert_eq!(ended.skips[0].reason, "gone");
}

#[tokio::test]
async fn what_a_retry_leaves_failed_can_be_tried_again_from_the_retry() {
    let fixture = Fixture::new(30).await;
    let parent = two_failed(&fixture).await;
    let mut consumer = fixture.consumer().await;
    let child = retry(&fixture, &parent.name, "again").await.unwrap();
    work(&fixture, consumer.as_mut(), &["0017.png"]).await;
    fixture.until(&child.name, |run| run.end_time.is_some()).await;
    let grandchild = retry(&fixture, &child.name, "and again").await.unwrap();
    assert_eq!(work(&fixture, consumer.as_mut(), &[]).await, ["0017.png"]);
    let ended = fixture.until(&grandchild.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.planned_items), (v1::run::State::Succeeded, 1));
    let refused = retry(&fixture, &grandchild.name, "once more").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("nothing to try again"), "{refused}");
}

#[tokio::test]
async fn a_retry_is_made_once_for_a_request_and_only_of_an_ended_run() {
    let fixture = Fixture::new(30).await;
    let early = fixture.create("early", fixture.spec()).await.unwrap();
    let refused = retry(&fixture, &early.name, "too soon").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("has not ended"), "{refused}");
    assert_eq!(
        retry(&fixture, "runs/none", "r").await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let unknown = "runs/00000000000000000000000000000000";
    assert_eq!(retry(&fixture, unknown, "r").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        retry(&fixture, &early.name, "").await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let mut consumer = fixture.consumer().await;
    for _ in 0..3 {
        work(&fixture, consumer.as_mut(), &["0003.png"]).await;
    }
    fixture.until(&early.name, |run| run.end_time.is_some()).await;
    let first = retry(&fixture, &early.name, "again").await.unwrap();
    let second = retry(&fixture, &early.name, "again").await.unwrap();
    assert_eq!(first.name, second.name);
}

#[tokio::test]
async fn a_call_rebuilds_every_message_of_a_run_whose_broker_was_lost() {
    let mut fixture = Fixture::new(25).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    fixture.shutdown.cancel();
    let folder = std::mem::replace(&mut fixture.folder, tempfile::tempdir().unwrap());
    let queue = sightline_queue::open("memory:", QueueOptions::default()).unwrap();
    let mut after = Fixture::over(folder, queue).await;
    after.start();

    let request = v1::ResumeRunRequest { name: run.name.clone() };
    let resumed = after.api().resume_run(Request::new(request.clone())).await.unwrap();
    assert_eq!(resumed.into_inner().name, run.name);
    let mut consumer = after.consumer().await;
    let mut keys = BTreeSet::new();
    while keys.len() < 25 {
        keys.extend(work(&after, consumer.as_mut(), &[]).await);
    }
    let ended = after.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(ended.state(), v1::run::State::Succeeded);
    let again = after.api().resume_run(Request::new(request)).await.unwrap();
    assert_eq!(
        again.into_inner().state(),
        v1::run::State::Succeeded,
        "an ended run stays as it is"
    );
}
