//! Pulls from a server that speaks the hub's API.

#![expect(clippy::unwrap_used, reason = "tests")]

mod broken;
mod cached;
mod pulled;
mod refused;
mod server;
