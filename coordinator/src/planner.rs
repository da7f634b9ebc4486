//! Following one link of a planning tree: its node, which `node` makes where there is none, then what the node names
//! is published.

use crate::coordinator::Seams;
use crate::publish::{publish_link, publish_shard, shard_queue};
use crate::shard_writer::WriteRoom;
use crate::tracker::Tracker;
use crate::window::Window;
use futures::future::try_join_all;
use sightline_core::{Clock, PlanMessage, PlanNode, RunDocument, RunId, ShardId, StopDocument, StopReason};
use sightline_datasets::{DatasetError, OpenTables};
use sightline_index::{IndexError, LazyIndex};
use sightline_objects::{ObjectError, Stores};
use sightline_queue::{JobQueue, QueueError};
use sightline_service::fail_point;
use sightline_state::{State, StateError};
use std::sync::Arc;
use tokio::time::Instant;

/// Confirms that are awaited side by side.
const CONCURRENT_PUBLISHES: usize = 32;

/// What a link's end was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Its node is stored and all that it names is published.
    Done,
    /// The run is stopped, or was never asked for: nothing is left to do.
    Stopped,
    /// The run has its window of shards outstanding: try again later.
    WindowFull,
    /// Nothing is to be done for the run yet: look again later.
    Watching,
    /// A step is done; the next goes on from this cursor.
    GoesOn(String),
}

/// Why a link could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The state root.
    #[error(transparent)]
    State(#[from] StateError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The dataset.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A link whose cursor is none.
    #[error("the cursor {cursor:?} of a link cannot be understood: a coordinator of another version must take it")]
    Cursor {
        /// The cursor.
        cursor: String,
    },
    /// The index, which a run that repairs another is planned from.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Planning such a run needs an index, and this coordinator was given none.
    #[error("a run that repairs another or mirrors its dataset needs the index: set index.url for every coordinator")]
    NoIndex,
    /// The dataset's root.
    #[error("cannot open the dataset's root {root}")]
    Root {
        /// The root.
        root: String,
        /// Why.
        source: ObjectError,
    },
}

impl PlanError {
    /// Whether following the link again later can succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::State(error) => error.is_retryable(),
            Self::Queue(error) => error.is_retryable(),
            Self::Dataset(error) => error.is_retryable(),
            Self::Root { source, .. } => source.is_retryable(),
            Self::Index(error) => error.is_retryable(),
            // Another coordinator may have one, or know the cursor.
            Self::NoIndex | Self::Cursor { .. } => true,
        }
    }

    /// Whether the dataset is to blame, so that no repetition helps.
    #[must_use]
    pub(crate) fn dataset_is_unreadable(&self) -> bool {
        matches!(self, Self::Dataset(_) | Self::Root { .. }) && !self.is_retryable()
    }
}

/// Bounds of one step of planning.
#[derive(Debug, Clone, Copy)]
pub struct PlannerOptions {
    /// Shards that one link makes at most; a quarter of the run's window where that is less, so that one link does not
    /// go far beyond it.
    pub shards_per_link: usize,
    /// Entries read from the dataset at a time.
    pub page_entries: usize,
    /// Bytes of text and metadata in one shard, beyond which it is closed early.
    pub shard_bytes: usize,
    /// Bytes of shards that are being written at a time, over all links that are followed.
    pub writing_bytes: usize,
    /// Into how many ranges, open at a time, the prefix of a run may be cut.
    pub fan_out: u32,
    /// Ids of rows in memory, 16 bytes each, while a run's dataset is mirrored; those of a larger run are compared part
    /// by part.
    pub mirror_ids: u64,
}

impl Default for PlannerOptions {
    fn default() -> Self {
        Self {
            shards_per_link: 32,
            page_entries: 1000,
            shard_bytes: 8 << 20,
            writing_bytes: 32 << 20,
            fan_out: 32,
            mirror_ids: 4_000_000,
        }
    }
}

/// Follows links.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) state: State,
    pub(crate) datasets: Arc<Stores>,
    queue: Arc<dyn JobQueue>,
    pub(crate) index: Option<Arc<LazyIndex>>,
    pub(crate) tracker: Arc<Tracker>,
    window: Window,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: PlannerOptions,
    pub(crate) room: WriteRoom,
    /// Of the links that were followed last: the next ones mostly go on where these ended.
    pub(crate) tables: Arc<OpenTables>,
}

impl Planner {
    /// A planner over what a coordinator works with.
    #[must_use]
    pub(crate) fn new(seams: &Seams, tracker: Arc<Tracker>, window: Window, options: PlannerOptions) -> Self {
        Self {
            state: seams.state.clone(),
            datasets: Arc::clone(&seams.datasets),
            queue: Arc::clone(&seams.queue),
            index: seams.index.clone(),
            tracker,
            window,
            clock: Arc::clone(&seams.clock),
            options,
            room: WriteRoom::new(options.writing_bytes),
            tables: Arc::default(),
        }
    }

    /// Follows a link: see `docs/protocol.md`, "Planning". Doing it twice has the effect of once.
    ///
    /// # Errors
    /// When the state, the dataset or the queue failed; see [`PlanError::is_retryable`]. An unreadable dataset has
    /// stopped the run then.
    pub(crate) async fn follow(&self, message: &PlanMessage) -> Result<Followed, PlanError> {
        let run = &message.run;
        let Some(document) = self.tracker.document(run).await? else {
            tracing::warn!(%run, "a link of a run that was never stored is dropped");
            return Ok(Followed::Stopped);
        };
        if self.state.stop(run).await?.is_some() {
            return Ok(Followed::Stopped);
        }
        let mut nodes = self.state.plan_nodes(run, &message.link).await?;
        let mut repeated = !nodes.is_empty();
        if !repeated {
            let outstanding = self.tracker.outstanding(run).await?;
            if self.window.is_full(&document, outstanding, Instant::now()).await? {
                return Ok(Followed::WindowFull);
            }
            nodes = match self.make_node(&document, &message.link).await {
                Ok(nodes) => nodes,
                Err(error) => {
                    if error.dataset_is_unreadable() {
                        self.stop_unreadable(run, &error).await?;
                    }
                    return Err(error);
                }
            };
            repeated = nodes.len() > 1;
        }
        // Whichever counts: a coordinator may have read one before the smaller came, and freezes the tree with that.
        for (_, node) in &nodes {
            self.publish(&document, node, repeated, message.traceparent.as_deref())
                .await?;
        }
        if let Some((digest, node)) = nodes.into_iter().next() {
            self.tracker.planned(run, digest, &node).await;
        }
        Ok(Followed::Done)
    }

    async fn stop_unreadable(&self, run: &RunId, error: &PlanError) -> Result<(), PlanError> {
        let stop = StopDocument {
            run: run.clone(),
            reason: StopReason::DatasetUnreadable,
            message: describe(error),
            stopped_at: self.clock.now(),
        };
        Ok(self.tracker.stop(&stop).await?)
    }

    /// Publishes a node's shards that have no result, and its following links.
    async fn publish(
        &self,
        document: &RunDocument,
        node: &PlanNode,
        repeated: bool,
        traceparent: Option<&str>,
    ) -> Result<(), PlanError> {
        let queue = shard_queue(document);
        self.queue.declare(&queue).await?;
        for some in node.shards.chunks(CONCURRENT_PUBLISHES) {
            let publishing: Vec<_> = some
                .iter()
                .map(|shard| self.publish_missing(document, &shard.id, repeated, traceparent))
                .collect();
            try_join_all(publishing).await?;
        }
        fail_point::die("coordinator-before-links");
        let links = node
            .following()
            .map(|link| publish_link(self.queue.as_ref(), document, link, traceparent));
        try_join_all(links).await?;
        Ok(())
    }

    async fn publish_missing(
        &self,
        document: &RunDocument,
        shard: &ShardId,
        repeated: bool,
        traceparent: Option<&str>,
    ) -> Result<(), PlanError> {
        // Only a node that was there before can have results, or a shard that was split.
        if repeated
            && (self.state.has_result(&document.run, shard).await?
                || self.state.split(&document.run, shard).await?.is_some())
        {
            return Ok(());
        }
        Ok(publish_shard(self.queue.as_ref(), document, shard, traceparent).await?)
    }
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
