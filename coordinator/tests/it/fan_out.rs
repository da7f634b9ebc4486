//! Several coordinators on one tree, and runs beside each other.

use crate::fixture::{Fixture, id, planning, work};
use sightline_core::message::queues;
use sightline_core::{Link, PlanNode, RunId};
use sightline_proto::v1;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The nodes that count, as they were frozen.
pub(crate) async fn nodes(fixture: &Fixture, run: &RunId) -> Vec<PlanNode> {
    let complete = fixture.state.plan_complete(run).await.unwrap().unwrap();
    let mut nodes = Vec::new();
    for (link, digest) in &complete.nodes {
        nodes.push(fixture.state.plan_node_of(run, link, digest).await.unwrap().unwrap());
    }
    nodes
}

/// How often each key is in a shard of the tree.
pub(crate) async fn keys(fixture: &Fixture, run: &RunId) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for shard in nodes(fixture, run).await.into_iter().flat_map(|node| node.shards) {
        for entry in fixture.state.manifest(run, &shard.id).await.unwrap().entries {
            *keys.entry(entry.key().to_string()).or_insert(0) += 1;
        }
    }
    keys
}

async fn follow_again(fixture: &Fixture, run: &RunId, link: &Link) {
    let message = planning(run, link.clone(), false);
    fixture.queue.publish(queues::PLAN, message).await.unwrap();
}

#[tokio::test]
async fn two_coordinators_plan_one_bucket_at_once_and_each_object_is_in_one_shard() {
    let one = Fixture::new(0).await;
    let mut expected = BTreeSet::new();
    for (folder, files) in (0..30).map(|at| (format!("tiny-{at:02}"), 1)).chain([
        ("big/a".to_owned(), 150),
        ("big/b".to_owned(), 120),
        ("big/c/deep".to_owned(), 90),
        ("z".to_owned(), 60),
    ]) {
        let path = one.folder.path().join("dataset").join(&folder);
        std::fs::create_dir_all(&path).unwrap();
        for at in 0..files {
            std::fs::write(path.join(format!("{at:03}.png")), "x").unwrap();
            expected.insert(format!("{folder}/{at:03}.png"));
        }
    }
    let mut two = Fixture::beside(&one).await;
    two.start();
    let run = one
        .create(
            "r",
            v1::RunSpec {
                shard_items: 4,
                window_shards: 1000,
                ..one.spec()
            },
        )
        .await
        .unwrap();
    for _ in 0..3 {
        follow_again(&one, &id(&run), &Link::default()).await;
    }
    one.until(&run.name, |run| run.plan_complete).await;
    let found = keys(&one, &id(&run)).await;
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    let nodes = nodes(&one, &id(&run)).await;
    let parts: usize = nodes.iter().map(|node| node.children.len()).sum();
    assert!(parts >= 4, "{parts} parts were planned apart");
    // Another coordinator that knows nothing sees the same.
    let seen = two.until(&run.name, |run| run.plan_complete).await;
    assert_eq!(seen.planned_items, i64::try_from(expected.len()).unwrap());
    // Links that come once more, late, change nothing.
    for node in &nodes {
        follow_again(&one, &id(&run), &node.link).await;
    }
    let mut third = Fixture::beside(&one).await;
    third.start();
    assert_eq!(keys(&third, &id(&run)).await, found);
    one.shutdown.cancel();
    two.shutdown.cancel();
}

/// A dataset in a folder of its own, flat.
fn flat(fixture: &Fixture, name: &str, files: usize) -> v1::RunSpec {
    let folder = fixture.folder.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    for at in 0..files {
        std::fs::write(folder.join(format!("{name}-{at:05}.png")), "x").unwrap();
    }
    let dataset = v1::Dataset {
        name: name.into(),
        root: format!("file://{}", folder.display()),
        source: Some(v1::dataset::Source::Prefix(v1::PrefixSource {})),
        dicom: None,
    };
    v1::RunSpec {
        dataset: Some(dataset),
        collection: format!("collections/{name}"),
        ..fixture.spec()
    }
}

/// The usual window and the usual bounds, with 1 item a shard where there would be 256: 196 shards beside 2. Time passes
/// between any two shards, so that the large run always has as many outstanding as it may.
#[tokio::test(start_paused = true)]
async fn a_small_run_behind_a_hundred_times_larger_one_ends_before_a_tenth_of_that_is_done() {
    let idle = Fixture::new(0).await;
    idle.shutdown.cancel();
    let mut fixture = Fixture::beside(&idle).await;
    fixture.start();
    let spec = |name, files| v1::RunSpec {
        shard_items: 1,
        ..flat(&fixture, name, files)
    };
    let (large, small) = (spec("large", 196), spec("small", 2));
    let mut consumer = fixture.consumer().await;
    let large = fixture.create("large", large).await.unwrap();
    fixture.until(&large.name, |run| run.planned_shards >= 16).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let small = fixture.create("small", small).await.unwrap();
    fixture.until(&small.name, |run| run.plan_complete).await;
    let mut taken = Vec::new();
    while taken.iter().filter(|key: &&String| key.starts_with("small")).count() < 2 {
        taken.extend(work(&fixture, consumer.as_mut(), &[]).await);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let before = taken.len() - 2;
    assert!(before * 10 < 196, "{before} of 196 shards were done first");
    let ended = fixture.until(&small.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.done_shards, ended.planned_shards), (2, 2));
    let now = fixture.until(&large.name, |run| run.done_shards > 0).await;
    assert!(
        now.planned_shards < 40,
        "{} shards of the large run were planned",
        now.planned_shards
    );
}
