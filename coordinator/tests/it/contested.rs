//! Links with two nodes, of which the one that counts came late.

use crate::fixture::{Fixture, work};
use sightline_core::digest::sha256_hex;
use sightline_core::document::Document;
use sightline_core::{Item, ItemKey, JobKind, Link, Manifest, ManifestEntry, PlanNode, PlannedShard, RunId};
use sightline_proto::v1;
use std::collections::BTreeSet;

/// What a slow coordinator that listed one object more wrote just before it died: a node that counts before another.
async fn late_node(fixture: &Fixture, run: &RunId) -> PlanNode {
    let (digest, node) = fixture.state.plan_node(run, &Link::default()).await.unwrap().unwrap();
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
            kind: JobKind::Embed,
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
    let id = RunId::new(run.name.trim_start_matches("runs/")).unwrap();
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
