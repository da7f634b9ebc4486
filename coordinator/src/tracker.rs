//! Keeps what is known of runs fresh: reads the parts of a run's objects that it has not read.

use crate::progress::{RunProgress, RunSnapshot, ShardSummary};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{Clock, Link, PlanNode, RunDocument, RunId, ShardId, StopDocument, StopReason};
use sightline_state::{State, StateError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Results that are read side by side.
const CONCURRENT_READS: usize = 16;
/// A run is not read again sooner than this, nor sooner than ten times what reading it took.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// Runs whose progress is kept in memory; the least recently asked for is forgotten first.
const MAX_KEPT: usize = 1000;

/// What one coordinator knows of runs.
#[derive(Debug)]
pub(crate) struct Tracker {
    state: State,
    clock: Arc<dyn Clock>,
    runs: Mutex<HashMap<RunId, Arc<Mutex<Tracked>>>>,
}

#[derive(Debug)]
struct Tracked {
    progress: RunProgress,
    read_at: Option<Instant>,
    reading_took: Duration,
    asked_at: Instant,
}

impl Tracker {
    /// A tracker that knows nothing yet.
    #[must_use]
    pub(crate) fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        Self {
            state,
            clock,
            runs: Mutex::new(HashMap::new()),
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
        let read = |progress: &RunProgress| (progress.open_links().to_vec(), progress.missing());
        Ok(self.read(run, read).await?.unwrap_or_default())
    }

    /// Shards of a run's tree, in the order of their ids.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn shards(&self, run: &RunId) -> Result<Vec<ShardId>, StateError> {
        Ok(self.read(run, RunProgress::shards).await?.unwrap_or_default())
    }

    /// Shards of a run's tree with items that failed, in the order of their ids.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn failed_shards(&self, run: &RunId) -> Result<Vec<ShardId>, StateError> {
        Ok(self.read(run, RunProgress::failed_shards).await?.unwrap_or_default())
    }

    async fn read<T>(&self, run: &RunId, reader: impl FnOnce(&RunProgress) -> T) -> Result<Option<T>, StateError> {
        let Some(tracked) = self.tracked(run).await? else {
            return Ok(None);
        };
        let mut tracked = tracked.lock().await;
        tracked.asked_at = Instant::now();
        let interval = MIN_INTERVAL.max(tracked.reading_took * 10);
        let fresh = tracked.read_at.is_some_and(|at| at.elapsed() < interval);
        // Shards in hand when a run is stopped still end, and count.
        let closed = tracked.progress.state().is_final() && tracked.progress.missing().is_empty();
        if !fresh && !closed {
            let started = Instant::now();
            self.refresh(&mut tracked.progress).await?;
            tracked.reading_took = started.elapsed();
            tracked.read_at = Some(Instant::now());
        }
        Ok(Some(reader(&tracked.progress)))
    }

    /// What was asked of a run; none where there is no such run.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn document(&self, run: &RunId) -> Result<Option<Arc<RunDocument>>, StateError> {
        let Some(tracked) = self.tracked(run).await? else {
            return Ok(None);
        };
        let document = Arc::clone(&tracked.lock().await.progress.document);
        Ok(Some(document))
    }

    /// That a link has a node: what another coordinator would find by looking.
    pub(crate) async fn planned(&self, run: &RunId, digest: String, node: &PlanNode) {
        let tracked = self.runs.lock().await.get(run).cloned();
        if let Some(tracked) = tracked {
            let mut tracked = tracked.lock().await;
            if !tracked.progress.take_open(digest, node) {
                tracked.read_at = None;
            }
        }
    }

    /// That something of a run changed: the next reading looks at once.
    pub(crate) async fn changed(&self, run: &RunId) {
        let tracked = self.runs.lock().await.get(run).cloned();
        if let Some(tracked) = tracked {
            tracked.lock().await.read_at = None;
        }
    }

    async fn tracked(&self, run: &RunId) -> Result<Option<Arc<Mutex<Tracked>>>, StateError> {
        if let Some(tracked) = self.runs.lock().await.get(run) {
            return Ok(Some(Arc::clone(tracked)));
        }
        let Some(document) = self.state.run(run).await? else {
            return Ok(None);
        };
        let fresh = Tracked {
            progress: RunProgress::new(document),
            read_at: None,
            reading_took: Duration::ZERO,
            asked_at: Instant::now(),
        };
        let mut runs = self.runs.lock().await;
        if runs.len() >= MAX_KEPT {
            forget_oldest(&mut runs);
        }
        Ok(Some(Arc::clone(
            runs.entry(run.clone()).or_insert_with(|| Arc::new(Mutex::new(fresh))),
        )))
    }

    async fn refresh(&self, progress: &mut RunProgress) -> Result<(), StateError> {
        let run = progress.document.run.clone();
        progress.stop = self.state.stop(&run).await?;
        self.read_plan(&run, progress).await?;
        self.read_results(&run, progress).await?;
        progress.sample(Instant::now());
        self.stop_after_too_many_failures(&run, progress).await
    }

    async fn read_plan(&self, run: &RunId, progress: &mut RunProgress) -> Result<(), StateError> {
        if progress.plan_complete {
            return Ok(());
        }
        let mut found = true;
        while found {
            found = false;
            for link in progress.open_links().to_vec() {
                if let Some((digest, node)) = self.state.plan_node(run, &link).await? {
                    progress.add_node(digest, &node);
                    found = true;
                }
            }
        }
        if progress.open_links().is_empty() && !progress.plan_complete {
            self.state.complete_plan(&progress.to_complete()).await?;
            progress.plan_complete = true;
        }
        Ok(())
    }

    async fn read_results(&self, run: &RunId, progress: &mut RunProgress) -> Result<(), StateError> {
        if progress.missing().is_empty() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let (keys, next) = self.state.list_results(run, after).await?;
            let mut found: HashMap<ShardId, usize> = HashMap::new();
            for key in keys {
                *found.entry(key.shard).or_default() += 1;
            }
            let news = found
                .into_iter()
                .filter(|(shard, results)| progress.known_results(shard) < *results);
            let reading: Vec<_> = news
                .map(|(shard, results)| self.read_result(run, shard, results))
                .collect();
            let read: Vec<_> = stream::iter(reading)
                .buffer_unordered(CONCURRENT_READS)
                .try_collect()
                .await?;
            for (shard, summary) in read.into_iter().flatten() {
                progress.add_result(shard, summary);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn read_result(
        &self,
        run: &RunId,
        shard: ShardId,
        results: usize,
    ) -> Result<Option<(ShardId, ShardSummary)>, StateError> {
        let result = self.state.result(run, &shard).await?;
        Ok(result.map(|result| (shard, ShardSummary::of(&result, results))))
    }

    async fn stop_after_too_many_failures(&self, run: &RunId, progress: &mut RunProgress) -> Result<(), StateError> {
        let failed = progress.counts().failed;
        match progress.document.spec.max_failures {
            Some(limit) if failed > limit && !progress.state().is_final() => {
                let stop = StopDocument {
                    run: run.clone(),
                    reason: StopReason::TooManyFailures,
                    message: format!("{failed} items failed, more than the {limit} that the run allows"),
                    stopped_at: self.clock.now(),
                };
                self.state.stop_run(&stop).await?;
                progress.stop = Some(stop);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn forget_oldest(runs: &mut HashMap<RunId, Arc<Mutex<Tracked>>>) {
    let age = |tracked: &Arc<Mutex<Tracked>>| tracked.try_lock().map(|tracked| tracked.asked_at).ok();
    let oldest = runs
        .iter()
        .filter_map(|(run, tracked)| Some((age(tracked)?, run.clone())))
        .min();
    if let Some((_, run)) = oldest {
        runs.remove(&run);
    }
}
