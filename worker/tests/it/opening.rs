//! A worker that has to end while it opens its queues.

use crate::bench::{Bench, PATIENCE, entries, model};
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::message::queues;
use sightline_queue::{Consumer, JobQueue, Message, QueueDepth, QueueError, Subscription};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A broker that takes its time to open the second queue.
#[derive(Debug)]
struct SlowSecond {
    queue: Arc<dyn JobQueue>,
    reached: Notify,
    go_on: Notify,
}

#[async_trait]
impl JobQueue for SlowSecond {
    fn delivery_limit(&self) -> u32 {
        self.queue.delivery_limit()
    }

    async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        self.queue.declare(queue).await
    }

    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError> {
        self.queue.publish(queue, message).await
    }

    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError> {
        self.queue.publish_after(queue, message, delay).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        if queue == queues::SHARDS_ANY {
            self.reached.notify_one();
            self.go_on.notified().await;
        }
        self.queue.consume(queue, prefetch).await
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        self.queue.depth(queue).await
    }

    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        self.queue.broadcast(topic, body).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError> {
        self.queue.subscribe(topic).await
    }
}

#[tokio::test]
async fn what_came_before_the_worker_took_its_first_shard_goes_back_uncounted() {
    let mut bench = Bench::new().await;
    let picture = bench.picture("p", "picture").await;
    let message = bench.plan("r", entries(vec![picture])).await;
    bench.publish(&message).await;
    let broker = Arc::clone(&bench.queue);
    let slow = Arc::new(SlowSecond {
        queue: Arc::clone(&broker),
        reached: Notify::new(),
        go_on: Notify::new(),
    });
    bench.queue = Arc::clone(&slow) as Arc<dyn JobQueue>;
    let worker = bench.start();
    slow.reached.notified().await;
    worker.shutdown.cancel();
    // It has heard of it before the second queue is open.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    slow.go_on.notify_one();
    worker.ended().await.unwrap();
    let mut consumer = broker.consume(&queues::shards(&model()), 1).await.unwrap();
    let taken = tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    assert_eq!(taken.redeliveries, 0);
    taken.receipt.ack().await.unwrap();
}
