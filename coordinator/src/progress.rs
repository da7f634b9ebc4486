//! What is known of a run: derived from its objects, never counted up.

use crate::piece::{Piece, ShardSummary, add};
use sightline_core::{
    FailureReason, ItemOutcome, Link, LinkId, MirrorDone, Outcome, OutcomeCounts, PlanComplete, PlanNode, RollUp,
    RollUpSums, RunDocument, ShardId, ShardResult, SkipReason, StopDocument, StopReason, Timestamp,
};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The window over which the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// Failed items that are told to those who watch.
const RECENT_FAILURES: usize = 10;

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
    /// Stopped by an error that concerns all items or by too many failed ones, or its mirror was refused.
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
    /// Items of which was learned last that they failed, newest first.
    pub recent_failures: Vec<ItemOutcome>,
    /// Items that ended per second over the last half minute; 0 when the run has ended.
    pub items_per_second: f64,
    /// What was deleted because the dataset holds it no more; none where that is not asked for, or not done.
    pub mirrored: Option<MirrorDone>,
    /// When the last item ended, or the run was stopped; none before the end.
    pub ended_at: Option<Timestamp>,
}

impl RunSnapshot {
    /// Shards that are planned and not done.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.planned_shards - self.done_shards
    }

    /// Whether every item has ended, and rows are still to be deleted.
    #[must_use]
    pub fn is_mirroring(&self) -> bool {
        let wanted = self.document.spec.mirror.is_some() && self.mirrored.is_none();
        wanted && self.stop.is_none() && self.plan_complete && self.outstanding() == 0
    }
}

/// One run as one coordinator knows it. Shards are in memory while they are in a piece of the tree that is open or has
/// shards without result, of which the window allows few; what is closed is summed up.
#[derive(Debug, Clone)]
pub(crate) struct RunProgress {
    /// What was asked.
    pub(crate) document: Arc<RunDocument>,
    /// Why it was stopped, if it was.
    pub(crate) stop: Option<StopDocument>,
    /// Whether the tree is frozen.
    pub(crate) plan_complete: bool,
    /// Links with several nodes that are to be followed again, before the tree is frozen.
    pub(crate) contested: Vec<Link>,
    /// What was deleted at the end.
    pub(crate) mirrored: Option<MirrorDone>,
    /// Shards outside of the pieces of which more than one result is there, with their number.
    pub(crate) repeated: BTreeMap<ShardId, u32>,
    /// Pieces by the link that they start with.
    pieces: BTreeMap<LinkId, Piece>,
    /// The piece that a shard is in.
    piece_of: HashMap<ShardId, LinkId>,
    closed: RollUpSums,
    failed: Vec<ShardId>,
    /// `link/digest` of each node.
    nodes: Vec<Box<str>>,
    samples: VecDeque<(Instant, u64)>,
    recent_failures: VecDeque<ItemOutcome>,
}

impl RunProgress {
    /// A run of which nothing but its document is known.
    #[must_use]
    pub(crate) fn new(document: Arc<RunDocument>) -> Self {
        let root = Link::default();
        Self {
            stop: None,
            plan_complete: false,
            contested: Vec::new(),
            mirrored: None,
            repeated: BTreeMap::new(),
            pieces: BTreeMap::from([(root.id(&document.run), Piece::starting(root))]),
            piece_of: HashMap::new(),
            closed: RollUpSums::default(),
            failed: Vec::new(),
            nodes: Vec::new(),
            samples: VecDeque::new(),
            recent_failures: VecDeque::new(),
            document,
        }
    }

    /// The run as if nothing of its tree were known.
    #[must_use]
    pub(crate) fn restarted(&self, repeated: BTreeMap<ShardId, u32>) -> Self {
        Self {
            stop: self.stop.clone(),
            samples: self.samples.clone(),
            recent_failures: self.recent_failures.clone(),
            repeated,
            ..Self::new(Arc::clone(&self.document))
        }
    }

    /// Links that have no node yet, as far as is known, each with whether a piece starts with it.
    #[must_use]
    pub(crate) fn open_links(&self) -> Vec<(Link, bool)> {
        let open = |piece: &Piece| Some((piece.tail()?.clone(), piece.is_new()));
        let mut links: Vec<_> = self.pieces.values().filter_map(open).collect();
        links.sort_unstable_by(|(one, _), (other, _)| {
            (&one.range.prefix, &one.start_after).cmp(&(&other.range.prefix, &other.start_after))
        });
        links
    }

    /// Takes note of an open link's node, whose following links are open then, and says whether the link was open.
    pub(crate) fn add_node(&mut self, digest: String, node: &PlanNode) -> bool {
        let id = node.link.id(&node.run);
        let run = &self.document.run;
        let open = |piece: &Piece| piece.tail().is_some_and(|tail| tail.id(run) == id);
        let Some((first, piece)) = self.pieces.iter_mut().find(|(_, piece)| open(piece)) else {
            return false;
        };
        for shard in &node.shards {
            self.piece_of.insert(shard.id.clone(), first.clone());
        }
        self.nodes.push(format!("{id}/{digest}").into());
        for link in piece.take(id, digest, node) {
            self.pieces.insert(link.id(&node.run), Piece::starting(link));
        }
        true
    }

    /// Takes a roll-up in place of the piece that starts with a link.
    pub(crate) fn add_roll_up(&mut self, first: &LinkId, roll_up: RollUp) {
        self.pieces.remove(first);
        for (link, digest) in &roll_up.nodes {
            self.nodes.push(format!("{link}/{digest}").into());
        }
        for link in &roll_up.exits {
            self.pieces.insert(link.id(&roll_up.run), Piece::starting(link.clone()));
        }
        self.sum_up(roll_up);
    }

    fn sum_up(&mut self, roll_up: RollUp) {
        add(&mut self.closed, &roll_up.sums);
        self.failed.extend(roll_up.failed);
        self.repeated.extend(roll_up.repeated);
    }

    /// The links of pieces that are closed, each with its roll-up where that is worth storing.
    #[must_use]
    pub(crate) fn closed_pieces(&self) -> Vec<(LinkId, Option<RollUp>)> {
        let closed = self.pieces.iter().filter(|(_, piece)| piece.is_closed());
        let roll_up = |piece: &Piece| piece.is_worth_storing().then(|| piece.roll_up(&self.document.run));
        closed.map(|(first, piece)| (first.clone(), roll_up(piece))).collect()
    }

    /// Forgets the shards of a closed piece, and keeps what they amount to.
    pub(crate) fn close(&mut self, first: &LinkId) {
        let Some(piece) = self.pieces.remove(first) else { return };
        for shard in piece.shards() {
            self.piece_of.remove(shard);
        }
        self.sum_up(piece.roll_up(&self.document.run));
    }

    /// The nodes of the tree, as (link, digest).
    #[must_use]
    pub(crate) fn nodes(&self) -> Vec<(LinkId, String)> {
        let node = |text: &str| {
            let (link, digest) = text.split_once('/')?;
            Some((LinkId::new(link).ok()?, digest.to_owned()))
        };
        self.nodes.iter().filter_map(|text| node(text)).collect()
    }

    /// The tree as it stands, to be frozen when no link is open.
    #[must_use]
    pub(crate) fn to_complete(&self) -> PlanComplete {
        let sums = self.sums();
        PlanComplete {
            run: self.document.run.clone(),
            nodes: self.nodes(),
            shards: sums.shards,
            items: sums.items,
            bytes: sums.bytes,
        }
    }

    /// How many results of a shard are known; none where it is in no piece: it is summed up, or an orphan.
    #[must_use]
    pub(crate) fn known_results(&self, shard: &ShardId) -> Option<u32> {
        let piece = self.pieces.get(self.piece_of.get(shard)?)?;
        Some(piece.known_results(shard))
    }

    /// Takes note of a shard's result.
    pub(crate) fn add_result(&mut self, shard: &ShardId, summary: ShardSummary) {
        let piece = self.piece_of.get(shard).and_then(|first| self.pieces.get_mut(first));
        if let Some(piece) = piece {
            piece.finish(shard, summary);
        }
    }

    /// Takes note of a shard's failed items, for those who watch.
    pub(crate) fn note_failures(&mut self, result: &ShardResult) {
        let failed = |item: &&ItemOutcome| matches!(item.outcome, Outcome::Failed { .. });
        for item in result.items.iter().filter(failed).take(RECENT_FAILURES) {
            self.recent_failures.push_front(item.clone());
        }
        self.recent_failures.truncate(RECENT_FAILURES);
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

    /// How many shards of the tree have no result.
    #[must_use]
    pub(crate) fn outstanding(&self) -> usize {
        self.pieces.values().map(Piece::missing).sum()
    }

    /// Which they are, in the order of their ids.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<ShardId> {
        let mut missing: Vec<_> = self.pieces.values().flat_map(Piece::missing_shards).cloned().collect();
        missing.sort_unstable();
        missing
    }

    /// Whether some shards of the tree have no result, and all of them are among these.
    #[must_use]
    pub(crate) fn misses_only(&self, shards: &HashSet<ShardId>) -> bool {
        let mut missing = self.pieces.values().flat_map(Piece::missing_shards).peekable();
        missing.peek().is_some() && missing.all(|shard| shards.contains(shard))
    }

    /// Shards of the tree with items that failed, in the order of their ids.
    #[must_use]
    pub(crate) fn failed_shards(&self) -> Vec<ShardId> {
        let open = self.pieces.values().flat_map(Piece::failed);
        let mut shards: Vec<_> = self.failed.iter().chain(open).cloned().collect();
        shards.sort_unstable();
        shards
    }

    fn sums(&self) -> RollUpSums {
        let mut sums = self.closed.clone();
        for piece in self.pieces.values() {
            add(&mut sums, &piece.sums());
        }
        sums
    }

    /// Items of the tree.
    #[must_use]
    pub(crate) fn planned_items(&self) -> u64 {
        self.sums().items
    }

    /// Shards of the tree that have a result.
    #[must_use]
    pub(crate) fn done(&self) -> u64 {
        let open: usize = self
            .pieces
            .values()
            .map(|piece| piece.shards().count() - piece.missing())
            .sum();
        self.closed.shards + open as u64
    }

    /// Items by how they ended.
    #[must_use]
    pub(crate) fn counts(&self) -> OutcomeCounts {
        let mut counts = self.closed.counts;
        for piece in self.pieces.values() {
            counts += piece.counts();
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
                | StopReason::MirrorRefused
                | StopReason::PreviewsUnwritable
                | StopReason::DatasetUnreadable => RunState::Failed,
            };
        }
        match (self.plan_complete, self.outstanding() == 0) {
            (false, _) => RunState::Planning,
            (true, false) => RunState::Running,
            (true, true) if self.document.spec.mirror.is_some() && self.mirrored.is_none() => RunState::Running,
            (true, true) if self.counts().failed == 0 => RunState::Succeeded,
            (true, true) => RunState::PartiallySucceeded,
        }
    }

    /// The run as it stands.
    #[must_use]
    pub(crate) fn snapshot(&self) -> RunSnapshot {
        let state = self.state();
        let sums = self.sums();
        let done_shards = self.done();
        let stopped = self.stop.as_ref().map(|stop| stop.stopped_at);
        let mirrored = self.mirrored.as_ref().map(|done| done.finished_at);
        let last = (done_shards > 0).then_some(sums.finished_at).max(stopped).max(mirrored);
        RunSnapshot {
            document: Arc::clone(&self.document),
            state,
            stop: self.stop.clone(),
            plan_complete: self.plan_complete,
            planned_items: sums.items,
            planned_shards: sums.shards,
            done_shards,
            counts: sums.counts,
            failures: sorted(sums.failures),
            skips: sorted(sums.skips),
            recent_failures: self.recent_failures.iter().cloned().collect(),
            items_per_second: if state.is_final() { 0.0 } else { self.rate() },
            mirrored: self.mirrored.clone(),
            ended_at: state.is_final().then(|| last.unwrap_or(self.document.created_at)),
        }
    }
}

fn sorted<R: Ord + Copy>(sums: BTreeMap<R, u64>) -> Vec<(R, u64)> {
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    sorted
}
