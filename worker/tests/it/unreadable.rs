//! Objects that their store never gives, and stores that give nothing.

use crate::bench::{Bench, Running, ends, entries, eventually};
use crate::tars::{pictures, tar};
use sightline_core::{Item, ItemOutcome, Outcome, ShardMessage, ShardResult};

/// Deliveries before an object may be given up.
const TRIED_AGAIN: usize = 5;
/// How often an object is asked for in a delivery, by the bench's configuration.
const ATTEMPTS: usize = 2;
/// How often it is asked for beside another one before it is given up.
const BESIDE: usize = 10;

fn outcome<'a>(result: &'a ShardResult, key: &str) -> &'a ItemOutcome {
    result.items.iter().find(|item| item.key.as_str() == key).unwrap()
}

/// How often messages were worked on until there was such an error.
fn ended_with(worker: &Running, error: &str) -> usize {
    let label = format!("error_type=\"{error}\"");
    let metrics = worker.metrics.encode();
    let mut lines = metrics.lines();
    let count =
        lines.find(|line| line.starts_with("messaging_process_duration_seconds_count") && line.contains(&label));
    count.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn objects_that_are_never_given_end_as_failed_beside_others_and_keep_neither_the_run_nor_the_worker() {
    let mut bench = Bench::new().await;
    let mut items = Vec::new();
    for at in 0..10 {
        items.push(bench.picture(&format!("good-{at}"), &format!("picture {at}")).await);
    }
    items.push(bench.picture("refused", "a picture").await);
    items.push(bench.picture("cut", "CUT for ever").await);
    let message = bench.plan("never", entries(items)).await;
    let worker = bench.start();

    let result = bench.work(&message).await;

    let ends = ends(&result);
    assert_eq!((result.counts.indexed, result.counts.failed), (10, 2), "{ends:?}");
    for (key, said) in [
        ("refused", "HTTP 503 SlowDown"),
        ("cut", "the answer holds 6 of 12 bytes"),
    ] {
        assert_eq!(ends[key], "failed unreadable_object");
        let Outcome::Failed { message: why, .. } = &outcome(&result, key).outcome else {
            panic!("{key} did not fail");
        };
        let retry = format!("sightline runs retry {}", message.run);
        for part in [
            format!("{key:?}").as_str(),
            said,
            "in delivery 6",
            "the store answered for \"good-",
            &retry,
        ] {
            assert!(why.contains(part), "{part} is not in {why}");
        }
    }
    // In each of the first deliveries one of both ends it for the other.
    let asked = |key: &str| bench.fetched().iter().filter(|fetched| *fetched == key).count();
    let last = ATTEMPTS + BESIDE;
    for key in ["refused", "cut"] {
        let asked = asked(key);
        assert!(
            (last..=last + TRIED_AGAIN * ATTEMPTS).contains(&asked),
            "{key}: {asked}"
        );
    }
    assert_eq!(bench.rows().await.len(), 10);
    // The shard alone waited, and not the worker.
    eventually("all deliveries are counted", async || {
        (ended_with(&worker, "unreadable") == TRIED_AGAIN).then_some(())
    })
    .await;
    assert_eq!(ended_with(&worker, "unavailable"), 0);
    assert_eq!(bench.dead_letters().await, 0);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_object_that_is_given_again_before_it_is_given_up_is_indexed() {
    let mut bench = Bench::new().await;
    let items = vec![
        bench.picture("good", "a picture").await,
        bench.picture("recovers", "another").await,
    ];
    let message = bench.plan("recovers", entries(items)).await;
    let worker = bench.start();
    let result = bench.work(&message).await;
    assert_eq!(result.counts.indexed, 2, "{:?}", ends(&result));
    worker.end().await.unwrap();
    let asked = bench.fetched().iter().filter(|key| *key == "recovers").count();
    assert_eq!(asked, 8 + 1, "in the fifth delivery it is read");
}

#[tokio::test]
async fn pictures_of_a_tar_that_is_never_given_are_given_up_together_a_span() {
    let mut bench = Bench::new().await;
    let mut items = tar(&bench, "refused.tar", &pictures(4)).await;
    items.extend(tar(&bench, "good.tar", &pictures(4)).await);
    let message = bench.plan("tars", entries(items)).await;
    let late = ShardMessage { attempt: 6, ..message };
    let worker = bench.start();
    let result = bench.work(&late).await;
    worker.end().await.unwrap();
    for (key, end) in ends(&result) {
        let expected = match key.starts_with("refused") {
            true => "failed unreadable_object",
            false => "indexed",
        };
        assert_eq!(end, expected, "{key}");
    }
    // One span of each, and a byte of the other tar for each turn.
    assert_eq!(bench.ranges(), ATTEMPTS + BESIDE + 1 + BESIDE + 1);
}

/// Works on items while faults are switched on, in deliveries as late as they can be, until they were read so often, and then
/// without them.
async fn outage(request: &str, faults: &[&str], items: usize) {
    let mut bench = Bench::new().await;
    let mut planned: Vec<Item> = Vec::new();
    for at in 0..items {
        planned.push(bench.picture(&format!("p{at}"), &format!("picture {at}")).await);
    }
    bench.picture("of no item", "but in the same root").await;
    let message = bench.plan(request, entries(planned)).await;
    let late = ShardMessage {
        attempt: 1000,
        ..message.clone()
    };
    for fault in faults {
        bench.switch_on(fault);
    }
    bench.publish(&late).await;
    let worker = bench.start();
    eventually("the worker waits for the store", async || {
        let waits = worker.service.status().waiting_for;
        waits.contains("the object store is not available").then_some(())
    })
    .await;
    eventually("many deliveries", async || {
        (ended_with(&worker, "unavailable") >= 10).then_some(())
    })
    .await;
    assert!(!bench.state.has_result(&message.run, &message.shard).await.unwrap());
    assert!(bench.fetches() >= 10 * ATTEMPTS);

    for fault in faults {
        bench.switch_off(fault);
    }

    bench.done().await;
    let result = bench.result(&message).await;
    assert_eq!(result.counts.indexed, items as u64, "{faults:?}: {:?}", ends(&result));
    assert_eq!(bench.dead_letters().await, 0);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn while_a_store_gives_nothing_no_item_fails_however_often_its_shard_is_delivered() {
    outage("many", &["reads-away", "lists-away"], 5).await;
    outage("one", &["reads-away", "lists-away"], 1).await;
}

#[tokio::test]
async fn a_store_that_lists_and_gives_nothing_is_away_for_a_single_object_too() {
    outage("lists", &["reads-away"], 1).await;
}
