//! Failures while a run goes on: told to those who watch, and limited.

use crate::fixture::{Fixture, LIMIT, id, work};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::Request;

#[tokio::test]
async fn a_run_that_nobody_watches_stops_itself_beyond_its_share_of_failures() {
    let fixture = Fixture::new(20).await;
    let spec = v1::RunSpec {
        max_failure_share: 0.1,
        shard_items: 1,
        window_shards: 100,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    assert!((run.spec.as_ref().unwrap().max_failure_share - 0.1).abs() < 1e-9);
    let mut consumer = fixture.consumer().await;
    for fails in ["0000.png", "0001.png", "0002.png"] {
        work(&fixture, consumer.as_mut(), &[fails]).await;
    }
    let id = id(&run);
    let stopped = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(stop) = fixture.state.stop(&id).await.unwrap() {
                return stop;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let stop = stopped.await.unwrap();
    assert_eq!(stop.reason, sightline_core::StopReason::TooManyFailures);
    assert!(
        stop.message.contains("3 of 20 items failed, more than the 10%"),
        "{}",
        stop.message
    );
    let wrong = v1::RunSpec {
        max_failure_share: 1.5,
        mirror: Some(v1::run_spec::Mirror { max_share: -1.0 }),
        ..fixture.spec()
    };
    let refused = fixture.create("wrong", wrong).await.unwrap_err();
    assert!(refused.message().contains("spec.max_failure_share"), "{refused}");
    assert!(refused.message().contains("spec.mirror.max_share"), "{refused}");
}

#[tokio::test]
async fn a_run_that_ends_before_anybody_saw_its_failures_has_failed_too() {
    let fixture = Fixture::new(10).await;
    let spec = v1::RunSpec {
        max_failures: 2,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &["0001.png", "0002.png", "0003.png"]).await;
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.done_shards), (v1::run::State::Failed, 1));
    assert!(
        ended.state_message.contains("3 items failed, more than the 2"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn who_watches_is_told_which_items_failed_last() {
    let fixture = Fixture::new(30).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &["0003.png"]).await;
    let request = v1::WatchRunRequest { name: run.name };
    let mut states = fixture
        .api()
        .watch_run(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    let told = tokio::time::timeout(LIMIT, async {
        while let Some(state) = states.next().await {
            let failures = state.unwrap().recent_failures;
            if !failures.is_empty() {
                return failures;
            }
        }
        Vec::new()
    });
    let told = told.await.unwrap();
    assert_eq!(
        (told[0].key.as_str(), told[0].reason.as_str()),
        ("0003.png", "corrupt_image")
    );
}
