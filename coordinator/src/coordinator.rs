//! A coordinator put together: planning loop, tracker and gRPC service over the seams that it is given.

use crate::dead_letters::DeadLetters;
use crate::hints;
use crate::lost_links::LostLinks;
use crate::metrics::CoordinatorMetrics;
use crate::plan_loop::{self, PlanLoop};
use crate::planner::{PlanError, Planner, PlannerOptions};
use crate::resume::resume_unfinished;
use crate::run_meters::RunMeters;
use crate::service::CoordinatorService;
use crate::split::Splitter;
use crate::tracker::Tracker;
use crate::waiting::Waiting;
use crate::window::Window;
use sightline_core::message::queues;
use sightline_core::{Clock, DoneReport, WorkerReport};
use sightline_index::LazyIndex;
use sightline_objects::Stores;
use sightline_proto::v1::coordinator_server::CoordinatorServer;
use sightline_queue::{JobQueue, QueueError};
use sightline_state::State;
use sightline_telemetry::{Metrics, MetricsError};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a coordinator works with.
#[derive(Debug, Clone)]
pub struct Seams {
    /// The state root.
    pub state: State,
    /// Datasets' roots.
    pub datasets: Arc<Stores>,
    /// The broker.
    pub queue: Arc<dyn JobQueue>,
    /// The index, for audits and repairs; those are refused where it is not given.
    pub index: Option<Arc<LazyIndex>>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// A coordinator.
#[derive(Debug)]
pub struct Coordinator {
    seams: Seams,
    tracker: Arc<Tracker>,
    waiting: Arc<Waiting>,
    planner: Arc<Planner>,
    dead_letters: DeadLetters,
    lost_links: LostLinks,
    metrics: CoordinatorMetrics,
}

impl Coordinator {
    /// A coordinator that does nothing yet.
    ///
    /// # Errors
    /// Where the names of its metrics are taken by other types.
    pub fn new(seams: Seams, options: PlannerOptions, metrics: &Metrics) -> Result<Self, MetricsError> {
        let meters = RunMeters::new(metrics)?;
        let metrics = CoordinatorMetrics::new(metrics)?;
        let tracker = Arc::new(Tracker::new(
            seams.state.clone(),
            Arc::clone(&seams.queue),
            Arc::clone(&seams.clock),
            meters,
            metrics.clone(),
        ));
        let waiting = Arc::<Waiting>::default();
        let window = Window {
            queue: Arc::clone(&seams.queue),
            waiting: Arc::clone(&waiting),
        };
        let planner = Planner::new(&seams, Arc::clone(&tracker), window.clone(), options);
        let splitter = Splitter {
            state: seams.state.clone(),
            queue: Arc::clone(&seams.queue),
            index: seams.index.clone(),
            clock: Arc::clone(&seams.clock),
        };
        let dead_letters = DeadLetters {
            splitter,
            tracker: Arc::clone(&tracker),
            metrics: metrics.clone(),
            queues: Mutex::default(),
        };
        let lost_links = LostLinks {
            tracker: Arc::clone(&tracker),
            waiting: Arc::clone(&waiting),
            window,
            seen: Mutex::default(),
        };
        Ok(Self {
            seams,
            tracker,
            waiting,
            planner: Arc::new(planner),
            dead_letters,
            lost_links,
            metrics,
        })
    }

    /// The gRPC service, to be offered on a server. Streams end with `shutdown`.
    #[must_use]
    pub fn service(
        &self,
        max_message_bytes: usize,
        shutdown: CancellationToken,
    ) -> CoordinatorServer<CoordinatorService> {
        CoordinatorServer::new(self.api(shutdown))
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
    }

    /// The calls themselves, for those in the same process. Streams end with `shutdown`.
    #[must_use]
    pub fn api(&self, shutdown: CancellationToken) -> CoordinatorService {
        CoordinatorService {
            state: self.seams.state.clone(),
            queue: Arc::clone(&self.seams.queue),
            index: self.seams.index.clone(),
            datasets: Arc::clone(&self.seams.datasets),
            tracker: Arc::clone(&self.tracker),
            waiting: Arc::clone(&self.waiting),
            clock: Arc::clone(&self.seams.clock),
            metrics: self.metrics.clone(),
            shutdown,
        }
    }

    /// Publishes again what runs that have not ended need: for a queue that lost its messages.
    ///
    /// # Errors
    /// When state or queue failed.
    pub async fn resume(&self) -> Result<(), PlanError> {
        resume_unfinished(&self.seams.state, &self.tracker, self.seams.queue.as_ref()).await
    }

    /// Looks once through the dead letters of shards, which [`Coordinator::plan`] does now and then.
    ///
    /// # Errors
    /// When state or queue failed.
    pub async fn look_through_dead_letters(&self) -> Result<(), PlanError> {
        self.dead_letters.pass().await
    }

    /// Looks once for links that nobody follows, as if it were so late, which [`Coordinator::plan`] does now and then:
    /// those of runs whose planning stood still for a minute are published again.
    ///
    /// # Errors
    /// When state or queue failed.
    pub async fn look_for_lost_links(&self, now: Instant) -> Result<(), PlanError> {
        self.lost_links.pass(now).await
    }

    /// Plans until shutdown; links in hand are followed to their end.
    ///
    /// # Errors
    /// When the queue refuses to be consumed for good.
    pub async fn plan(&self, shutdown: CancellationToken) -> Result<(), QueueError> {
        let (queue, waiting, tracker) = (self.seams.queue.as_ref(), self.waiting.as_ref(), self.tracker.as_ref());
        let of_worker = move |report: WorkerReport| async move { waiting.heard(report, Instant::now()) };
        let to_workers = hints::listen(queue, queues::TOPIC_WORKERS, &shutdown, of_worker);
        let of_shard = move |report: DoneReport| tracker.heard(report);
        let to_results = hints::listen(queue, queues::TOPIC_DONE, &shutdown, of_shard);
        let plan = PlanLoop {
            planner: Arc::clone(&self.planner),
            queue: Arc::clone(&self.seams.queue),
            waiting: Arc::clone(&self.waiting),
            metrics: self.metrics.clone(),
            clock: Arc::clone(&self.seams.clock),
        };
        let planning = plan_loop::run(Arc::new(plan), shutdown.clone());
        let burying = self.dead_letters.watch(&shutdown);
        let finding = self.lost_links.watch(&shutdown);
        let ((), (), (), (), planned) = tokio::join!(to_workers, to_results, burying, finding, planning);
        planned
    }
}
