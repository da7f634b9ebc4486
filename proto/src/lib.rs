//! The gRPC interfaces, generated from `sightline/v1/*.proto`.
//!
//! Promises: what the protos say, as types; and their descriptors, for reflection. Leaves everything else to the
//! services.

/// `sightline.v1`.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("sightline.v1");
}

/// All files with their imports and comments, encoded: what reflection answers from.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
