//! Connections to the services.

use crate::args::ServerArgs;
use crate::error::CliError;
use sightline_proto::v1::coordinator_client::CoordinatorClient;
use sightline_proto::v1::search_client::SearchClient;
use sightline_proto::v1::worker_client::WorkerClient;
use sightline_service::config::DEFAULT_MAX_MESSAGE_BYTES;
use sightline_service::grpc::{ClientOptions, TracedChannel, connect};

/// A client of the gateway; a clone uses the same connection.
pub(crate) type Searching = SearchClient<TracedChannel>;

/// Where each service is.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    coordinator: String,
    worker: String,
    gateway: String,
    options: ClientOptions,
}

/// Where a client looks for a server by itself.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7300";

impl Servers {
    /// What the flags say.
    pub(crate) fn of(args: &ServerArgs) -> Result<Self, CliError> {
        let mut options = ClientOptions {
            tls_domain: args.tls_name.clone(),
            ..ClientOptions::default()
        };
        if let Some(path) = &args.ca_cert {
            let pem = std::fs::read(path)
                .map_err(|error| CliError::Usage(format!("cannot read --ca-cert {}: {error}", path.display())))?;
            options.ca_pem = Some(pem);
        }
        let of = |own: &Option<String>| own.clone().unwrap_or_else(|| args.server.clone());
        Ok(Self {
            coordinator: of(&args.coordinator),
            worker: of(&args.worker),
            gateway: of(&args.gateway),
            options,
        })
    }

    /// All services at one address.
    #[cfg(feature = "local")]
    pub(crate) fn at(url: String) -> Self {
        Self {
            coordinator: url.clone(),
            worker: url.clone(),
            gateway: url,
            options: ClientOptions::default(),
        }
    }

    /// The flag that leads another command to the same coordinator, after a space; empty where none is needed.
    pub(crate) fn coordinator_flag(&self) -> String {
        if self.coordinator == DEFAULT_SERVER {
            String::new()
        } else {
            format!(" --server {}", self.coordinator)
        }
    }

    /// The coordinator.
    pub(crate) async fn coordinator(&self) -> Result<CoordinatorClient<TracedChannel>, CliError> {
        let channel = connect("coordinator", &self.coordinator, &self.options).await?;
        Ok(CoordinatorClient::new(channel).max_decoding_message_size(DEFAULT_MAX_MESSAGE_BYTES))
    }

    /// A worker.
    pub(crate) async fn worker(&self) -> Result<WorkerClient<TracedChannel>, CliError> {
        self.worker_at(&self.worker).await
    }

    /// The workers at these addresses; the one of the flags where none is given.
    pub(crate) fn workers(&self, given: &[String]) -> Vec<String> {
        if given.is_empty() {
            vec![self.worker.clone()]
        } else {
            given.to_vec()
        }
    }

    /// A worker by its address.
    pub(crate) async fn worker_at(&self, url: &str) -> Result<WorkerClient<TracedChannel>, CliError> {
        let channel = connect("worker", url, &self.options).await?;
        Ok(WorkerClient::new(channel).max_decoding_message_size(DEFAULT_MAX_MESSAGE_BYTES))
    }

    /// The gateway.
    pub(crate) async fn search(&self) -> Result<Searching, CliError> {
        let channel = connect("gateway", &self.gateway, &self.options).await?;
        let client = SearchClient::new(channel).max_decoding_message_size(DEFAULT_MAX_MESSAGE_BYTES);
        Ok(client.max_encoding_message_size(DEFAULT_MAX_MESSAGE_BYTES))
    }
}
