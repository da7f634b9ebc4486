//! The whole worker over an in-process queue, a local store and an index file, with real engines that really die.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stand outside test functions; a panic is how a test fails"
)]

mod bench;
mod broker;
mod deaths;
mod embedding;
mod imports;
mod items;
mod opening;
mod previews;
mod production;
mod room;
mod side_by_side;
mod tars;
mod unreadable;
