//! What is known of a run: derived from its objects, never counted up.

use sightline_core::{
    FailureReason, ItemOutcome, Link, LinkId, Outcome, OutcomeCounts, PlanComplete, PlanNode, RunDocument, ShardId,
    ShardResult, SkipReason, StopDocument, StopReason, Timestamp,
};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The window over which the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// The dataset is being listed.
    Planning,
    /// The plan is complete.
    Running,
    /// Every item was indexed, unchanged or skipped.
    Succeeded,
    /// Every item ended, some failed.
    PartiallySucceeded,
    /// Stopped by an error that concerns all items.
    Failed,
    /// Stopped by a caller.
    Cancelled,
}

impl RunState {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Planning | Self::Running)
    }
}

/// A run as it stands at one moment.
#[derive(Debug, Clone)]
pub struct RunSnapshot {
    /// What was asked.
    pub document: Arc<RunDocument>,
    /// Where the run stands.
    pub state: RunState,
    /// Why it was stopped, if it was.
    pub stop: Option<StopDocument>,
    /// Whether the tree is frozen.
    pub plan_complete: bool,
    /// Items planned so far.
    pub planned_items: u64,
    /// Shards planned so far.
    pub planned_shards: u64,
    /// Shards that have a result.
    pub done_shards: u64,
    /// Items by how they ended.
    pub counts: OutcomeCounts,
    /// Failed items by reason, most frequent first.
    pub failures: Vec<(FailureReason, u64)>,
    /// Skipped items by reason, most frequent first.
    pub skips: Vec<(SkipReason, u64)>,
    /// Items that ended per second over the last half minute; 0 when the run has ended.
    pub items_per_second: f64,
    /// When the last item ended, or the run was stopped; none before the end.
    pub ended_at: Option<Timestamp>,
}

impl RunSnapshot {
    /// Shards that are planned and not done.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.planned_shards - self.done_shards
    }
}

/// What a shard's result amounts to.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardSummary {
    /// How many results of it were read: a late writer may leave a second.
    results: usize,
    /// Items by how they ended.
    counts: OutcomeCounts,
    failures: BTreeMap<FailureReason, u64>,
    skips: BTreeMap<SkipReason, u64>,
    finished_at: Timestamp,
}

impl ShardSummary {
    /// Sums up a (merged) result.
    #[must_use]
    pub(crate) fn of(result: &ShardResult, results: usize) -> Self {
        let mut summary = Self {
            results,
            counts: result.counts,
            finished_at: result.finished_at,
            ..Self::default()
        };
        for ItemOutcome { outcome, .. } in &result.items {
            match outcome {
                Outcome::Failed { reason, .. } => *summary.failures.entry(*reason).or_default() += 1,
                Outcome::Skipped { reason, .. } => *summary.skips.entry(*reason).or_default() += 1,
                Outcome::Indexed { .. } | Outcome::Unchanged { .. } => {}
            }
        }
        summary
    }
}

/// One run as one coordinator knows it.
#[derive(Debug, Clone)]
pub(crate) struct RunProgress {
    /// What was asked.
    pub(crate) document: Arc<RunDocument>,
    /// Why it was stopped, if it was.
    pub(crate) stop: Option<StopDocument>,
    /// Whether the tree is frozen.
    pub(crate) plan_complete: bool,
    /// Links that have no node yet.
    open: Vec<Link>,
    nodes: Vec<(LinkId, String)>,
    seen: HashSet<LinkId>,
    planned: HashMap<ShardId, (u32, u64)>,
    done: HashMap<ShardId, ShardSummary>,
    samples: VecDeque<(Instant, u64)>,
}

impl RunProgress {
    /// A run of which nothing but its document is known.
    #[must_use]
    pub(crate) fn new(document: RunDocument) -> Self {
        Self {
            document: Arc::new(document),
            stop: None,
            plan_complete: false,
            open: vec![Link::default()],
            nodes: Vec::new(),
            seen: HashSet::new(),
            planned: HashMap::new(),
            done: HashMap::new(),
            samples: VecDeque::new(),
        }
    }

    /// Links that have no node yet, as far as is known.
    #[must_use]
    pub(crate) fn open_links(&self) -> &[Link] {
        &self.open
    }

    /// Takes note of a link's node, whose following links are open then. A node that is known changes nothing.
    pub(crate) fn add_node(&mut self, digest: String, node: &PlanNode) {
        let id = node.link.id(&node.run);
        if !self.seen.insert(id.clone()) {
            return;
        }
        self.open.retain(|link| link.id(&node.run) != id);
        let following = node.following().filter(|link| !self.seen.contains(&link.id(&node.run)));
        self.open.extend(following.cloned());
        for shard in &node.shards {
            self.planned.insert(shard.id.clone(), (shard.items, shard.bytes));
        }
        self.nodes.push((id, digest));
    }

    /// Takes note of a node whose link is known to be open, and says whether it is.
    pub(crate) fn take_open(&mut self, digest: String, node: &PlanNode) -> bool {
        let id = node.link.id(&node.run);
        let open = self.open.iter().any(|link| link.id(&node.run) == id);
        if open {
            self.add_node(digest, node);
        }
        open || self.seen.contains(&id)
    }

    /// Shards of the tree that have no result.
    #[must_use]
    pub(crate) fn outstanding(&self) -> usize {
        self.planned
            .keys()
            .filter(|shard| !self.done.contains_key(*shard))
            .count()
    }

    /// The tree as it stands, to be frozen when no link is open.
    #[must_use]
    pub(crate) fn to_complete(&self) -> PlanComplete {
        PlanComplete {
            run: self.document.run.clone(),
            nodes: self.nodes.clone(),
            shards: self.planned.len() as u64,
            items: self.planned_items(),
            bytes: self.planned.values().map(|(_, bytes)| bytes).sum(),
        }
    }

    /// How many results of a shard are known.
    #[must_use]
    pub(crate) fn known_results(&self, shard: &ShardId) -> usize {
        self.done.get(shard).map_or(0, |summary| summary.results)
    }

    /// Takes note of a shard's result.
    pub(crate) fn add_result(&mut self, shard: ShardId, summary: ShardSummary) {
        self.done.insert(shard, summary);
    }

    /// Takes a sample for the rate.
    pub(crate) fn sample(&mut self, now: Instant) {
        let ended = self.counts().total();
        self.samples.push_back((now, ended));
        while self
            .samples
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > RATE_WINDOW)
            && self.samples.len() > 2
        {
            self.samples.pop_front();
        }
    }

    fn rate(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        {
            after.saturating_sub(*before) as f64 / seconds
        }
    }

    /// Results of the tree's shards. Those of orphans are not counted.
    fn results(&self) -> impl Iterator<Item = &ShardSummary> {
        self.done
            .iter()
            .filter(|(shard, _)| self.planned.contains_key(*shard))
            .map(|(_, summary)| summary)
    }

    /// Shards of the tree that have no result, in the order of their ids.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<ShardId> {
        let mut missing: Vec<_> = self
            .planned
            .keys()
            .filter(|shard| !self.done.contains_key(*shard))
            .cloned()
            .collect();
        missing.sort_unstable();
        missing
    }

    /// Shards of the tree, in the order of their ids.
    #[must_use]
    pub(crate) fn shards(&self) -> Vec<ShardId> {
        let mut shards: Vec<_> = self.planned.keys().cloned().collect();
        shards.sort_unstable();
        shards
    }

    /// Shards of the tree with items that failed, in the order of their ids.
    #[must_use]
    pub(crate) fn failed_shards(&self) -> Vec<ShardId> {
        let failed = self
            .done
            .iter()
            .filter(|(shard, summary)| summary.counts.failed > 0 && self.planned.contains_key(*shard));
        let mut shards: Vec<_> = failed.map(|(shard, _)| shard.clone()).collect();
        shards.sort_unstable();
        shards
    }

    fn planned_items(&self) -> u64 {
        self.planned.values().map(|(items, _)| u64::from(*items)).sum()
    }

    /// Items by how they ended.
    #[must_use]
    pub(crate) fn counts(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for summary in self.results() {
            counts += summary.counts;
        }
        counts
    }

    /// Where the run stands.
    #[must_use]
    pub(crate) fn state(&self) -> RunState {
        if let Some(stop) = &self.stop {
            return match stop.reason {
                StopReason::Cancelled => RunState::Cancelled,
                StopReason::ModelMismatch
                | StopReason::CollectionMismatch
                | StopReason::TooManyFailures
                | StopReason::DatasetUnreadable => RunState::Failed,
            };
        }
        let all_done = self.planned.keys().all(|shard| self.done.contains_key(shard));
        match (self.plan_complete, all_done) {
            (false, _) => RunState::Planning,
            (true, false) => RunState::Running,
            (true, true) if self.counts().failed == 0 => RunState::Succeeded,
            (true, true) => RunState::PartiallySucceeded,
        }
    }

    /// The run as it stands.
    #[must_use]
    pub(crate) fn snapshot(&self) -> RunSnapshot {
        let state = self.state();
        let stopped = self.stop.as_ref().map(|stop| stop.stopped_at);
        let last = self.results().map(|summary| summary.finished_at).max().max(stopped);
        RunSnapshot {
            document: Arc::clone(&self.document),
            state,
            stop: self.stop.clone(),
            plan_complete: self.plan_complete,
            planned_items: self.planned_items(),
            planned_shards: self.planned.len() as u64,
            done_shards: self.results().count() as u64,
            counts: self.counts(),
            failures: grouped(self.results().map(|summary| &summary.failures)),
            skips: grouped(self.results().map(|summary| &summary.skips)),
            items_per_second: if state.is_final() { 0.0 } else { self.rate() },
            ended_at: state.is_final().then(|| last.unwrap_or(self.document.created_at)),
        }
    }
}

fn grouped<'a, R: Ord + Copy + 'a>(maps: impl Iterator<Item = &'a BTreeMap<R, u64>>) -> Vec<(R, u64)> {
    let mut sums: BTreeMap<R, u64> = BTreeMap::new();
    for map in maps {
        for (reason, count) in map {
            *sums.entry(*reason).or_default() += count;
        }
    }
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    sorted
}
