//! The supervisor: holds the broker's session and the deliveries, writes the results, and keeps an engine.
//!
//! Promises: no shard is acked before its result is written; a dead engine is replaced and its suspects tried alone;
//! what cannot be worked on now goes back with a growing delay, without spending a delivery. Leaves to the engine: the
//! items themselves.

mod circuit;
mod collection;
mod death;
mod host;
mod host_state;
mod imports;
mod load;
mod memory;
mod process;
mod quarantine;
mod queues;
mod runs;
mod service;
mod shard;
mod stale;
mod start;
mod status;
mod tally;
mod watchdog;
mod work;

pub use host::HostError;
pub use memory::usual_engine_memory;
pub use process::EngineCommand;
pub use service::WorkerService;
pub use start::{EngineEvents, StartEngine, StartedEngine};

use crate::config::SupervisorConfig;
use crate::devices::prefetch_for;
use bytes::Bytes;
use circuit::Circuit;
use host::{EngineHandle, Host, LoadedModel};
use queues::Queues;
use runs::Runs;
use shard::Shards;
use sightline_core::message;
use sightline_core::{Clock, ModelName, WorkerReport};
use sightline_index::VectorIndex;
use sightline_objects::ObjectStore;
use sightline_queue::{JobQueue, QueueError};
use sightline_state::State;
use sightline_telemetry::{Condition, Metrics, MetricsError, Readiness};
use status::{Phase, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Part of the grace period that is kept for handing back.
const HAND_BACK_SHARE: u32 = 5;

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct Seams {
    /// The state root.
    pub state: Arc<dyn ObjectStore>,
    /// The queue.
    pub queue: Arc<dyn JobQueue>,
    /// The index, for collections. The engine opens its own.
    pub index: Arc<dyn VectorIndex>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// Why a worker ended though nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] HostError),
    /// The queue will never work.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A part of the worker panicked.
    #[error("a part of the worker panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// A worker that has not started yet.
#[derive(Debug)]
pub struct Worker {
    config: SupervisorConfig,
    engines: Arc<dyn StartEngine>,
    seams: Seams,
    status: Arc<Status>,
    drain: CancellationToken,
    changed: Arc<Notify>,
    ready: Option<Condition>,
}

impl Worker {
    /// A worker, and how it comes by its engines: [`EngineCommand`] starts processes.
    ///
    /// # Errors
    /// When a metric's name is taken.
    pub fn new(
        config: SupervisorConfig,
        engines: impl StartEngine + 'static,
        seams: Seams,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let status = Arc::new(Status::new(config.worker.clone(), Arc::clone(&seams.clock), metrics)?);
        Ok(Self {
            config,
            engines: Arc::new(engines),
            seams,
            status,
            drain: CancellationToken::new(),
            changed: Arc::default(),
            ready: None,
        })
    }

    /// Says there, too, when the worker takes shards.
    #[must_use]
    pub fn with_readiness(mut self, readiness: &Readiness) -> Self {
        self.ready = Some(readiness.condition("engine"));
        self
    }

    /// The worker's gRPC service.
    #[must_use]
    pub fn service(&self) -> WorkerService {
        WorkerService {
            status: Arc::clone(&self.status),
            drain: self.drain.clone(),
        }
    }

    /// Works until told to end; then finishes what fits in the grace period and hands back the rest.
    ///
    /// # Errors
    /// When the engine cannot run, or the queue can never work.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let (host, mut engine) = Host::new(self.config.clone(), Arc::clone(&self.engines), Arc::clone(&self.status))?;
        let end = CancellationToken::new();
        // On every way out, also where this future is dropped, the engine ends.
        let _end = end.clone().drop_guard();
        let no_engine = CancellationToken::new();
        let hosting = {
            let (end, gone) = (end.clone(), no_engine.clone().drop_guard());
            tokio::spawn(async move {
                let _gone = gone;
                host.run(end).await
            })
        };
        let reporting = AbortOnDropHandle::new(tokio::spawn(report(
            Arc::clone(&self.seams.queue),
            Arc::clone(&self.status),
            self.config.engine.model.name.clone(),
            self.config.report_every,
            Arc::clone(&self.changed),
        )));
        let loaded = tokio::select! {
            biased;
            loaded = engine.model() => loaded,
            () = shutdown.cancelled() => None,
        };
        let served = match loaded {
            Some(model) => self.serve(engine, model, &shutdown, &no_engine).await,
            None => Ok(()),
        };
        end.cancel();
        drop(reporting);
        // Where there is no engine, that is why all else ended.
        hosting.await??;
        served
    }

    async fn serve(
        &self,
        engine: EngineHandle,
        model: LoadedModel,
        shutdown: &CancellationToken,
        no_engine: &CancellationToken,
    ) -> Result<(), WorkerError> {
        let queue_name = (!model.fields.is_empty()).then(|| message::queues::shards(&model.name));
        let config = &self.config;
        let (status, changed) = (Arc::clone(&self.status), Arc::clone(&self.changed));
        let shards = Arc::new(Shards {
            runs: Runs::new(
                State::new(Arc::clone(&self.seams.state)),
                Arc::clone(&self.seams.index),
                Arc::clone(&self.seams.clock),
                Arc::clone(&status),
                config.stop_cached,
            ),
            engine,
            queue: Arc::clone(&self.seams.queue),
            model,
            circuit: Circuit::new(config.pause, config.max_pause, Arc::clone(&status), changed),
            status,
            hand_back: CancellationToken::new(),
            turn: RwLock::new(()),
        });
        let stop_taking = shutdown.child_token();
        let prefetch = match config.prefetch {
            0 => prefetch_for(&shards.model.devices, shards.model.batch_items),
            given => given,
        };
        let opened = self.consume(&shards, queue_name.as_deref(), prefetch, &stop_taking);
        let Some(mut queues) = opened.await? else {
            return Ok(());
        };
        // Drained before the model was loaded, it never serves.
        if !self.drain.is_cancelled() {
            self.status.serving(prefetch);
        }
        if let Some(ready) = &self.ready {
            ready.ready();
        }
        tracing::info!(
            queue = queue_name,
            worker = config.worker,
            in_hand = prefetch,
            "taking shards"
        );
        let mut in_hand = JoinSet::new();
        let taken = tokio::select! {
            biased;
            () = stop_taking.cancelled() => Ok(()),
            taken = self.take(&shards, &mut queues, &mut in_hand, prefetch) => taken,
            // The engine is gone for good: what is in hand goes back by itself.
            () = no_engine.cancelled() => Ok(()),
        };
        self.status.phase(Phase::Draining);
        self.finish(&shards, &mut queues, &mut in_hand).await;
        taken
    }

    /// Opens the queues, however long the broker is away; none where the worker has to end meanwhile.
    async fn consume(
        &self,
        shards: &Shards,
        of_model: Option<&str>,
        prefetch: u16,
        stop: &CancellationToken,
    ) -> Result<Option<Queues>, QueueError> {
        loop {
            let opened = Queues::open(shards.queue.as_ref(), of_model, prefetch);
            tokio::pin!(opened);
            let error = tokio::select! {
                biased;
                opened = &mut opened => match opened {
                    Ok(queues) => {
                        shards.circuit.well();
                        return Ok(Some(queues));
                    }
                    Err(error) if error.is_retryable() => error,
                    Err(error) => return Err(error),
                },
                () = stop.cancelled() => {
                    // One of two may be open: what came from it goes back uncounted, as its consumer's end would not let it.
                    let limit = self.config.grace / HAND_BACK_SHARE;
                    if let Ok(Ok(mut queues)) = tokio::time::timeout(limit, opened).await {
                        return_unopened(shards, &mut queues).await;
                    }
                    return Ok(None);
                }
            };
            shards.circuit.away(error.to_string());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                () = shards.circuit.closed() => {}
            }
        }
    }

    /// Takes deliveries until drained.
    async fn take(
        &self,
        shards: &Arc<Shards>,
        queues: &mut Queues,
        in_hand: &mut JoinSet<()>,
        prefetch: u16,
    ) -> Result<(), WorkerError> {
        let permits = Arc::new(Semaphore::new(usize::from(prefetch)));
        // After so long without a delivery nothing is waited for any more.
        let idle = self.config.max_pause + self.config.report_every;
        loop {
            shards.circuit.closed().await;
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return Ok(());
            };
            // Another shard may have found something away while this one waited for its turn.
            shards.circuit.closed().await;
            let taken = tokio::select! {
                biased;
                () = self.drain.cancelled() => {
                    return_unopened(shards, queues).await;
                    // What is in hand ends as it would; the process waits to be ended.
                    return std::future::pending().await;
                }
                taken = queues.next() => taken,
                () = tokio::time::sleep(idle), if self.status.read().waiting_for.is_some() => {
                    shards.circuit.well();
                    continue;
                }
            };
            while in_hand.try_join_next().is_some() {}
            match taken {
                Ok(taken) => {
                    let shards = Arc::clone(shards);
                    in_hand.spawn(async move {
                        shards.handle(taken).await;
                        drop(permit);
                    });
                }
                Err(error) if error.is_retryable() => shards.circuit.away(error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The way out: what fits in the grace period ends, the rest goes back.
    async fn finish(&self, shards: &Shards, queues: &mut Queues, in_hand: &mut JoinSet<()>) {
        let time = self.config.grace - self.config.grace / HAND_BACK_SHARE;
        return_unopened(shards, queues).await;
        let all = async { while in_hand.join_next().await.is_some() {} };
        tokio::pin!(all);
        if tokio::time::timeout(time, &mut all).await.is_ok() {
            return;
        }
        shards.hand_back.cancel();
        let rest = self.config.grace / HAND_BACK_SHARE;
        if tokio::time::timeout(rest, all).await.is_err() {
            tracing::warn!("some shards could not be handed back in time: the broker will deliver them again");
        }
    }
}

/// Takes no more. What the broker has sent and nobody has looked at goes back unopened, so that no delivery is counted.
async fn return_unopened(shards: &Shards, queues: &mut Queues) {
    for taken in queues.stop().await {
        shards.return_unopened(taken).await;
    }
}

/// Says what the worker waits for, now and then and when it changes.
async fn report(
    queue: Arc<dyn JobQueue>,
    status: Arc<Status>,
    model: ModelName,
    every: Duration,
    changed: Arc<Notify>,
) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = interval.tick() => {}
            () = changed.notified() => {}
        }
        let report = {
            let snapshot = status.read();
            let (waiting_for, since) = snapshot.waits();
            WorkerReport {
                worker: status.worker.clone(),
                model: model.clone(),
                waiting_for: waiting_for.map(str::to_owned),
                since,
                in_hand: snapshot.most_in_hand.filter(|_| snapshot.phase == Phase::Serving),
            }
        };
        // Strings and a number: serialising cannot fail.
        let body = Bytes::from(serde_json::to_vec(&report).unwrap_or_default());
        if let Err(error) = queue.broadcast(message::queues::TOPIC_WORKERS, body).await {
            tracing::debug!(%error, "nobody was told what this worker waits for");
        }
    }
}
