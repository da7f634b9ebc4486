//! The gateway: encodes queries, searches the legs, fuses them, and returns hits.
//!
//! Promises: every score is `Σ weight · cos(field)` of the stored vectors, computed here whatever the index is, with
//! its parts beside it; an answer says whether it is proven exact, and is called so only then; a query for another
//! model than the collection's is refused by name; a request's mistakes are reported together, each at its field; what
//! waits is bounded, and refused at once beyond that. Leaves to others: searching one field (`sightline-index`), making
//! vectors (`sightline-encoding`), the server's limits and its end (`sightline-service`).

mod administration;
mod aliases;
mod batch;
mod collections;
pub mod config;
mod duplicates;
mod effort;
mod encoder;
mod error;
mod export;
pub mod fusion;
mod gateway;
mod grouping;
mod hits;
mod items;
mod known_collections;
mod known_vectors;
mod metrics;
mod query;
mod retrieval;
mod search_service;
mod searching;
mod serve;
mod spaces;
mod statistics;
mod texts;
mod thumbnails;

pub use error::{GatewayError, Violation};
pub use gateway::{Gateway, Limits, Parts};
pub use query::request::{MAX_LEGS, MAX_THUMBNAILS};
pub use retrieval::{FieldQuery, Retrieval, Retrieved, retrieve, retrieve_by_rank};
pub use serve::{GatewayServeError, local_encoder, run, serve};
