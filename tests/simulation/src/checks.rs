//! What has to be so when all is quiet: every item is accounted for once, and the rows are what the results say.

use crate::index::Rows;
use crate::machines::Site;
use crate::model::{DAMAGED, DEADLY, vector_of};
use crate::process::Process;
use crate::scenario::Scenario;
use crate::tree;
use sightline_core::digest::sha256_hex;
use sightline_core::{
    DatasetName, FailureReason, Item, Manifest, ManifestEntry, Outcome, OutcomeCounts, Row, RowId, RunId, ShardId,
    ShardResult, SkipReason, layout,
};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::collections::{BTreeMap, BTreeSet};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Request;

/// What the tree says of one key.
struct Accounted {
    item: Option<Item>,
    outcome: Option<Outcome>,
}

/// Looks at everything.
pub(crate) async fn check(scenario: &Scenario) {
    let site = &scenario.site;
    let (accounted, counts) = account(scenario);
    let orphans = orphans(site, &scenario.run);
    if scenario.untouched.iter().any(|key| !accounted.contains_key(key)) && !scenario.cancelled {
        let lost = scenario.untouched.iter().filter(|key| !accounted.contains_key(*key));
        site.world
            .violation(format!("not in the tree: {:?}", lost.collect::<Vec<_>>()));
    }
    for (key, found) in &accounted {
        outcome(scenario, key, found);
        row(site, key, found, &orphans);
    }
    outsiders(site, &accounted, &orphans);
    fresh_coordinators(scenario, counts).await;
}

/// Walks the tree; every key is there once.
fn account(scenario: &Scenario) -> (BTreeMap<String, Accounted>, OutcomeCounts) {
    let (site, run) = (&scenario.site, &scenario.run);
    let world = &site.world;
    let mut accounted = BTreeMap::new();
    let mut counts = OutcomeCounts::default();
    let mut nodes = BTreeSet::new();
    for step in tree::walk(&site.state, run) {
        let Some((digest, node)) = step.node else {
            if !scenario.cancelled {
                world.violation("the run ended and a link has no node");
            }
            continue;
        };
        nodes.insert((node.link.id(run), digest));
        for shard in &node.shards {
            let result = merged(site, run, &shard.id);
            if result.is_none() && !scenario.cancelled {
                world.violation(format!("the run ended and shard {} has no result", shard.id));
            }
            counts += result
                .as_ref()
                .map_or_else(OutcomeCounts::default, |result| result.counts);
            for (at, entry) in manifest(site, run, &shard.id).entries.into_iter().enumerate() {
                let outcome = result.as_ref().map(|result| result.items[at].outcome.clone());
                let key = entry.key().to_string();
                let item = match entry {
                    ManifestEntry::Item(item) => Some(item),
                    ManifestEntry::Ended(_) => None,
                };
                if accounted.insert(key.clone(), Accounted { item, outcome }).is_some() {
                    world.violation(format!("{key} is in the tree twice"));
                }
            }
        }
    }
    match tree::frozen(&site.state, run) {
        Some(frozen) if frozen.nodes.iter().cloned().collect::<BTreeSet<_>>() != nodes => {
            world.violation("the frozen tree is not the tree");
        }
        None if !scenario.cancelled => world.violation("the run ended and its tree is not frozen"),
        _ => {}
    }
    (accounted, counts)
}

fn manifest(site: &Site, run: &RunId, shard: &ShardId) -> Manifest {
    let bytes = site.state.get(&layout::shard_manifest(run, shard), None).unwrap();
    Manifest::decode(shard, &bytes).unwrap()
}

fn merged(site: &Site, run: &RunId, shard: &ShardId) -> Option<ShardResult> {
    let results = tree::results(&site.state, run, shard).into_iter();
    results.reduce(|merged, result| merged.merge(&result))
}

/// Items of shards of nodes that are not in the tree, by key: of two nodes of one link one counts, and both are worked.
/// Their rows are right, and nobody counts them.
fn orphans(site: &Site, run: &RunId) -> BTreeMap<String, Vec<Item>> {
    let steps = tree::walk(&site.state, run);
    let counts = steps.iter().filter_map(|step| step.node.as_ref());
    let reached: BTreeSet<ShardId> = counts
        .flat_map(|(_, node)| node.shards.iter().map(|shard| shard.id.clone()))
        .collect();
    let planned: BTreeSet<ShardId> = tree::nodes(&site.state, run)
        .into_iter()
        .flat_map(|node| node.shards)
        .map(|shard| shard.id)
        .collect();
    let mut orphans: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for shard in planned.difference(&reached) {
        site.world.count("orphaned_shards");
        for entry in manifest(site, run, shard).entries {
            if let ManifestEntry::Item(item) = entry {
                orphans.entry(item.key.to_string()).or_default().push(item);
            }
        }
    }
    orphans
}

fn bytes_of(site: &Site, item: &Item) -> Vec<u8> {
    let image = item.image.as_ref().unwrap();
    site.pictures.version(&image.etag).unwrap().to_vec()
}

/// An item ended as its picture is, and was skipped only where it changed.
fn outcome(scenario: &Scenario, key: &str, found: &Accounted) {
    let site = &scenario.site;
    let wrong = |why: &str| {
        site.world
            .violation(format!("{key} ended as {:?}: {why}", found.outcome))
    };
    let Some(outcome) = &found.outcome else { return };
    let Some(item) = &found.item else {
        if !matches!(
            outcome,
            Outcome::Skipped {
                reason: SkipReason::UnsupportedType,
                ..
            }
        ) {
            wrong("it is no picture");
        }
        return;
    };
    let bytes = bytes_of(site, item);
    let expected = if bytes.is_empty() {
        Some(FailureReason::EmptyObject)
    } else if bytes.starts_with(DAMAGED) {
        Some(FailureReason::CorruptImage)
    } else if bytes.starts_with(DEADLY) {
        Some(FailureReason::EngineKilled)
    } else {
        None
    };
    match (outcome, expected) {
        (
            Outcome::Skipped {
                reason: SkipReason::Gone | SkipReason::Changed,
                ..
            },
            _,
        ) if !scenario.untouched.contains(key) => {}
        (Outcome::Indexed { .. }, None) => {}
        (Outcome::Failed { reason, .. }, Some(expected)) if *reason == expected => {}
        _ => wrong(&format!("its picture is {expected:?}")),
    }
}

/// An item that is indexed has one row, with the digest of the result and the vector of its bytes.
fn row(site: &Site, key: &str, found: &Accounted, orphans: &BTreeMap<String, Vec<Item>>) {
    let world = &site.world;
    let (Some(item), Some(Outcome::Indexed { digest } | Outcome::Unchanged { digest })) = (&found.item, &found.outcome)
    else {
        return;
    };
    let rows = rows_of(&site.rows, key);
    let [row] = rows.as_slice() else {
        return world.violation(format!("{key} is indexed and has {} rows", rows.len()));
    };
    if row.source_digest != *digest {
        let by_orphan = orphans
            .get(key)
            .is_some_and(|items| items.iter().any(|other| is_of(site, row, other)));
        if by_orphan {
            return world.count("rows_of_orphans");
        }
        return world.violation(format!("{key} has a row of another version than its result says"));
    }
    if !is_of(site, row, item) {
        world.violation(format!("the row of {key} is not what its picture gives"));
    }
}

fn is_of(site: &Site, row: &Row, item: &Item) -> bool {
    let bytes = bytes_of(site, item);
    let right = vector_of(&bytes).ok();
    row.content_hash == sha256_hex(&bytes) && row.image_embedding == right
}

fn rows_of(rows: &Rows, key: &str) -> Vec<Row> {
    let id = RowId::of_item(
        &DatasetName::new("pictures").unwrap(),
        &sightline_core::ItemKey::new(key).unwrap(),
    );
    rows.all().into_iter().filter(|row| row.id == id).collect()
}

/// Rows of what is not indexed: there are none.
fn outsiders(site: &Site, accounted: &BTreeMap<String, Accounted>, orphans: &BTreeMap<String, Vec<Item>>) {
    for row in site.rows.all() {
        let indexed = accounted.get(&row.key).is_some_and(|found| {
            matches!(
                found.outcome,
                None | Some(Outcome::Indexed { .. } | Outcome::Unchanged { .. })
            )
        });
        if indexed {
            continue;
        }
        if orphans.contains_key(&row.key) {
            site.world.count("rows_of_orphans");
        } else {
            site.world
                .violation(format!("{} has a row, and is not indexed", row.key));
        }
    }
}

/// Two coordinators that knew nothing agree on the end, and the shipped audit finds nothing.
async fn fresh_coordinators(scenario: &Scenario, counts: OutcomeCounts) {
    let site = &scenario.site;
    let world = &site.world;
    let mut told = Vec::new();
    for number in 0..2 {
        let process = Process::new(world, format!("fresh{number}"), false);
        let api = site.coordinator(&process).api(CancellationToken::new());
        let name = format!("runs/{}", scenario.run);
        let run = api
            .get_run(Request::new(v1::GetRunRequest { name: name.clone() }))
            .await;
        let run = run.unwrap().into_inner();
        let expected = v1::run::Counts {
            indexed: i64::try_from(counts.indexed).unwrap(),
            unchanged: i64::try_from(counts.unchanged).unwrap(),
            skipped: i64::try_from(counts.skipped).unwrap(),
            failed: i64::try_from(counts.failed).unwrap(),
            stale: i64::try_from(counts.stale).unwrap(),
        };
        if run.counts != Some(expected) {
            world.violation(format!("{} counts {:?}, not {expected:?}", process.name, run.counts));
        }
        if run.end_time.is_none() {
            world.violation(format!("to {} the run has not ended: {:?}", process.name, run.state()));
        }
        told.push((run.state, run.counts, run.planned_items, run.end_time));
        if number == 0 {
            let mut audits = api.verify_run(Request::new(v1::VerifyRunRequest { name })).await;
            let mut last = None;
            while let Some(audit) = audits.as_mut().unwrap().get_mut().next().await {
                last = audit.unwrap().audit;
            }
            let audit = last.unwrap();
            if !audit.verified {
                world.violation(format!("the audit finds {audit:?}"));
            }
        }
    }
    if told[0] != told[1] {
        world.violation(format!("two coordinators tell different ends: {told:?}"));
    }
}
