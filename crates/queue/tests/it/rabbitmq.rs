//! RabbitMQ against the contract.

use crate::broker;
use sightline_queue::{JobQueue, QueueOptions};
use std::sync::Arc;

async fn rabbitmq(case: &str, options: QueueOptions) -> Arc<dyn JobQueue> {
    broker::open(&broker::url(), case, options)
}

sightline_queue::conformance! { #[tokio::test] rabbitmq }
