//! Roll-ups: counted from instead of results, and never wrong when a result comes late.

use crate::fixture::{Fixture, id, work};
use crate::state_root::reading;
use sightline_core::{ItemOutcome, Outcome, OutcomeCounts, RunId, Timestamp};
use sightline_objects::{ListRequest, LocalStore, ObjectStore};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::{Code, Request};

async fn get(fixture: &Fixture, name: &str) -> v1::Run {
    let request = v1::GetRunRequest { name: name.into() };
    fixture.api().get_run(Request::new(request)).await.unwrap().into_inner()
}

async fn keys(fixture: &Fixture, run: &str, folder: &str) -> Vec<String> {
    let store = LocalStore::open(fixture.folder.path().join("state")).await.unwrap();
    let page = store.list(&ListRequest::all(format!("{run}/{folder}/"))).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

/// A run of 300 shards that has ended with one failed item, followed by two coordinators.
async fn ended(fixture: &Fixture) -> v1::Run {
    let spec = v1::RunSpec {
        shard_items: 1,
        window_shards: 1000,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let mut consumer = fixture.consumer().await;
    let other = Fixture::beside(fixture).await;
    for taken in 0..300 {
        work(fixture, consumer.as_mut(), &["0007.png"]).await;
        if taken % 50 == 0 {
            get(&other, &run.name).await;
        }
    }
    other.until(&run.name, |run| run.end_time.is_some()).await;
    fixture.until(&run.name, |run| run.end_time.is_some()).await
}

#[tokio::test]
async fn an_ended_run_is_counted_from_roll_ups_that_all_coordinators_write_alike() {
    let fixture = Fixture::new(300).await;
    let run = ended(&fixture).await;
    let roll_ups = keys(&fixture, &run.name, "rollups").await;
    let links: BTreeSet<&str> = roll_ups.iter().filter_map(|key| key.split('/').nth(3)).collect();
    assert!((2..6).contains(&roll_ups.len()), "{roll_ups:?}");
    assert_eq!(
        links.len(),
        roll_ups.len(),
        "one for each part of the tree: {roll_ups:?}"
    );
    let (fresh, reads) = reading(&fixture).await;
    assert_eq!(get(&fresh, &run.name).await, run);
    assert_eq!(reads.results.load(Ordering::Relaxed), 0);
    assert_eq!((run.planned_shards, run.done_shards), (300, 300));
    assert_eq!(keys(&fixture, &run.name, "rollups").await, roll_ups);
}

/// A late worker's result of the shard that the failed item is in.
async fn late_result(fixture: &Fixture, run: &RunId) {
    for key in keys(fixture, &format!("runs/{run}"), "results").await {
        let shard = sightline_core::layout::shard_of_result(run, &key).unwrap();
        let mut result = fixture.state.result(run, &shard).await.unwrap().unwrap();
        if result.counts.failed == 0 {
            continue;
        }
        let outcome = Outcome::Indexed { digest: "d".into() };
        let item = |item: &ItemOutcome| ItemOutcome {
            outcome: outcome.clone(),
            ..item.clone()
        };
        result.items = result.items.iter().map(item).collect();
        result.counts = OutcomeCounts {
            indexed: result.items.len() as u64,
            ..OutcomeCounts::default()
        };
        result.finished_at = Timestamp(9);
        fixture.state.put_result(&result, "0002-late").await.unwrap();
        return;
    }
    panic!("no item failed");
}

#[tokio::test(start_paused = true)]
async fn a_better_result_that_comes_after_the_roll_up_counts() {
    let fixture = Fixture::new(300).await;
    let run = ended(&fixture).await;
    assert_eq!(run.counts.unwrap().failed, 1);
    let before = keys(&fixture, &run.name, "rollups").await;
    let id = id(&run);
    late_result(&fixture, &id).await;

    let (first, reads) = reading(&fixture).await;
    let now = get(&first, &run.name).await;
    assert_eq!(
        (now.state(), now.counts.unwrap().indexed),
        (v1::run::State::Succeeded, 300)
    );
    let read = reads.results.load(Ordering::Relaxed);
    assert!(
        (1..=200).contains(&read),
        "{read} results were read, of one part of the tree"
    );
    let retry = v1::RetryFailedRequest {
        name: run.name.clone(),
        request_id: "again".into(),
    };
    let refused = first.api().retry_failed(Request::new(retry)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "nothing failed any more");

    // The new roll-up stands beside the one that is out of date.
    let after = keys(&fixture, &run.name, "rollups").await;
    assert_eq!(after.len(), before.len() + 1);
    let (second, reads) = reading(&fixture).await;
    assert_eq!(get(&second, &run.name).await, now);
    assert_eq!(reads.results.load(Ordering::Relaxed), 0);

    // A coordinator that counted the run before looks again after a while.
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(get(&fixture, &run.name).await.counts.unwrap().failed, 0);
}

#[tokio::test]
async fn a_run_that_is_met_in_its_middle_goes_on_from_its_roll_ups() {
    let fixture = Fixture::new(300).await;
    let spec = v1::RunSpec {
        shard_items: 1,
        window_shards: 8,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let mut consumer = fixture.consumer().await;
    for _ in 0..200 {
        work(&fixture, consumer.as_mut(), &[]).await;
    }
    fixture.until(&run.name, |run| run.done_shards == 200).await;
    let (fresh, reads) = reading(&fixture).await;
    let met = get(&fresh, &run.name).await;
    assert_eq!((met.done_shards, met.counts.unwrap().indexed), (200, 200));
    let read = reads.results.load(Ordering::Relaxed);
    assert!(read <= 80, "{read} results were read, and 128 are summed up");
    for _ in 200..300 {
        work(&fixture, consumer.as_mut(), &[]).await;
    }
    let done = fresh.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((done.done_shards, done.counts.unwrap().indexed), (300, 300));
}
