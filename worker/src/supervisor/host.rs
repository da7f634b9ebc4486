//! Keeps an engine running and works flowing through it.

use super::host_state::{HostState, Pumped};
use super::start::{EngineEvent, EngineEvents, Generation, StartEngine, StartedEngine};
use super::status::Status;
use super::watchdog::Watchdog;
use super::work::WorkEnd;
use crate::config::SupervisorConfig;
use crate::ipc::{FromEngine, Interruption, Job, PROTOCOL_VERSION, ToEngine, WorkId, WorkItem};
use crate::journal::read_journal;
use sightline_core::{FieldDescription, ModelName, VectorField};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Time for an engine to end by itself once it is told to.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The model as the engine loaded it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoadedModel {
    pub(crate) name: ModelName,
    pub(crate) fields: BTreeMap<VectorField, FieldDescription>,
    pub(crate) devices: Vec<String>,
    /// Items in a batch.
    pub(crate) batch_items: u32,
}

/// Why there is no engine any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The engine says that its configuration can never work.
    #[error("the engine cannot start: {0}")]
    Refused(String),
    /// It died again and again without ending an item.
    #[error("the engine died {deaths} times in a row, last of {cause}: see its log above")]
    KeepsDying {
        /// Deaths in a row.
        deaths: u32,
        /// What killed it last.
        cause: String,
    },
    /// A new engine has another model than the first.
    #[error("the model's files changed while the worker was running: restart it")]
    ModelChanged,
    /// A file or thread of the supervisor's own.
    #[error("the supervisor cannot run an engine: {0}")]
    System(String),
}

/// Takes works for the engine. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct EngineHandle {
    commands: mpsc::Sender<Command>,
    model: watch::Receiver<Option<LoadedModel>>,
}

pub(super) enum Command {
    /// A work begins.
    Work {
        job: Box<Job>,
        items: Vec<WorkItem>,
        progress: Arc<AtomicU64>,
        reply: oneshot::Sender<WorkEnd>,
    },
    /// Somebody stopped waiting for a work.
    Abandoned,
}

impl EngineHandle {
    /// Works on items until all ended or they cannot go on. Dropping the future abandons them.
    pub(crate) async fn work(&self, job: Job, items: Vec<WorkItem>, progress: Arc<AtomicU64>) -> WorkEnd {
        let gone = || WorkEnd::Interrupted(Interruption::Waiting("this worker has no engine".into()));
        let (reply, end) = oneshot::channel();
        let abandoned = OnAbandon(Some(self.commands.clone()));
        if self
            .commands
            .send(Command::Work {
                job: Box::new(job),
                items,
                progress,
                reply,
            })
            .await
            .is_err()
        {
            return gone();
        }
        let end = end.await.unwrap_or_else(|_| gone());
        abandoned.not();
        end
    }

    /// The model, once it is loaded; none where it never will be.
    pub(crate) async fn model(&mut self) -> Option<LoadedModel> {
        self.model
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|model| model.clone())
    }
}

/// Wakes the host when a work's future is dropped.
struct OnAbandon(Option<mpsc::Sender<Command>>);

impl OnAbandon {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for OnAbandon {
    fn drop(&mut self) {
        if let Some(commands) = self.0.take() {
            // Full means that the host is about to wake up anyway.
            let _woken = commands.try_send(Command::Abandoned);
        }
    }
}

/// Both ends of the way from engines to the host.
type Events = (
    mpsc::Sender<(Generation, EngineEvent)>,
    mpsc::Receiver<(Generation, EngineEvent)>,
);

/// Keeps an engine running.
pub(crate) struct Host {
    config: SupervisorConfig,
    engines: Arc<dyn StartEngine>,
    folder: tempfile::TempDir,
    status: Arc<Status>,
    state: HostState,
    commands: mpsc::Receiver<Command>,
    events: Events,
    model: watch::Sender<Option<LoadedModel>>,
    engine: Option<Box<dyn StartedEngine>>,
    ready: bool,
    generation: Generation,
    start_at: Option<Instant>,
    deaths_in_row: u32,
    last_tick: Instant,
    watchdog: Watchdog,
}

impl Host {
    /// A host that has started nothing yet.
    pub(crate) fn new(
        config: SupervisorConfig,
        engines: Arc<dyn StartEngine>,
        status: Arc<Status>,
    ) -> Result<(Self, EngineHandle), HostError> {
        let folder = tempfile::Builder::new().prefix("sightline-worker-").tempdir();
        let folder = folder.map_err(|error| HostError::System(format!("a folder for the journal: {error}")))?;
        let (sender, commands) = mpsc::channel(64);
        let (model, loaded) = watch::channel(None);
        let host = Self {
            state: HostState::default(),
            // Calls that are not answered may take twice the patience (engine/retry.rs).
            watchdog: Watchdog::new(config.stall, config.engine.pipeline.index_patience() * 2),
            config,
            engines,
            folder,
            status,
            commands,
            events: mpsc::channel(64),
            model,
            engine: None,
            ready: false,
            generation: 0,
            start_at: Some(Instant::now()),
            deaths_in_row: 0,
            last_tick: Instant::now(),
        };
        Ok((
            host,
            EngineHandle {
                commands: sender,
                model: loaded,
            },
        ))
    }

    /// Runs until told to end. Works that are left then are not answered.
    pub(crate) async fn run(mut self, end: CancellationToken) -> Result<(), HostError> {
        let result = self.serve(&end).await;
        if let Err(error) = &result {
            let why = Interruption::Waiting(error.to_string());
            self.state.end_all(&WorkEnd::Interrupted(why));
        }
        self.end_engine().await;
        result
    }

    async fn serve(&mut self, end: &CancellationToken) -> Result<(), HostError> {
        let mut tick = tokio::time::interval(self.config.lease.min(self.config.stall) / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.last_tick = Instant::now();
        loop {
            let start_at = self.start_at;
            tokio::select! {
                biased;
                () = end.cancelled() => return Ok(()),
                // Before all that can keep coming: a lease that runs out stops the engine.
                _ = tick.tick() => self.tick(),
                Some(command) = self.commands.recv() => self.take(command),
                Some((generation, event)) = self.events.1.recv() => {
                    if generation == self.generation {
                        self.hear(event)?;
                    }
                }
                () = at(start_at) => self.start()?,
            }
            self.pump();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Work {
                job,
                items,
                progress,
                reply,
            } => self.state.add(*job, items, progress, reply),
            Command::Abandoned => {
                for work in self.state.drop_abandoned() {
                    self.close(work);
                }
            }
        }
    }

    fn close(&self, work: WorkId) {
        if let Some(engine) = self.engine.as_ref()
            && !engine.try_send(ToEngine::Close { work })
        {
            // Its items end or not; nobody listens. The next engine does not know it.
            tracing::debug!(work, "the engine was not told that a work is over");
        }
    }

    fn start(&mut self) -> Result<(), HostError> {
        self.start_at = None;
        self.generation += 1;
        let engine = self.engines.start(EngineEvents {
            generation: self.generation,
            host: self.events.0.clone(),
        });
        let engine = engine.map_err(|error| HostError::System(format!("a thread: {error}")))?;
        let config = Box::new(self.config.engine.clone());
        let configured = engine.try_send(ToEngine::Configure {
            version: PROTOCOL_VERSION,
            config,
            journal: self.journal(),
        });
        self.engine = Some(engine);
        self.renew();
        if configured {
            Ok(())
        } else {
            Err(HostError::System("the engine's pipe is full at its start".into()))
        }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join(format!("engine-{}.journal", self.generation))
    }

    /// Renews the lease, unless this process was stopped for so long that the broker has given its deliveries to
    /// others: then all works end, and the lease is renewed when the engine has heard of that.
    fn tick(&mut self) {
        let since = self.last_tick.elapsed();
        self.last_tick = Instant::now();
        if since > self.config.lease {
            tracing::warn!(
                seconds = since.as_secs(),
                "this process was stopped: giving up what was in hand"
            );
            for work in self.state.end_all(&WorkEnd::LeaseLost) {
                self.close(work);
            }
            self.watchdog.restart();
        } else {
            self.renew();
            self.watch();
        }
    }

    /// Kills an engine that hangs; its death is heard of like any other.
    fn watch(&mut self) {
        let Some(engine) = self.engine.as_ref().filter(|_| self.ready) else {
            return;
        };
        let journal = read_journal(&self.journal()).unwrap_or_default();
        if self.watchdog.hangs(&journal, Instant::now()) {
            tracing::warn!("the engine makes no progress: killing it");
            engine.kill();
        }
    }

    fn renew(&self) {
        let valid = u64::try_from(self.config.lease.as_millis()).unwrap_or(u64::MAX);
        if let Some(engine) = self.engine.as_ref() {
            // Where the pipe is full the engine is stopped or very busy: the next renewal comes soon.
            let _renewed = engine.try_send(ToEngine::Lease {
                until_ms: self.engines.monotonic_ms().saturating_add(valid),
            });
        }
    }

    fn hear(&mut self, event: EngineEvent) -> Result<(), HostError> {
        match event {
            EngineEvent::Died(death) => self.bury(&death),
            EngineEvent::Frame(FromEngine::Hello {
                version,
                model,
                fields,
                devices,
                max_items,
                batch_items,
            }) => {
                if version != PROTOCOL_VERSION {
                    return Err(HostError::System(format!(
                        "the engine speaks version {version} of the frames"
                    )));
                }
                self.state.holds(max_items);
                self.greet(LoadedModel {
                    name: model,
                    fields,
                    devices,
                    batch_items,
                })
            }
            EngineEvent::Frame(FromEngine::Refused { message }) => Err(HostError::Refused(message)),
            EngineEvent::Frame(FromEngine::Ended { work, items, stage_us }) => {
                self.deaths_in_row = 0;
                if self.state.ended(work, items, stage_us) {
                    self.close(work);
                }
                Ok(())
            }
            EngineEvent::Frame(FromEngine::Interrupted { work, why }) => {
                self.state.end(work, WorkEnd::Interrupted(why));
                self.close(work);
                Ok(())
            }
            EngineEvent::Frame(FromEngine::Stages {
                stages,
                batches,
                load,
                calls,
            }) => {
                self.status.stages(stages, &batches, load);
                self.status.index_calls(&calls);
                Ok(())
            }
        }
    }

    fn greet(&mut self, model: LoadedModel) -> Result<(), HostError> {
        let fingerprints = |model: &LoadedModel| {
            let of =
                |(field, description): (&VectorField, &FieldDescription)| (*field, description.fingerprint.clone());
            model.fields.iter().map(of).collect::<BTreeMap<_, _>>()
        };
        let known = self.model.borrow().as_ref().map(fingerprints);
        if known.is_some_and(|known| known != fingerprints(&model)) {
            return Err(HostError::ModelChanged);
        }
        tracing::info!(model = %model.name, devices = model.devices.join(","), generation = self.generation, "engine ready");
        self.status.loaded(&model);
        self.model.send_replace(Some(model));
        self.ready = true;
        Ok(())
    }

    /// The engine is dead: says what it was doing, judges, and sees to a new one.
    fn bury(&mut self, death: &super::death::Death) -> Result<(), HostError> {
        self.engine = None;
        self.ready = false;
        let path = self.journal();
        let journal = read_journal(&path).unwrap_or_default();
        // It goes with its folder at the latest.
        let _removed = std::fs::remove_file(path);
        let death = &self.watchdog.judge(death.clone());
        let post_mortem = self.state.engine_died(death, &journal);
        tracing::warn!(
            cause = death.cause,
            suspects = post_mortem.suspects.join(", "),
            condemned = post_mortem.condemned,
            "the engine died"
        );
        self.status.engine_died(&death.cause, post_mortem.suspects);
        if post_mortem.condemned.is_some() {
            self.deaths_in_row = 0;
        }
        self.deaths_in_row += 1;
        if self.deaths_in_row > self.config.max_engine_failures {
            return Err(HostError::KeepsDying {
                deaths: self.deaths_in_row,
                cause: death.cause.clone(),
            });
        }
        let doubled = self
            .config
            .restart_delay
            .saturating_mul(1 << (self.deaths_in_row - 1).min(20));
        self.start_at = Some(Instant::now() + doubled.min(self.config.max_restart_delay));
        Ok(())
    }

    /// Sends what the engine has room for.
    fn pump(&mut self) {
        let Some(engine) = self.engine.as_ref().filter(|_| self.ready) else {
            return;
        };
        while self.state.pump(|frame| engine.try_send(frame)) == Pumped::More {
            continue;
        }
    }

    async fn end_engine(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        let _told = engine.try_send(ToEngine::Stop);
        let generation = self.generation;
        let events = &mut self.events.1;
        let died = async {
            while let Some((of, event)) = events.recv().await {
                if of == generation && matches!(event, EngineEvent::Died(_)) {
                    return;
                }
            }
        };
        tokio::pin!(died);
        if tokio::time::timeout(END_LIMIT, &mut died).await.is_err() {
            engine.kill();
            died.await;
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
