//! All services in one process, on the embedded seams: a directory, a queue in memory, one SQLite file.
//!
//! Promises: one listener offers every service; what a data folder holds survives any end, and runs that had not ended
//! go on at the next start; the engine is a process of its own, as in production; an end in order within the drain.
//! Leaves to others: everything that the services do.

mod command;
mod config;
mod folder;

pub(crate) use command::{StandaloneArgs, own_engine, run};
pub use config::StandaloneConfig;

use anyhow::Context as _;
use folder::DataFolder;
use sightline_coordinator::{Coordinator, PlannerOptions};
use sightline_core::{Clock, SystemClock};
use sightline_gateway::{Gateway, Parts, local_encoder};
use sightline_index::{LazyIndex, VectorIndex};
use sightline_objects::Stores;
use sightline_proto::v1::worker_server::WorkerServer;
use sightline_queue::{JobQueue, QueueOptions};
use sightline_service::Context;
use sightline_service::grpc::GrpcServer;
use sightline_state::State;
use sightline_worker::{EngineCommand, Worker};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// All services, running.
#[derive(Debug)]
pub struct Standalone {
    address: SocketAddr,
    index: Arc<dyn VectorIndex>,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

/// Opens the data folder, starts every service, and goes on with the runs that had not ended. The services end with
/// `context.shutdown`; `engine` says which program runs the engine.
///
/// # Errors
/// When the data folder is in use or cannot be used, the model cannot be loaded, or the address cannot be taken.
pub async fn start(
    mut config: StandaloneConfig,
    context: Context,
    engine: EngineCommand,
) -> anyhow::Result<Standalone> {
    let folder = DataFolder::open(&config.data)?;
    // The address is taken first: it is the mistake that is made most often.
    let listener = TcpListener::bind(config.listen.address)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", config.listen.address))?;
    let address = listener.local_addr()?;
    if let Some(given) = config.model.folder.take() {
        let folder = context.shutdown.run_until_cancelled(config.hub.folder_of(&given)).await;
        let folder = folder.context("stopped before the model was there")?;
        config.model.folder = Some(folder.context("--model")?);
    }
    let services = Services::open(&config, &context, &folder, engine).await?;
    let index = Arc::clone(&services.index);
    // A service that fails takes the others with it, and nothing that is outside.
    let shutdown = context.shutdown.child_token();
    let running = tokio::spawn(services.serve(config, context, shutdown.clone(), listener, folder));
    Ok(Standalone {
        address,
        index,
        shutdown,
        running,
    })
}

impl Standalone {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that clients use.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The index, for reading.
    #[must_use]
    pub fn index(&self) -> Arc<dyn VectorIndex> {
        Arc::clone(&self.index)
    }

    /// Waits until it has ended by itself or by its context.
    ///
    /// # Errors
    /// Why it ended, where nobody told it to.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.running.await.context("a service panicked")?
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// What went wrong on the way out.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.ended().await
    }
}

struct Services {
    coordinator: Coordinator,
    gateway: Gateway,
    worker: Worker,
    index: Arc<dyn VectorIndex>,
}

impl Services {
    async fn open(
        config: &StandaloneConfig,
        context: &Context,
        folder: &DataFolder,
        engine: EngineCommand,
    ) -> anyhow::Result<Self> {
        let stores = Arc::new(Stores::new(config.stores()));
        let state = stores
            .open_or_create(&folder.state_url()?)
            .await
            .context("cannot open the state")?;
        let index_address = folder.index_address()?;
        let index = sightline_index::open(&index_address, &sightline_index::OpenOptions::default()).await?;
        let queue: Arc<dyn JobQueue> = sightline_queue::open("memory:", QueueOptions::default())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut supervisor = config.supervisor(&index_address)?;
        supervisor.engine.datasets.previews = Some(folder.state_url()?);
        let seams = sightline_worker::Seams {
            state: Arc::clone(&state),
            queue: Arc::clone(&queue),
            index: Arc::clone(&index),
            clock: Arc::clone(&clock),
        };
        let worker = Worker::new(supervisor, engine, seams, &context.metrics)?;
        let worker = worker.with_readiness(&context.readiness);
        let seams = sightline_coordinator::Seams {
            state: State::new(state),
            datasets: Arc::clone(&stores),
            queue,
            index: Some(Arc::new(LazyIndex::of(Arc::clone(&index)))),
            clock,
        };
        let coordinator = Coordinator::new(seams, PlannerOptions::default(), &context.metrics)?;
        let parts = Parts {
            index: Arc::clone(&index),
            encoder: local_encoder(&config.gateway(), &context.metrics)
                .await
                .context("cannot load the model (--model)")?,
            stores,
        };
        let gateway = Gateway::new(parts, config.gateway().limits(), &context.metrics)?;
        Ok(Self {
            coordinator,
            gateway,
            worker,
            index,
        })
    }

    async fn serve(
        self,
        config: StandaloneConfig,
        context: Context,
        shutdown: CancellationToken,
        listener: TcpListener,
        folder: DataFolder,
    ) -> anyhow::Result<()> {
        let coordinator = self
            .coordinator
            .service(config.grpc.max_message_bytes, shutdown.clone());
        let server = GrpcServer::new(&config.grpc, &context.metrics, &context.readiness)?
            .with_tls_of(&config.listen)?
            .with_descriptors(sightline_proto::FILE_DESCRIPTOR_SET)
            .with_service(coordinator);
        let server = self.gateway.add_to(server);
        let server = server.with_service(WorkerServer::new(self.worker.service()));
        let serving = ending(&shutdown, async {
            Ok(server.serve(listener, shutdown.clone(), context.drain).await?)
        });
        let planning = ending(&shutdown, async {
            self.coordinator.plan(shutdown.clone()).await.context("planning ended")
        });
        // Beside the planning, which takes what this publishes.
        let resuming = async {
            let resumed = shutdown.run_until_cancelled(self.coordinator.resume()).await;
            let resumed = resumed
                .unwrap_or(Ok(()))
                .context("cannot go on with the runs that had not ended");
            if resumed.is_err() {
                shutdown.cancel();
            }
            resumed
        };
        let working = ending(&shutdown, async {
            self.worker.run(shutdown.clone()).await.context("the worker ended")
        });
        let (served, planned, resumed, worked) = tokio::join!(serving, planning, resuming, working);
        // Until here nobody else may use the folder.
        drop(folder);
        worked.and(resumed).and(planned).and(served)
    }
}

/// Runs a part; when it ends, all of them do.
async fn ending(shutdown: &CancellationToken, part: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let result = part.await;
    shutdown.cancel();
    result
}
