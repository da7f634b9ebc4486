//! Runs that are under way, among the metrics.

use crate::fixture::{Fixture, id, work};
use sightline_proto::v1;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than a run is shown after its end.
const LATER: Duration = Duration::from_secs(121);
/// One picture of each shard.
const BROKEN: [&str; 2] = ["0003.png", "0013.png"];

/// What a scrape tells of a run, less its id.
fn told(fixture: &Fixture, run: &v1::Run) -> Vec<String> {
    let label = format!("run=\"{}\",", id(run));
    let scrape = fixture.metrics.encode();
    let of_run = scrape.lines().filter(|line| line.contains(&label));
    of_run.map(|line| line.replace(&label, "")).collect()
}

fn items(outcome: &str, count: usize) -> String {
    format!("sightline_coordinator_run_items{{dataset=\"pictures\",outcome=\"{outcome}\"}} {count}")
}

#[tokio::test]
async fn a_run_is_among_the_metrics_while_it_goes_on_and_not_long_after_its_end() {
    let fixture = Fixture::new(15).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let mut consumer = fixture.consumer().await;
    let first = work(&fixture, consumer.as_mut(), &BROKEN).await.len();
    fixture
        .until(&run.name, |run| run.plan_complete && run.done_shards == 1)
        .await;
    let planned = "sightline_coordinator_run_planned_items{dataset=\"pictures\"} 15";
    let now = told(&fixture, &run);
    for line in [planned, &items("indexed", first - 1), &items("failed", 1)] {
        assert!(now.iter().any(|told| told == line), "{line}: {now:?}");
    }
    work(&fixture, consumer.as_mut(), &BROKEN).await;
    fixture.until(&run.name, |run| run.end_time.is_some()).await;
    let last = told(&fixture, &run);
    for line in [planned, &items("indexed", 13), &items("failed", 2)] {
        assert!(last.iter().any(|told| told == line), "{line}: {last:?}");
    }
    fixture
        .coordinator
        .look_for_lost_links(Instant::now() + LATER)
        .await
        .unwrap();
    assert!(told(&fixture, &run).is_empty(), "{:?}", told(&fixture, &run));
}
