//! How many shards of a run are outstanding.

use crate::fixture::Fixture;
use bytes::Bytes;
use sightline_core::message::queues;
use sightline_core::{ModelName, Timestamp, WorkerReport};
use sightline_proto::v1;
use std::time::Duration;

/// Time passes, so that planning goes as far as it may.
#[tokio::test(start_paused = true)]
async fn as_many_shards_wait_as_a_worker_says_that_it_takes_into_its_hands() {
    let fixture = Fixture::new(200).await;
    let _one_worker = fixture.consumer().await;
    let report = WorkerReport {
        worker: "w".into(),
        model: ModelName::new("test-model").unwrap(),
        waiting_for: None,
        since: Timestamp(0),
        in_hand: Some(5),
    };
    let report = Bytes::from(serde_json::to_vec(&report).unwrap());
    let telling = async {
        loop {
            fixture
                .queue
                .broadcast(queues::TOPIC_WORKERS, report.clone())
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    let planning = async {
        let spec = v1::RunSpec {
            window_shards: 2,
            ..fixture.spec()
        };
        let run = fixture.create("r", spec).await.unwrap();
        fixture.until(&run.name, |run| run.planned_shards >= 10).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        fixture.until(&run.name, |_| true).await
    };
    let run = tokio::select! {
        biased;
        run = planning => run,
        () = telling => unreachable!("it tells for ever"),
    };
    assert_eq!(run.planned_shards, 10, "of 20: five in hand, and five that wait");
}
