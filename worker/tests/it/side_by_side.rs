//! Shards that are in hand together.

use crate::bench::{Bench, PATIENCE, entries, eventually};
use sightline_core::Item;
use sightline_worker::config::SupervisorConfig;

/// As many as are in the engine of [`Bench::config`] at once.
const PLACES: usize = 16;

async fn pictures(bench: &Bench, prefix: &str, body: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for at in 0..PLACES {
        items.push(bench.picture(&format!("{prefix}{at}"), &format!("{body} {at}")).await);
    }
    items
}

#[tokio::test]
async fn shards_in_hand_enter_the_pipeline_one_after_the_other() {
    let mut bench = Bench::new().await;
    let mut shards = Vec::new();
    for (prefix, body) in [("stuck-", "BLOCK"), ("a", "picture"), ("b", "another picture")] {
        let items = pictures(&bench, prefix, body).await;
        shards.push(bench.plan(prefix, entries(items)).await);
    }
    let worker = bench.start_with(SupervisorConfig {
        prefetch: 3,
        ..bench.config()
    });
    bench.publish(&shards[0]).await;
    eventually("every place is taken", async || {
        (bench.fetches() == PLACES).then_some(())
    })
    .await;
    // One after the other, since a shard that is looked up late lets one that came later begin.
    for (at, shard) in shards.iter().enumerate().skip(1) {
        bench.publish(shard).await;
        eventually("it is looked up", async || (bench.lookups() > at).then_some(())).await;
    }

    bench.switch_on("released");
    for _ in &shards {
        bench.done().await;
    }

    let fetched = bench.fetched();
    let first = &fetched[PLACES..][..PLACES / 2];
    assert!(first.iter().all(|key| key.starts_with('a')), "{fetched:?}");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn rows_of_a_shard_do_not_wait_for_others_when_its_last_one_has_come_in_whatever_order() {
    let mut bench = Bench::new().await;
    let bad = bench.picture("bad", "BAD").await;
    let indexed = with_a_late_one(&mut bench, "BLOCK", vec![bad]).await;
    assert_eq!(indexed, 4);
}

#[tokio::test]
async fn rows_of_a_shard_do_not_wait_for_others_when_its_last_item_brings_none() {
    let mut bench = Bench::new().await;
    let indexed = with_a_late_one(&mut bench, "BLOCK BAD", Vec::new()).await;
    assert_eq!(indexed, 3);
}

/// Works on a shard of these items, of three good pictures, and of one that ends when all others have ended or wait to be
/// written. Rows wait for others longer than any test waits. Gives how many were written.
async fn with_a_late_one(bench: &mut Bench, late: &str, mut items: Vec<Item>) -> u64 {
    items.insert(0, bench.picture("late", late).await);
    for at in 0..3 {
        items.push(bench.picture(&format!("p{at}"), &format!("picture {at}")).await);
    }
    let message = bench.plan("r", entries(items)).await;
    let mut config = bench.config();
    config.engine.pipeline.upsert_linger_ms = 2 * u64::try_from(PATIENCE.as_millis()).unwrap();
    let worker = bench.start_with(config);
    bench.publish(&message).await;
    eventually("all but the late one are on their way into the index", async || {
        let status = worker.service.status();
        let upsert = status.stages.iter().find(|stage| stage.name == "upsert");
        upsert.is_some_and(|stage| stage.waiting == 3).then_some(())
    })
    .await;

    bench.switch_on("released");

    assert_eq!(bench.done().await, message.shard);
    let indexed = bench.result(&message).await.counts.indexed;
    worker.end().await.unwrap();
    indexed
}
