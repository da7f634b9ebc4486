//! A broker that takes messages and then does not answer any more.

use crate::fixture::Fixture;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use sightline_queue::{Consumer, JobQueue, Message, QueueDepth, QueueError, Subscription};
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;

#[derive(Debug)]
struct Silent(Arc<dyn JobQueue>);

#[async_trait]
impl JobQueue for Silent {
    fn delivery_limit(&self) -> u32 {
        self.0.delivery_limit()
    }

    async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        self.0.declare(queue).await
    }

    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError> {
        self.0.publish(queue, message).await
    }

    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError> {
        self.0.publish_after(queue, message, delay).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        self.0.consume(queue, prefetch).await
    }

    async fn depth(&self, _: &str) -> Result<QueueDepth, QueueError> {
        std::future::pending().await
    }

    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        self.0.broadcast(topic, body).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError> {
        self.0.subscribe(topic).await
    }
}

#[tokio::test]
async fn how_a_run_stands_is_told_while_the_broker_does_not_answer() {
    let fixture = Fixture::behind(5, |queue| Arc::new(Silent(queue))).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let waiting = fixture
        .until(&run.name, |run| run.state() == v1::run::State::Waiting)
        .await;
    assert!(waiting.state_message.contains("broker"), "{}", waiting.state_message);
    let name = run.name;
    let asked = fixture.api().get_run(Request::new(v1::GetRunRequest { name })).await;
    assert_eq!(asked.unwrap().into_inner().state(), v1::run::State::Waiting);
}
