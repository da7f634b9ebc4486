//! What scrapers see of runs that end before their end.

use crate::fixture::{Fixture, LIMIT, work};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use tonic::Request;

fn stopped(fixture: &Fixture, reason: &str) -> u64 {
    let text = fixture.metrics.encode();
    let name = format!("sightline_coordinator_runs_stopped_total{{reason=\"{reason}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
    value.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[tokio::test]
async fn a_run_that_fails_is_counted_once_by_its_reason_and_was_zero_before() {
    let fixture = Fixture::new(3).await;
    assert_eq!(stopped(&fixture, "dataset_unreadable"), 0);
    let run = fixture.create("r", fixture.spec_of_table("missing.csv")).await.unwrap();
    let failed = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(failed.state(), v1::run::State::Failed);
    // Who watches may see the end before whoever wrote it goes on.
    let counted = async {
        while stopped(&fixture, "dataset_unreadable") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, counted).await.unwrap();
    assert_eq!(stopped(&fixture, "dataset_unreadable"), 1);
    assert_eq!(stopped(&fixture, "cancelled"), 0);
}

#[tokio::test]
async fn a_run_that_is_cancelled_twice_is_counted_once_and_one_that_succeeds_is_not() {
    let fixture = Fixture::new(3).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    for _ in 0..2 {
        let cancel = v1::CancelRunRequest { name: run.name.clone() };
        fixture.api().cancel_run(Request::new(cancel)).await.unwrap();
    }
    assert_eq!(stopped(&fixture, "cancelled"), 1);

    let fixture = Fixture::new(3).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    fixture.until(&run.name, |run| run.end_time.is_some()).await;
    let all = ["cancelled", "too_many_failures", "dataset_unreadable", "mirror_refused"];
    assert!(all.iter().all(|reason| stopped(&fixture, reason) == 0));
}
