//! A broker that loses a link, or keeps it from everyone.

use crate::between::{Between, Fault};
use crate::fixture::{Fixture, work};
use sightline_coordinator::PlanError;
use sightline_core::message::queues;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Request;

/// Longer than a coordinator waits before it publishes a link again, and less than twice as long.
const LATER: Duration = Duration::from_secs(70);

/// Loses some links, by how many came before them, and counts all.
#[derive(Debug)]
struct Forgetful {
    forgets: Range<u32>,
    links: Arc<AtomicU32>,
}

impl Fault for Forgetful {
    fn loses(&self, queue: &str) -> bool {
        queue == queues::PLAN && self.forgets.contains(&self.links.fetch_add(1, Ordering::SeqCst))
    }
}

async fn forgetting(forgets: Range<u32>) -> (Fixture, Arc<AtomicU32>) {
    let links = Arc::<AtomicU32>::default();
    let fault = Forgetful {
        forgets,
        links: Arc::clone(&links),
    };
    let fixture = Fixture::behind(15, |queue| Arc::new(Between { queue, fault })).await;
    (fixture, links)
}

/// What came of so many looks for lost links, each late enough after the one before to publish a link again.
async fn looks(fixture: &Fixture, count: u32) -> Vec<Result<(), PlanError>> {
    let start = Instant::now();
    let mut looks = Vec::new();
    for at in 0..count {
        looks.push(fixture.coordinator.look_for_lost_links(start + LATER * at).await);
    }
    looks
}

#[tokio::test]
async fn a_link_that_the_broker_lost_is_published_again_when_planning_stood_still() {
    let (fixture, links) = forgetting(0..2).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let looks = |now| fixture.coordinator.look_for_lost_links(now);
    let start = Instant::now();
    for (seconds, published) in [(0, 1), (50, 1), (70, 2), (170, 2), (200, 3)] {
        looks(start + Duration::from_secs(seconds)).await.unwrap();
        assert_eq!(links.load(Ordering::SeqCst), published, "after {seconds} s");
    }
    let mut consumer = fixture.consumer().await;
    let mut keys = Vec::new();
    while keys.len() < 15 {
        keys.extend(work(&fixture, consumer.as_mut(), &[]).await);
    }
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.planned_items), (v1::run::State::Succeeded, 15));
}

#[tokio::test]
async fn a_run_whose_creator_died_before_its_first_message_is_watched_too() {
    // The watch message and the link.
    let (fixture, _) = forgetting(0..2).await;
    let spec = v1::RunSpec {
        mirror: Some(v1::run_spec::Mirror { max_share: 1.0 }),
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    for look in looks(&fixture, 2).await {
        look.unwrap();
    }
    let mut consumer = fixture.consumer().await;
    for _ in 0..2 {
        work(&fixture, consumer.as_mut(), &[]).await;
    }
    // It ends when somebody has looked for rows to delete.
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(ended.state(), v1::run::State::Succeeded);
}

/// A run of a later version, or a damaged one.
fn break_a_run(fixture: &Fixture) {
    let runs = fixture.folder.path().join("state/runs");
    let broken = runs.join("00000000000000000000000000000000");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("run.json"), "{").unwrap();
}

#[tokio::test]
async fn runs_are_created_listed_and_gone_on_with_beside_one_that_cannot_be_read() {
    let fixture = Fixture::new(15).await;
    break_a_run(&fixture);
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let listed = fixture
        .api()
        .list_runs(Request::new(v1::ListRunsRequest::default()))
        .await;
    let listed: Vec<String> = listed
        .unwrap()
        .into_inner()
        .runs
        .into_iter()
        .map(|run| run.name)
        .collect();
    assert_eq!(listed, [run.name]);
    fixture.coordinator.resume().await.unwrap();
    fixture.coordinator.look_through_dead_letters().await.unwrap();
    let name = format!("runs/{}", "0".repeat(32));
    let status = fixture
        .api()
        .get_run(Request::new(v1::GetRunRequest { name }))
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert!(status.message().contains("run.json"), "{status}");
}

#[tokio::test]
async fn a_run_that_cannot_be_read_keeps_no_other_waiting() {
    let (fixture, links) = forgetting(0..1).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    break_a_run(&fixture);
    for look in looks(&fixture, 2).await {
        look.unwrap_err();
    }
    assert_eq!(links.load(Ordering::SeqCst), 2, "the link is published again");
    let planned = fixture.until(&run.name, |run| run.planned_items == 15).await;
    assert_eq!(planned.state(), v1::run::State::Running);
}

#[tokio::test]
async fn links_that_wait_for_room_or_are_followed_are_not_published_again() {
    let (fixture, links) = forgetting(0..0).await;
    let spec = v1::RunSpec {
        window_shards: 1,
        shard_items: 2,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let full = fixture.until(&run.name, |run| run.planned_shards > 0).await;
    assert!(full.planned_items < 15, "the window is full");
    let published = links.load(Ordering::SeqCst);
    for look in looks(&fixture, 4).await {
        look.unwrap();
    }
    assert_eq!(links.load(Ordering::SeqCst), published);
}

#[tokio::test]
async fn a_lost_link_is_found_also_while_a_fleet_has_more_than_the_window_outstanding() {
    let (fixture, links) = forgetting(1..2).await;
    let _one_worker = fixture.consumer().await;
    let spec = v1::RunSpec {
        window_shards: 1,
        shard_items: 2,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    fixture.until(&run.name, |run| run.planned_shards == 1).await;
    for look in looks(&fixture, 2).await {
        look.unwrap();
    }
    // One worker has room for four.
    fixture.until(&run.name, |run| run.planned_shards >= 4).await;
    assert!(links.load(Ordering::SeqCst) > 2, "the lost one was published again");
}
