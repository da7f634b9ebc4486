//! The broker that the tests are given.

#![expect(
    clippy::disallowed_methods,
    reason = "a test learns from the environment where the broker is"
)]

use sightline_queue::{JobQueue, QueueOptions, open as open_queue};
use std::sync::Arc;

/// Where the broker is.
pub(crate) fn url() -> String {
    std::env::var("SIGHTLINE_TEST_AMQP_URL").expect(
        "SIGHTLINE_TEST_AMQP_URL is not set: run the tests with `make test`, or start the servers with `make up`",
    )
}

/// Opens the broker with names that no other test and no earlier run has.
pub(crate) fn open(url: &str, case: &str, options: QueueOptions) -> Arc<dyn JobQueue> {
    let prefix = format!("test.{:08x}.{case}.", rand::random::<u32>());
    open_queue(url, QueueOptions { prefix, ..options }).unwrap()
}
