//! The command line: a client of every service, and, with the feature `local`, all services in one process.
//!
//! Promises: what a command prints on standard output is its result and nothing else, one JSON object (or JSON lines)
//! with `--json`; progress and errors go to standard error, an error in one line that says what to do; the exit code
//! tells success (0), failure (1), usage (2) and partial success (3) apart; contact sheets are one file that needs
//! neither network nor scripts. Leaves to others: everything that the services do.

// The future of a standalone holds those of all services: whether it may be sent takes the compiler deeper than its usual limit.
#![recursion_limit = "256"]

mod aliases;
mod apply;
mod args;
mod ask;
mod audit;
mod collections;
mod console;
#[cfg(feature = "local")]
mod demo;
mod dispatch;
mod duplicates;
#[cfg(feature = "local")]
mod embed;
mod error;
mod export;
mod failures;
mod hub;
mod import;
mod index;
mod ingest;
mod inspect;
mod items;
mod json;
#[cfg(feature = "local")]
mod models;
mod runs;
mod search;
mod servers;
mod sheet;
#[cfg(feature = "local")]
pub mod standalone;
mod statistics;
mod text;
mod top;
mod watch;
mod worker;

pub use dispatch::main;
