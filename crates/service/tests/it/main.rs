//! The parts of a service together, over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, in its helpers too"
)]

mod client;
mod probe;
mod process;
mod server;
mod tls;

use std::time::Duration;

/// Far more than any step takes, so that only a hang meets it.
const LIMIT: Duration = Duration::from_secs(20);
