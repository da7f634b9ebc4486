//! Machines: each keeps a coordinator or a worker running, whatever it dies of.

use crate::broker::Broker;
use crate::disk::Disk;
use crate::engines::Engines;
use crate::index::{Index, Rows};
use crate::model;
use crate::monitor::Monitor;
use crate::process::Process;
use crate::queue::Connection;
use crate::store::Store;
use crate::world::{SimulatedClock, World};
use sightline_coordinator::{Coordinator, CoordinatorService, PlannerOptions};
use sightline_core::message::queues;
use sightline_core::{Clock, DatasetName};
use sightline_index::{LazyIndex, VectorIndex};
use sightline_objects::{ObjectStore, OpenOptions, Stores};
use sightline_queue::JobQueue;
use sightline_state::State;
use sightline_telemetry::Metrics;
use sightline_worker::Worker;
use sightline_worker::config::{
    DatasetsConfig, DeviceName, EngineConfig, EngineTelemetry, ModelConfig, PipelineConfig, SupervisorConfig,
};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Root of the dataset, which nothing opens for real.
pub(crate) const ROOT: &str = "s3://simulated/pictures";
/// How often a process is told to end in order rather than killed.
const DRAINED: f64 = 0.3;

/// All that processes share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) world: Arc<World>,
    pub(crate) state: Arc<Disk>,
    pub(crate) pictures: Arc<Disk>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) monitor: Arc<Monitor>,
    /// Coordinators that can be called, by machine.
    apis: Mutex<BTreeMap<usize, CoordinatorService>>,
}

/// What a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Coordinator,
    Worker,
}

impl Site {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        let (state, rows) = (Arc::<Disk>::default(), Arc::<Rows>::default());
        let dataset = DatasetName::new("pictures").unwrap();
        let monitor = Monitor::new(world, &state, &rows, dataset, queues::shards(&model::name()));
        Arc::new(Self {
            world: Arc::clone(world),
            broker: Broker::new(world),
            pictures: Arc::default(),
            state,
            rows,
            monitor,
            apis: Mutex::default(),
        })
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SimulatedClock(Arc::clone(&self.world)))
    }

    fn state_of(&self, process: &Arc<Process>) -> Arc<dyn ObjectStore> {
        Arc::new(Store {
            root: "s3://simulated/state".into(),
            disk: Arc::clone(&self.state),
            process: Arc::clone(process),
            monitor: Some(Arc::clone(&self.monitor)),
        })
    }

    pub(crate) fn dataset(&self, process: &Arc<Process>) -> Arc<dyn ObjectStore> {
        Arc::new(Store {
            root: ROOT.into(),
            disk: Arc::clone(&self.pictures),
            process: Arc::clone(process),
            monitor: None,
        })
    }

    pub(crate) fn index(&self, process: &Arc<Process>) -> Arc<dyn VectorIndex> {
        Arc::new(Index {
            rows: Arc::clone(&self.rows),
            process: Arc::clone(process),
            monitor: Arc::clone(&self.monitor),
        })
    }

    fn queue(&self, process: &Arc<Process>) -> Arc<dyn JobQueue> {
        Arc::new(Connection {
            broker: Arc::clone(&self.broker),
            process: Arc::clone(process),
            monitor: Arc::clone(&self.monitor),
        })
    }

    /// A coordinator in a process, which plans when it is told to.
    pub(crate) fn coordinator(&self, process: &Arc<Process>) -> Coordinator {
        let seams = sightline_coordinator::Seams {
            state: State::new(self.state_of(process)),
            datasets: Arc::new(Stores::new(OpenOptions::default()).with(ROOT, self.dataset(process))),
            queue: self.queue(process),
            index: Some(Arc::new(LazyIndex::of(self.index(process)))),
            clock: self.clock(),
        };
        let options = PlannerOptions {
            shards_per_link: 2,
            page_entries: 7,
            fan_out: 4,
            ..PlannerOptions::default()
        };
        Coordinator::new(seams, options, &Metrics::new("simulation", "0")).unwrap()
    }

    fn worker(self: &Arc<Self>, process: &Arc<Process>) -> Worker {
        let seams = sightline_worker::Seams {
            state: self.state_of(process),
            queue: self.queue(process),
            index: self.index(process),
            clock: self.clock(),
        };
        let engines = Engines {
            site: Arc::clone(self),
            worker: Arc::clone(process),
            started: AtomicU64::new(0),
        };
        let config = worker_config(process.name.clone());
        Worker::new(config, engines, seams, &Metrics::new("simulation", "0")).unwrap()
    }

    /// One of the coordinators that run, if any does.
    pub(crate) fn some_api(&self) -> Option<CoordinatorService> {
        let apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(self.world.below(apis.len() as u64)).unwrap_or_default();
        apis.values().nth(at).cloned()
    }

    fn serves(&self, machine: usize, api: Option<CoordinatorService>) {
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        match api {
            Some(api) => apis.insert(machine, api),
            None => apis.remove(&machine),
        };
    }
}

fn worker_config(name: String) -> SupervisorConfig {
    let pipeline = PipelineConfig {
        max_items: 8,
        fetches: 4,
        batch_items: 3,
        upsert_rows: 4,
        upserts: 2,
        attempts: 3,
        // So that some outages end within it, and others do not.
        index_patience_seconds: 3,
        ..PipelineConfig::default()
    };
    let engine = EngineConfig {
        model: ModelConfig {
            folder: Some("simulated".into()),
            name: model::name(),
            device: DeviceName::Cpu,
            devices: String::new(),
            precision: "f32".into(),
            threads: 1,
            truncate_dim: None,
            decode: "exact".into(),
            trusted_torchscript: Vec::new(),
            max_pixels: 1,
        },
        index: String::new(),
        datasets: DatasetsConfig::default(),
        pipeline,
        telemetry: EngineTelemetry::default(),
        embedding: None,
        memory_limit: None,
    };
    SupervisorConfig {
        max_pause: Duration::from_secs(10),
        ..SupervisorConfig::new(name, engine)
    }
}

/// Keeps a process running, under another name in each of its lives.
pub(crate) async fn keep(site: Arc<Site>, role: Role, number: usize) {
    let world = Arc::clone(&site.world);
    for life in 1.. {
        let letter = if role == Role::Coordinator { 'c' } else { 'w' };
        let process = Process::new(&world, format!("{letter}{number}.{life}"), true);
        world.note(format!("{} starts", process.name));
        let shutdown = CancellationToken::new();
        let running = AbortOnDropHandle::new(tokio::spawn(run(
            Arc::clone(&site),
            role,
            number,
            Arc::clone(&process),
            shutdown.clone(),
        )));
        let told = async {
            if world.fault(DRAINED) {
                tokio::time::sleep(world.millis(10, 30_000)).await;
                if !world.is_calm() {
                    world.count("drains");
                    world.note(format!("{} is told to end", process.name));
                    shutdown.cancel();
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = process.death() => {}
            ended = running => {
                if let Err(error) = ended {
                    world.violation(format!("{} panicked: {error}", process.name));
                }
                process.kill(9);
            }
            () = told => {}
        }
        if role == Role::Coordinator {
            site.serves(number, None);
        }
        // Its tasks are dropped with what they hold; what of them is left, the broker takes back as it would.
        tokio::task::yield_now().await;
        site.broker.close_all_of(&process.name);
        tokio::time::sleep(world.millis(10, 8_000)).await;
    }
}

async fn run(site: Arc<Site>, role: Role, number: usize, process: Arc<Process>, shutdown: CancellationToken) {
    let ended = match role {
        Role::Coordinator => {
            let coordinator = site.coordinator(&process);
            site.serves(number, Some(coordinator.api(CancellationToken::new())));
            coordinator.plan(shutdown).await.map_err(|error| error.to_string())
        }
        Role::Worker => site
            .worker(&process)
            .run(shutdown)
            .await
            .map_err(|error| error.to_string()),
    };
    process.world.note(format!("{} ended: {ended:?}", process.name));
}
