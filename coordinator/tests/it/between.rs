//! Something between a coordinator and its broker.

use async_trait::async_trait;
use bytes::Bytes;
use sightline_queue::{Consumer, JobQueue, Message, QueueDepth, QueueError, Subscription};
use std::sync::Arc;
use std::time::Duration;

/// A broker that is not what it was.
#[async_trait]
pub(crate) trait Fault: std::fmt::Debug + Send + Sync {
    /// Whether a message is lost on its way into a queue.
    fn loses(&self, _queue: &str) -> bool {
        false
    }

    /// Waits before it is told how many messages there are.
    async fn before_depth(&self) {}
}

/// A queue behind a fault.
#[derive(Debug)]
pub(crate) struct Between<F> {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) fault: F,
}

#[async_trait]
impl<F: Fault> JobQueue for Between<F> {
    fn delivery_limit(&self) -> u32 {
        self.queue.delivery_limit()
    }

    async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        self.queue.declare(queue).await
    }

    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError> {
        if self.fault.loses(queue) {
            return Ok(());
        }
        self.queue.publish(queue, message).await
    }

    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError> {
        self.queue.publish_after(queue, message, delay).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        self.queue.consume(queue, prefetch).await
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        self.fault.before_depth().await;
        self.queue.depth(queue).await
    }

    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        self.queue.broadcast(topic, body).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError> {
        self.queue.subscribe(topic).await
    }
}
