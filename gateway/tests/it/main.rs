//! The gateway over real gRPC, on the embedded index.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers fail the test where they cannot do their work"
)]

mod administration;
mod aliases;
mod batch;
mod between;
mod calls;
mod collections;
mod counting_index;
mod deadlines;
mod duplicates;
mod effort;
mod embedding;
mod encoder;
mod exactness;
mod items;
mod known_vectors;
mod memory_index;
mod options;
mod property;
mod rank_pages;
mod refusals;
mod remote;
mod rows;
mod search;
mod slow_index;
mod spans;
mod thumbnails;
mod words;
mod world;
