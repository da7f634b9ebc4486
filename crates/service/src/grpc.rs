//! gRPC as every service offers and uses it.

mod client;
mod incoming;
mod limit;
mod methods;
mod server;
mod trace;

pub use client::{ClientOptions, ConnectError, SendTraceparent, TracedChannel, connect};
pub use server::{GrpcServer, GrpcServerError};
