//! What one coordinator knows of runs, kept fresh by `refresh`.

use crate::metrics::CoordinatorMetrics;
use crate::planner::describe;
use crate::progress::{RunProgress, RunSnapshot};
use crate::run_meters::RunMeters;
use crate::told::Told;
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{Clock, DoneReport, Link, LinkId, PlanNode, RunDocument, RunId, ShardId, StopDocument};
use sightline_queue::JobQueue;
use sightline_state::{State, StateError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Objects that are read side by side.
pub(crate) const CONCURRENT_READS: usize = 16;
/// See [`reading_interval`].
const MIN_INTERVAL: Duration = Duration::from_millis(200);
const USUAL_MAX_INTERVAL: Duration = Duration::from_secs(5);
/// See [`listing_interval`].
const LISTING_INTERVAL: Duration = Duration::from_secs(60);
/// Runs whose progress is kept in memory; the least recently asked for is forgotten first.
const MAX_KEPT: usize = 1000;

/// What one coordinator knows of runs.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) state: State,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meters: RunMeters,
    metrics: CoordinatorMetrics,
    /// Held while a run is stopped, so that a process counts it once.
    stopping: Mutex<()>,
    runs: Mutex<HashMap<RunId, Arc<KeptRun>>>,
    /// The shards of the run that they were asked of last.
    listed: Mutex<Option<ListedShards>>,
}

#[derive(Debug)]
struct ListedShards {
    run: RunId,
    /// How many nodes its tree had.
    nodes: usize,
    shards: Arc<Vec<ShardId>>,
}

/// A run in memory.
#[derive(Debug)]
struct KeptRun {
    /// Beside the lock, which is held while the run is read: what is told meanwhile must not wait for that.
    told: Told,
    tracked: Mutex<Tracked>,
}

#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) progress: RunProgress,
    /// Whether the run is to be read from its beginning.
    pub(crate) cold: bool,
    /// When all results were listed, and how long it took.
    pub(crate) listed: Option<(Instant, Duration)>,
    read_at: Option<Instant>,
    reading_took: Duration,
    asked_at: Instant,
}

impl Tracker {
    /// A tracker that knows nothing yet.
    #[must_use]
    pub(crate) fn new(
        state: State,
        queue: Arc<dyn JobQueue>,
        clock: Arc<dyn Clock>,
        meters: RunMeters,
        metrics: CoordinatorMetrics,
    ) -> Self {
        Self {
            state,
            queue,
            clock,
            meters,
            metrics,
            stopping: Mutex::default(),
            runs: Mutex::new(HashMap::new()),
            listed: Mutex::new(None),
        }
    }

    /// A run as it stands, at most a fraction of a second old; none where there is no such run.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn snapshot(&self, run: &RunId) -> Result<Option<RunSnapshot>, StateError> {
        self.read(run, RunProgress::snapshot).await
    }

    /// Shards of a run that are planned and have no result; 0 where there is no such run.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn outstanding(&self, run: &RunId) -> Result<u64, StateError> {
        Ok(self
            .read(run, |progress| progress.outstanding() as u64)
            .await?
            .unwrap_or(0))
    }

    /// Links without node and shards without result: what a run's messages would be about.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn unfinished(&self, run: &RunId) -> Result<(Vec<Link>, Vec<ShardId>), StateError> {
        let read = |progress: &RunProgress| {
            let links = progress.open_links().into_iter().map(|(link, _)| link);
            (links.collect(), progress.missing())
        };
        Ok(self.read(run, read).await?.unwrap_or_default())
    }

    /// Links without node, and how many shards have no result; none where the run's planning has ended or there is no
    /// such run.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn open_links(&self, run: &RunId) -> Result<Option<(Vec<Link>, u64)>, StateError> {
        let read = |progress: &RunProgress| {
            let links: Vec<_> = progress.open_links().into_iter().map(|(link, _)| link).collect();
            let planned = links.is_empty() || progress.state().is_final();
            (!planned).then(|| (links, progress.outstanding() as u64))
        };
        Ok(self.read(run, read).await?.flatten())
    }

    /// Shards of a run's tree, in the order of their ids: read from its nodes, and kept until another run is asked for.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn shards(&self, run: &RunId) -> Result<Arc<Vec<ShardId>>, StateError> {
        let nodes = self.nodes(run).await?;
        let mut listed = self.listed.lock().await;
        if let Some(kept) = listed
            .as_ref()
            .filter(|kept| (&kept.run, kept.nodes) == (run, nodes.len()))
        {
            return Ok(Arc::clone(&kept.shards));
        }
        let count = nodes.len();
        let mut shards = Vec::new();
        let mut reading = stream::iter(nodes)
            .map(|(link, digest)| async move { self.state.plan_node_of(run, &link, &digest).await })
            .buffer_unordered(CONCURRENT_READS);
        while let Some(node) = reading.try_next().await? {
            shards.extend(node.into_iter().flat_map(|node| node.shards).map(|shard| shard.id));
        }
        shards.sort_unstable();
        shards.dedup();
        let shards = Arc::new(shards);
        *listed = Some(ListedShards {
            run: run.clone(),
            nodes: count,
            shards: Arc::clone(&shards),
        });
        Ok(shards)
    }

    /// The nodes of a run's tree, as (link, digest).
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn nodes(&self, run: &RunId) -> Result<Vec<(LinkId, String)>, StateError> {
        Ok(self.read(run, RunProgress::nodes).await?.unwrap_or_default())
    }

    /// Shards of a run's tree with items that failed, in the order of their ids.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn failed_shards(&self, run: &RunId) -> Result<Vec<ShardId>, StateError> {
        Ok(self.read(run, RunProgress::failed_shards).await?.unwrap_or_default())
    }

    async fn read<T>(&self, run: &RunId, reader: impl FnOnce(&RunProgress) -> T) -> Result<Option<T>, StateError> {
        let Some(kept) = self.kept(run).await? else {
            return Ok(None);
        };
        let mut tracked = kept.tracked.lock().await;
        tracked.asked_at = Instant::now();
        // Shards in hand when a run is stopped still end, and count; results may come twice after that.
        let ended = tracked.progress.state().is_final() && tracked.progress.outstanding() == 0 && !tracked.cold;
        let interval = if ended {
            listing_interval(tracked.listed)
        } else {
            reading_interval(tracked.reading_took)
        };
        if tracked.read_at.is_none_or(|at| at.elapsed() >= interval) || kept.told.is_all(&tracked.progress) {
            // Before it is read: what is told while that goes on may come too late for it.
            kept.told.clear();
            let started = Instant::now();
            self.refresh(&mut tracked).await?;
            tracked.reading_took = started.elapsed();
            tracked.read_at = Some(Instant::now());
            self.meters.note(&tracked.progress, Instant::now());
        }
        Ok(Some(reader(&tracked.progress)))
    }

    /// What was asked of a run; none where there is no such run.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn document(&self, run: &RunId) -> Result<Option<Arc<RunDocument>>, StateError> {
        let Some(kept) = self.kept(run).await? else {
            return Ok(None);
        };
        let document = Arc::clone(&kept.tracked.lock().await.progress.document);
        Ok(Some(document))
    }

    /// That a link has a node: what another coordinator would find by looking.
    pub(crate) async fn planned(&self, run: &RunId, digest: String, node: &PlanNode) {
        let kept = self.runs.lock().await.get(run).cloned();
        if let Some(kept) = kept {
            let mut tracked = kept.tracked.lock().await;
            if tracked.cold || !tracked.progress.add_node(digest, node) {
                tracked.read_at = None;
            }
        }
    }

    /// That something of a run changed: the next reading looks at once.
    pub(crate) async fn changed(&self, run: &RunId) {
        let kept = self.runs.lock().await.get(run).cloned();
        if let Some(kept) = kept {
            kept.tracked.lock().await.read_at = None;
        }
    }

    /// Stops a run, and counts it where it was not stopped before.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(crate) async fn stop(&self, stop: &StopDocument) -> Result<(), StateError> {
        let _one_at_a_time = self.stopping.lock().await;
        if self.state.stop_run(stop).await? {
            self.metrics.run_stopped(stop.reason);
        }
        Ok(())
    }

    /// That a worker says of a shard that it has a result. Where that is all that the run misses, its next reading looks
    /// at once, and those who wait for that are woken.
    pub(crate) async fn heard(&self, report: DoneReport) {
        let kept = self.runs.lock().await.get(&report.run).cloned();
        let Some(kept) = kept else { return };
        kept.told.add(report.shard);
        // While somebody reads the run it cannot be seen whether these are all: whoever waits looks when that is done.
        let tracked = kept.tracked.try_lock();
        if tracked.map_or(true, |tracked| kept.told.is_all(&tracked.progress)) {
            kept.told.all.notify_waiters();
        }
    }

    /// Waits until workers have told of results of all shards that a run misses.
    pub(crate) async fn all_told(&self, run: &RunId) {
        let kept = self.runs.lock().await.get(run).cloned();
        let Some(kept) = kept else {
            return std::future::pending().await;
        };
        // Before it is looked, so that nothing is told in between.
        let all = kept.told.all.notified();
        let is_all = kept.told.is_all(&kept.tracked.lock().await.progress);
        if !is_all {
            all.await;
        }
    }

    async fn kept(&self, run: &RunId) -> Result<Option<Arc<KeptRun>>, StateError> {
        if let Some(kept) = self.runs.lock().await.get(run) {
            return Ok(Some(Arc::clone(kept)));
        }
        let Some(document) = self.state.run(run).await? else {
            return Ok(None);
        };
        let fresh = Tracked {
            progress: RunProgress::new(Arc::new(document)),
            cold: true,
            listed: None,
            read_at: None,
            reading_took: Duration::ZERO,
            asked_at: Instant::now(),
        };
        let fresh = KeptRun {
            told: Told::default(),
            tracked: Mutex::new(fresh),
        };
        let mut runs = self.runs.lock().await;
        if runs.len() >= MAX_KEPT {
            forget_oldest(&mut runs);
        }
        Ok(Some(Arc::clone(
            runs.entry(run.clone()).or_insert_with(|| Arc::new(fresh)),
        )))
    }
}

/// Of many runs: one whose document cannot be used, of a newer version say, is left out and keeps none of the others
/// waiting.
pub(crate) fn unless_unreadable<T>(run: &RunId, read: Result<Option<T>, StateError>) -> Result<Option<T>, StateError> {
    match read {
        Err(error @ StateError::Document { .. }) => {
            tracing::warn!(%run, error = describe(&error), "a run is left out");
            Ok(None)
        }
        read => read,
    }
}

/// Unless all that it misses was told, a run is read again no sooner than after ten times what reading it took, but within
/// seconds: a node that leaves no shards is told by nobody, and a store that was slow once would else hide a run's end for minutes.
fn reading_interval(took: Duration) -> Duration {
    MIN_INTERVAL.max((took * 10).min(USUAL_MAX_INTERVAL.max(took)))
}

/// All results are listed again no sooner than this: to find those that came twice.
pub(crate) fn listing_interval(listed: Option<(Instant, Duration)>) -> Duration {
    LISTING_INTERVAL.max(listed.map_or(Duration::ZERO, |(_, took)| took * 100))
}

fn forget_oldest(runs: &mut HashMap<RunId, Arc<KeptRun>>) {
    let age = |kept: &Arc<KeptRun>| kept.tracked.try_lock().map(|tracked| tracked.asked_at).ok();
    let oldest = runs
        .iter()
        .filter_map(|(run, kept)| Some((age(kept)?, run.clone())))
        .min();
    if let Some((_, run)) = oldest {
        runs.remove(&run);
    }
}

#[cfg(test)]
mod tests {
    use super::reading_interval;
    use std::time::Duration;

    #[test]
    fn reading_takes_a_tenth_of_the_time_and_a_store_that_was_slow_once_hides_nothing_for_minutes() {
        let of = |millis| reading_interval(Duration::from_millis(millis)).as_millis();
        assert_eq!([of(0), of(20), of(50), of(300)], [200, 200, 500, 3000]);
        assert_eq!([of(1000), of(5000), of(17_000)], [5000, 5000, 17_000]);
    }
}
