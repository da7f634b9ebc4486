//! What the mains of all Sightline services share.
//!
//! Promises: a configuration that is complete, checked and never shows a secret, or all its mistakes at once; gRPC
//! servers with health, reflection, grpc-web, limits, a span a call and an orderly end; one map from errors to gRPC
//! statuses; clients that say in words what they cannot reach; calls to the index and messages of the queue, counted; an
//! end in order on SIGTERM. Leaves to others: what the services do, and which implementation stands behind each seam.

pub mod config;
pub mod counted;
mod error;
pub mod fail_point;
pub mod grpc;
mod ready;
mod run;
mod shutdown;

pub use error::{ERROR_DOMAIN, ServiceError, explain, reason};
pub use run::{Context, ServiceArgs, ServiceConfig, ServiceInfo, resource_attributes, run, supervise};
pub use shutdown::{cancel_on_signals, install_signals};
