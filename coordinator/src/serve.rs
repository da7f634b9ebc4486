//! The coordinator as a service of its own.

use crate::config::CoordinatorConfig;
use crate::coordinator::{Coordinator, Seams};
use crate::planner::PlannerOptions;
use anyhow::Context as _;
use sightline_core::SystemClock;
use sightline_index::LazyIndex;
use sightline_objects::{FileAccess, OpenOptions, S3Options, Stores};
use sightline_queue::QueueOptions;
use sightline_service::grpc::GrpcServer;
use sightline_service::{Context, counted};
use sightline_state::State;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Opens the seams that the configuration names, and serves until shutdown.
///
/// # Errors
/// When a seam cannot be opened, the address cannot be taken, or a part of the coordinator fails for good.
pub async fn serve(config: CoordinatorConfig, context: Context) -> anyhow::Result<()> {
    let s3 = S3Options {
        endpoint: config.s3.endpoint.as_ref().map(|url| url.expose().to_string()),
        path_style: config.s3.path_style,
        region: config.s3.region.clone(),
        ..S3Options::default()
    };
    let state_url = config.state.url.as_ref().context("state.url is needed")?;
    let own = Stores::new(OpenOptions {
        files: FileAccess::Allowed,
        s3: s3.clone(),
    });
    let state = State::new(
        own.open_or_create(state_url.expose().as_str())
            .await
            .context("cannot open the state root")?,
    );
    let files = if config.allow_file_datasets {
        FileAccess::Allowed
    } else {
        FileAccess::Refused
    };
    let queue_url = config.queue.url.as_ref().context("queue.url is needed")?;
    let options = QueueOptions {
        connection_name: "sightline-coordinator".into(),
        traffic: counted::traffic(&context.metrics)?,
        ..QueueOptions::default()
    };
    let index_options = sightline_index::OpenOptions {
        calls: counted::index_calls(&context.metrics)?,
        ..sightline_index::OpenOptions::default()
    };
    let seams = Seams {
        state,
        datasets: Arc::new(Stores::new(OpenOptions { files, s3 })),
        queue: sightline_queue::open(queue_url.expose().as_str(), options)?,
        index: config.index.url.as_ref().map(|url| {
            let address = url.expose().to_string();
            Arc::new(LazyIndex::at(address, index_options))
        }),
        clock: Arc::new(SystemClock),
    };
    let coordinator = Coordinator::new(seams, PlannerOptions::default(), &context.metrics)?;
    let listener = TcpListener::bind(config.listen.address)
        .await
        .with_context(|| format!("cannot listen on {} (listen.address)", config.listen.address))?;
    let server = GrpcServer::new(&config.grpc, &context.metrics, &context.readiness)?
        .with_tls_of(&config.listen)?
        .with_descriptors(sightline_proto::FILE_DESCRIPTOR_SET)
        .with_service(coordinator.service(config.grpc.max_message_bytes, context.shutdown.clone()));
    let serving = server.serve(listener, context.shutdown.clone(), context.drain);
    let (served, planned) = tokio::join!(serving, coordinator.plan(context.shutdown.clone()));
    planned.context("planning ended")?;
    Ok(served?)
}
