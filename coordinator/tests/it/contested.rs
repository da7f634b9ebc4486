//! Links with two nodes, of which the one that counts came late.

use crate::fixture::{Fixture, LIMIT, id, planning, work};
use sightline_core::digest::sha256_hex;
use sightline_core::document::Document;
use sightline_core::message::{Envelope, queues};
use sightline_core::{Item, ItemKey, Link, Manifest, ManifestEntry, PlanNode, PlannedShard, RunId, ShardMessage};
use sightline_proto::v1;
use sightline_queue::QueueOptions;
use std::collections::BTreeSet;

/// What a slow coordinator that listed one object more wrote just before it died: a node that counts before another.
async fn late_node(fixture: &Fixture, run: &RunId) -> PlanNode {
    let mut nodes = fixture.state.plan_nodes(run, &Link::default()).await.unwrap();
    let (digest, node) = nodes.remove(0);
    for attempt in 0.. {
        let mut entries = Vec::new();
        for shard in &node.shards {
            entries.extend(fixture.state.manifest(run, &shard.id).await.unwrap().entries);
        }
        let item = Item::new(ItemKey::new(format!("zz-late-{attempt}.png")).unwrap());
        entries.push(ManifestEntry::Item(item));
        let items = u32::try_from(entries.len()).unwrap();
        let manifest = Manifest {
            run: run.clone(),
            kind: sightline_core::JobKind::Embed,
            entries,
        };
        let late = PlanNode {
            shards: vec![PlannedShard {
                id: manifest.encode().0,
                items,
                bytes: 1,
            }],
            ..node.clone()
        };
        if sha256_hex(&late.to_bytes()) < digest {
            fixture.state.put_manifest(&manifest).await.unwrap();
            fixture.state.put_plan_node(&late).await.unwrap();
            return late;
        }
    }
    unreachable!("half of all digests are smaller")
}

#[tokio::test]
async fn a_node_that_came_late_and_counts_is_published_by_whoever_reads_the_run() {
    let planned = Fixture::new(15).await;
    let run = planned.create("r", planned.spec()).await.unwrap();
    let mut consumer = planned.consumer().await;
    let mut before = BTreeSet::new();
    while before.len() < 15 {
        before.extend(work(&planned, consumer.as_mut(), &[]).await);
    }
    // Nobody has read the run since its link was acked: its tree is not frozen.
    let id = id(&run);
    std::fs::remove_file(
        planned
            .folder
            .path()
            .join(format!("state/runs/{id}/plan/complete.json")),
    )
    .unwrap_or_default();
    planned.shutdown.cancel();
    let late = late_node(&planned, &id).await;

    let mut other = Fixture::beside(&planned).await;
    other.start();
    let known = other.until(&run.name, |_| true).await;
    assert_eq!((known.planned_items, known.done_shards), (16, 0));
    let keys = work(&other, consumer.as_mut(), &[]).await;
    assert_eq!(keys.len(), late.shards[0].items as usize);
    let ended = other.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.planned_items), (v1::run::State::Succeeded, 16));
}

#[tokio::test]
async fn whoever_takes_a_link_again_publishes_the_shards_of_all_its_nodes() {
    let mut planned = Fixture::new(15).await;
    let run = planned.create("r", planned.spec()).await.unwrap();
    planned.until(&run.name, |run| run.plan_complete).await;
    planned.shutdown.cancel();
    let id = id(&run);
    late_node(&planned, &id).await;
    let folder = std::mem::replace(&mut planned.folder, tempfile::tempdir().unwrap());
    // A broker that knows nothing but the link.
    let queue = sightline_queue::open("memory:", QueueOptions::default()).unwrap();
    let mut after = Fixture::over(folder, queue).await;
    let nodes = after.state.plan_nodes(&id, &Link::default()).await.unwrap();
    let mut wanted: BTreeSet<_> = nodes
        .iter()
        .flat_map(|(_, node)| &node.shards)
        .map(|shard| &shard.id)
        .collect();
    assert_eq!((nodes.len(), wanted.len()), (2, 3));
    let message = planning(&id, Link::default(), false);
    after.queue.declare(queues::PLAN).await.unwrap();
    after.queue.publish(queues::PLAN, message).await.unwrap();
    after.start();
    let mut consumer = after.consumer().await;
    while !wanted.is_empty() {
        let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().unwrap();
        wanted.remove(&ShardMessage::from_bytes(&delivery.message.body).unwrap().shard);
        delivery.receipt.ack().await.unwrap();
    }
}
