//! The worker as a service of its own.

use crate::embedding::{SocketConfig, open_proxy};
use crate::production::{object_options, open_index};
use crate::settings::WorkerConfig;
use crate::supervisor::{EngineCommand, Seams, Worker};
use anyhow::Context as _;
use sightline_core::SystemClock;
use sightline_objects::{FileAccess, OpenOptions, Stores};
use sightline_proto::v1::worker_server::WorkerServer;
use sightline_queue::QueueOptions;
use sightline_service::grpc::GrpcServer;
use sightline_service::{Context, counted};
use std::io::IsTerminal;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The hidden command that runs an engine.
pub const ENGINE_COMMAND: &str = "engine";

/// Opens the seams that the configuration names, starts an engine, and works until shutdown.
///
/// # Errors
/// When a seam cannot be opened, the address cannot be taken, or the engine cannot run.
pub async fn serve(mut config: WorkerConfig, context: Context) -> anyhow::Result<()> {
    if let Some(given) = config.model.folder.take() {
        let condition = context.readiness.condition("model folder");
        condition.waiting("it may have to be pulled from the hub");
        let folder = context.shutdown.run_until_cancelled(config.hub.folder_of(&given)).await;
        let Some(folder) = folder else {
            return Ok(());
        };
        config.model.folder = Some(folder.context("model.folder")?);
        condition.ready();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let colour = std::io::stderr().is_terminal();
    let mut supervisor = config
        .supervisor(&host, std::process::id(), colour)
        .map_err(anyhow::Error::msg)?;
    // Only this user may enter it; it is there as long as this function runs.
    let sockets = tempfile::tempdir().context("cannot make a folder for the engine's socket")?;
    if config.embedding.enabled {
        supervisor.engine.embedding = Some(SocketConfig {
            path: sockets.path().join("embedding.sock"),
            max_image_bytes: config.embedding.max_image_bytes,
            max_message_bytes: config.grpc.max_message_bytes,
            batching: config.embedding.batching.clone(),
        });
    }
    let socket = supervisor.engine.embedding.as_ref().map(|socket| socket.path.clone());
    let state_url = config.state.url.as_ref().context("state.url is needed")?;
    // The state root is the operator's choice, so it may lie on this disk whatever datasets may.
    let own = OpenOptions {
        files: FileAccess::Allowed,
        ..object_options(&supervisor.engine.datasets)
    };
    let state = Stores::new(own)
        .open_or_create(state_url.expose().as_str())
        .await
        .context("cannot open the state root")?;
    let queue_url = config.queue.url.as_ref().context("queue.url is needed")?;
    let queue_options = QueueOptions {
        connection_name: supervisor.worker.clone(),
        traffic: counted::traffic(&context.metrics)?,
        ..QueueOptions::default()
    };
    let calls = counted::index_calls(&context.metrics)?;
    let index = tokio::select! {
        biased;
        index = open_index(&supervisor.engine.index, calls) => index.context("index.url")?,
        () = context.shutdown.cancelled() => return Ok(()),
    };
    let seams = Seams {
        state,
        queue: sightline_queue::open(queue_url.expose().as_str(), queue_options)?,
        index,
        clock: Arc::new(SystemClock),
    };
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let command = EngineCommand {
        program,
        args: vec![ENGINE_COMMAND.into()],
        memory_bytes: config.engine_memory(),
    };
    let worker = Worker::new(supervisor, command, seams, &context.metrics)?.with_readiness(&context.readiness);
    let listener = TcpListener::bind(config.listen.address)
        .await
        .with_context(|| format!("cannot listen on {} (listen.address)", config.listen.address))?;
    let server = GrpcServer::new(&config.grpc, &context.metrics, &context.readiness)?
        .with_tls_of(&config.listen)?
        .with_descriptors(sightline_proto::FILE_DESCRIPTOR_SET)
        .with_service(WorkerServer::new(worker.service()));
    let server = match socket {
        Some(path) => server.with_service(open_proxy(path, config.grpc.max_message_bytes)),
        None => server,
    };
    let ended = tokio_util::sync::CancellationToken::new();
    let serving = server.serve(listener, ended.clone(), context.drain);
    // The status is answered until the last shard is handed back.
    let working = async {
        let worked = worker.run(context.shutdown.clone()).await;
        ended.cancel();
        worked
    };
    let (served, worked) = tokio::join!(serving, working);
    worked.context("the worker ended")?;
    Ok(served?)
}
