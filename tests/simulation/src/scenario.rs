//! One simulation from its seed to its end: pictures, machines, and a story of runs, each with a storm and then calm.

use crate::acts;
use crate::bugs::Bug;
use crate::checks;
use crate::client::{CALM_LIMIT, Client, Wanted};
use crate::machines::{Role, Site, keep};
use crate::pictures::{alter, change, fill};
use crate::repair;
use crate::tree;
use crate::world::{Shown, World};
use sightline_core::{DatasetName, Outcome, Row, RunId};
use sightline_proto::v1;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::task::AbortOnDropHandle;

/// What one run was about, once all is quiet.
pub(crate) struct Scenario {
    pub(crate) site: Arc<Site>,
    pub(crate) client: Client,
    pub(crate) run: RunId,
    /// Keys that a run of parts of another has to take; none for a run over the whole dataset.
    pub(crate) takes: Option<BTreeSet<String>>,
    /// Keys of objects that were there from before the run to its end as they were.
    pub(crate) untouched: BTreeSet<String>,
    /// The dataset's rows before the run, by key, and those of other datasets.
    pub(crate) before: BTreeMap<String, Row>,
    pub(crate) others: Vec<Row>,
    /// Whether it was stopped before every item had ended.
    pub(crate) stopped: bool,
    /// How it ended, as it was told.
    pub(crate) ended: v1::Run,
}

impl Scenario {
    /// Items of the tree that are in the index, or are not, as results say.
    pub(crate) fn keys_that(&self, end: impl Fn(&Outcome) -> bool) -> BTreeSet<String> {
        let disk = &self.site.state;
        let shards = tree::shards(disk, &self.run);
        let results = shards.iter().filter_map(|shard| tree::merged(disk, &self.run, shard));
        let items = results.flat_map(|result| result.items);
        items
            .filter(|item| end(&item.outcome))
            .map(|item| item.key.to_string())
            .collect()
    }
}

/// Simulates a seed.
pub(crate) fn simulate(seed: u64, bug: Option<Bug>, keep_lines: bool) -> Shown {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let shown = runtime.block_on(async {
        let world = World::new(seed, bug, keep_lines);
        let site = Site::new(&world);
        fill(&site);
        let machines = start(&site);
        story(&site).await;
        drop(machines);
        world.shown()
    });
    // Tasks of dead processes wait for ever: they go with the runtime.
    drop(runtime);
    shown
}

fn start(site: &Arc<Site>) -> Vec<AbortOnDropHandle<()>> {
    let world = &site.world;
    let coordinators = 1 + world.below(3);
    let workers = 1 + world.below(3);
    let role = |number| {
        if number < coordinators {
            Role::Coordinator
        } else {
            Role::Worker
        }
    };
    let machine = |number| {
        let kept = keep(Arc::clone(site), role(number), usize::try_from(number).unwrap());
        AbortOnDropHandle::new(tokio::spawn(kept))
    };
    (0..coordinators + workers).map(machine).collect()
}

/// A run over the dataset; in half of all worlds another one after the dataset changed, which mostly mirrors it; now and
/// then what failed once more, and what somebody deleted behind all backs. None where something is wrong, which was told.
async fn story(site: &Arc<Site>) -> Option<()> {
    let world = &site.world;
    let max_failures = || if world.chance(0.1) { 2 } else { 0 };
    let first = Wanted::All {
        mirror: None,
        max_failures: max_failures(),
    };
    let mut last = run(site, first, "first", None).await?;
    if world.chance(0.5) {
        alter(site);
        let share = if world.chance(0.5) { 1.0 } else { 0.0 };
        let second = Wanted::All {
            mirror: world.chance(0.8).then_some(share),
            max_failures: max_failures(),
        };
        last = run(site, second, "second", None).await?;
    }
    let failed = last.keys_that(|outcome| matches!(outcome, Outcome::Failed { .. }));
    if !failed.is_empty() && world.chance(0.4) {
        world.count("retries");
        let retry = Wanted::Retry(last.run.clone());
        repair::mend(site, &failed);
        run(site, retry, "retry", Some(failed)).await?;
    }
    if !last.stopped && world.chance(0.2) {
        let lost = repair::lose_a_row(&last).await?;
        if let Some(lost) = lost {
            world.count("repairs");
            let wanted = Wanted::Repair(last.run.clone());
            run(site, wanted, "repair", Some(BTreeSet::from([lost]))).await?;
        }
    }
    Some(())
}

/// A storm with one run in it, and what has to be so when all is quiet again.
async fn run(site: &Arc<Site>, wanted: Wanted, request_id: &str, takes: Option<BTreeSet<String>>) -> Option<Scenario> {
    let world = &site.world;
    let client = Client::new(site, wanted, request_id);
    let dataset = DatasetName::new("pictures").unwrap();
    let (before, others) = site
        .rows
        .all()
        .into_iter()
        .partition::<Vec<Row>, _>(|row| row.dataset == dataset);
    let keys = site.pictures.keys("");
    let touched = Arc::new(Mutex::new(BTreeSet::new()));
    site.monitor.expects(&client.run);
    world.storm();
    let changing = AbortOnDropHandle::new(tokio::spawn(change(Arc::clone(site), Arc::clone(&touched))));
    let calming = {
        let (world, storm) = (Arc::clone(world), world.millis(2_000, 60_000));
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(storm).await;
            world.calm_down();
        }))
    };
    let watcher = world
        .chance(0.3)
        .then(|| AbortOnDropHandle::new(tokio::spawn(acts::watch(Arc::clone(site), client.name()))));
    let ended = client.ask().await?;
    drop((changing, calming));
    if !client.silence().await {
        return None;
    }
    if let Some(watcher) = watcher
        && tokio::time::timeout(CALM_LIMIT, watcher).await.is_err()
    {
        world.violation("who watches never hears of the end");
    }
    let touched = touched.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let stop = tree::stop(&site.state, &client.run);
    let scenario = Scenario {
        site: Arc::clone(site),
        run: client.run.clone(),
        takes,
        untouched: keys.into_iter().filter(|key| !touched.contains(key)).collect(),
        before: before.into_iter().map(|row| (row.key.clone(), row)).collect(),
        others,
        stopped: stop.is_some_and(|stop| stop.reason != sightline_core::StopReason::MirrorRefused),
        client,
        ended,
    };
    checks::check(&scenario).await?;
    Some(scenario)
}
