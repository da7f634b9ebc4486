//! What has to be so when all is quiet: every item is accounted for once, and the rows are what the results say.

use crate::client::Wanted;
use crate::machines::Site;
use crate::process::Process;
use crate::row_checks;
use crate::scenario::Scenario;
use crate::tree;
use sightline_core::{Item, ManifestEntry, Outcome, OutcomeCounts, RunId, ShardId, StopReason};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Request;

/// What the tree says of one key.
pub(crate) struct Accounted {
    pub(crate) item: Option<Item>,
    pub(crate) outcome: Option<Outcome>,
}

/// What the tree says of all keys.
pub(crate) type All = BTreeMap<String, Accounted>;
/// Items of shards that the tree does not reach, by key.
pub(crate) type Orphans = BTreeMap<String, Vec<Item>>;

/// How long it takes at most until a coordinator has seen a result that came late: its listings are a minute apart, or a
/// hundred times what one took.
const SECOND_RESULTS: Duration = Duration::from_secs(600);

/// Looks at everything; none where something is so wrong that nothing can follow, which was told.
pub(crate) async fn check(scenario: &Scenario) -> Option<()> {
    let site = &scenario.site;
    // A shard that was worked twice may get a second result after its run's end: a coordinator that knows the run looks
    // for those now and then.
    tokio::time::sleep(SECOND_RESULTS).await;
    let (accounted, counts) = account(scenario);
    let orphans = orphans(site, &scenario.run);
    taken(scenario, &accounted, &orphans);
    limits(scenario, counts, &orphans);
    row_checks::check(scenario, &accounted, &orphans);
    failures(scenario, &accounted).await?;
    fresh_coordinators(scenario, counts).await;
    Some(())
}

/// A run over a dataset takes all that was there all the time; a run of parts of another takes just these. Where two hold
/// a link of a repair, what shards of the one mended is nothing for the other to take.
fn taken(scenario: &Scenario, accounted: &All, orphans: &Orphans) {
    let world = &scenario.site.world;
    let wanted = scenario.takes.as_ref().unwrap_or(&scenario.untouched);
    let repairs = matches!(scenario.client.wanted, Wanted::Repair(_));
    let mended = |key: &String| repairs && orphans.contains_key(key);
    let lost = wanted
        .iter()
        .filter(|key| !accounted.contains_key(*key) && !mended(key));
    let lost: Vec<_> = lost.collect();
    if !lost.is_empty() && !scenario.stopped {
        world.violation(format!("not in the tree: {lost:?}"));
    }
    let Some(takes) = &scenario.takes else { return };
    let more: Vec<_> = accounted.keys().filter(|key| !takes.contains(*key)).collect();
    // A repair looks at rows that orphans of the run wrote, too.
    let of_orphans = match &scenario.client.wanted {
        Wanted::Repair(parent) | Wanted::Retry(parent) => !self::orphans(&scenario.site, parent).is_empty(),
        Wanted::All { .. } => false,
    };
    if !more.is_empty() && orphans.is_empty() && !of_orphans {
        world.violation(format!("nobody asked for {more:?}"));
    }
}

/// A run that stopped itself had more failures than it allows, and one that was not stopped had not.
fn limits(scenario: &Scenario, counts: OutcomeCounts, orphans: &Orphans) {
    let (state, world) = (&scenario.site.state, &scenario.site.world);
    let limit = tree::document(state, &scenario.run).and_then(|document| document.spec.max_failures);
    let too_many = limit.is_some_and(|limit| counts.failed > limit);
    match tree::stop(state, &scenario.run) {
        Some(stop) if stop.reason == StopReason::TooManyFailures => {
            world.count("stopped_by_failures");
            if !too_many && orphans.is_empty() {
                world.violation(format!("{} failures: {}", counts.failed, stop.message));
            }
        }
        None if too_many => world.violation(format!("{} failures, and the run goes on to its end", counts.failed)),
        _ => {}
    }
}

/// The failed items are listed, each once.
async fn failures(scenario: &Scenario, accounted: &All) -> Option<()> {
    let mut listed = scenario.client.failures().await?;
    listed.sort_unstable();
    let failed = accounted
        .iter()
        .filter(|(_, found)| matches!(found.outcome, Some(Outcome::Failed { .. })));
    let failed: Vec<&String> = failed.map(|(key, _)| key).collect();
    if listed.iter().collect::<Vec<_>>() != failed {
        scenario
            .site
            .world
            .violation(format!("{listed:?} are listed as failed, and {failed:?} failed"));
    }
    Some(())
}

/// Walks the tree; every key is there once.
fn account(scenario: &Scenario) -> (All, OutcomeCounts) {
    let (site, run) = (&scenario.site, &scenario.run);
    let world = &site.world;
    let mut accounted = BTreeMap::new();
    let mut counts = OutcomeCounts::default();
    let mut nodes = BTreeSet::new();
    for step in tree::walk(&site.state, run) {
        if step.nodes > 1 {
            world.count("contested_links");
        }
        let Some((digest, node)) = step.node else {
            if !scenario.stopped {
                world.violation("the run ended and a link has no node");
            }
            continue;
        };
        nodes.insert((node.link.id(run), digest));
        for shard in &node.shards {
            let result = tree::merged(&site.state, run, &shard.id);
            if result.is_none() && !scenario.stopped {
                world.violation(format!("the run ended and shard {} has no result", shard.id));
            }
            counts += result
                .as_ref()
                .map_or_else(OutcomeCounts::default, |result| result.counts);
            for (at, entry) in tree::manifest(&site.state, run, &shard.id)
                .entries
                .into_iter()
                .enumerate()
            {
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
        None if !scenario.stopped => world.violation("the run ended and its tree is not frozen"),
        _ => {}
    }
    (accounted, counts)
}

/// Items of shards of nodes that are not in the tree, by key: of two nodes of one link one counts, and both are worked.
/// Their rows are right, and nobody counts them.
fn orphans(site: &Site, run: &RunId) -> Orphans {
    let reached = tree::shards(&site.state, run);
    let planned: BTreeSet<ShardId> = tree::nodes(&site.state, run)
        .into_iter()
        .flat_map(|node| node.shards)
        .map(|shard| shard.id)
        .collect();
    let mut orphans = Orphans::new();
    for shard in planned.difference(&reached) {
        site.world.count("orphaned_shards");
        for entry in tree::manifest(&site.state, run, shard).entries {
            if let ManifestEntry::Item(item) = entry {
                orphans.entry(item.key.to_string()).or_default().push(item);
            }
        }
    }
    orphans
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
