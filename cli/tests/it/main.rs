//! The program as people and programs run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may; clippy exempts only the bodies of test functions"
)]

mod client;
#[cfg(feature = "local")]
mod damaged;
#[cfg(feature = "local")]
mod embed;
#[cfg(feature = "local")]
mod hub;
mod import;
mod inspect;
#[cfg(feature = "local")]
mod pair;
mod pictures;
mod program;
mod searches;
mod standalone;
mod tars;
mod tls;
