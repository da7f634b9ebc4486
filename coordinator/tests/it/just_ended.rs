//! A run whose end one coordinator told, and another has not heard of: it looks afresh before it refuses anything.

use crate::fixture::{Fixture, work};
use crate::state_root::reading_slowly;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::time::Duration;
use tonic::Request;

/// A coordinator reads a run again after ten times what reading it took: after many times what the tests take.
const SLOW: Duration = Duration::from_millis(200);

/// A run of which one item failed, and a coordinator that looked at it a moment before it ended.
async fn just_ended() -> (Fixture, Fixture, String) {
    let fixture = Fixture::new(30).await;
    let (other, _) = reading_slowly(&fixture, SLOW).await;
    let run = fixture.create("parent", fixture.spec()).await.unwrap().name;
    let mut consumer = fixture.consumer().await;
    for _ in 0..2 {
        work(&fixture, consumer.as_mut(), &["0003.png", "0013.png", "0023.png"]).await;
    }
    let request = v1::GetRunRequest { name: run.clone() };
    let seen = other.api().get_run(Request::new(request)).await.unwrap().into_inner();
    assert!(seen.end_time.is_none(), "{seen:?}");
    work(&fixture, consumer.as_mut(), &["0003.png", "0013.png", "0023.png"]).await;
    fixture.until(&run, |run| run.end_time.is_some()).await;
    (fixture, other, run)
}

#[tokio::test]
async fn it_can_be_tried_again() {
    let (_fixture, other, name) = just_ended().await;
    let request = v1::RetryFailedRequest {
        name,
        request_id: "again".into(),
    };
    other.api().retry_failed(Request::new(request)).await.unwrap();
}

#[tokio::test]
async fn it_is_not_cancelled_any_more() {
    let (fixture, other, name) = just_ended().await;
    let told = fixture.until(&name, |run| run.end_time.is_some()).await.state();
    let cancel = v1::CancelRunRequest { name };
    let cancelled = other.api().cancel_run(Request::new(cancel)).await.unwrap();
    assert_eq!(cancelled.into_inner().state(), told);
}

#[tokio::test]
async fn it_is_in_no_other_runs_way() {
    let (fixture, other, _) = just_ended().await;
    other.create("next", fixture.spec()).await.unwrap();
}
