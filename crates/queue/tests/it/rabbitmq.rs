//! RabbitMQ against the contract.

use crate::broker;
use lapin::options::BasicGetOptions;
use lapin::{Connection, ConnectionProperties};
use sightline_queue::{JobQueue, Message, QueueOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

async fn rabbitmq(case: &str, options: QueueOptions) -> Arc<dyn JobQueue> {
    broker::open(&broker::url(), case, options)
}

sightline_queue::conformance! { #[tokio::test] rabbitmq }

#[tokio::test]
async fn what_waits_says_itself_how_long_and_stays_where_it_has_come() {
    const SHORT: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(60);
    let prefix = format!("test.{:08x}.waits.", rand::random::<u32>());
    let options = QueueOptions {
        prefix: prefix.clone(),
        delay_steps: vec![SHORT, LONG],
        expire_unused: Some(Duration::from_secs(120)),
        ..QueueOptions::default()
    };
    let queue = sightline_queue::open(&broker::url(), options).unwrap();
    queue.declare("jobs").await.unwrap();
    for delay in [SHORT, LONG] {
        let message = Message {
            id: delay.as_secs().to_string(),
            body: vec![7].into(),
            traceparent: None,
        };
        queue.publish_after("jobs", message, delay).await.unwrap();
    }
    let connection = Connection::connect(&broker::url(), ConnectionProperties::default()).await;
    let channel = connection.unwrap().create_channel().await.unwrap();
    let waiting = format!("{prefix}jobs.delay.{}", LONG.as_millis());
    let waits = channel.basic_get(waiting.into(), BasicGetOptions::default()).await;
    let waits = waits.unwrap().expect("it waits");
    let ends = waits
        .properties
        .expiration()
        .as_ref()
        .map(|ends| ends.as_str().to_owned());
    assert_eq!(ends.as_deref(), Some("60000"));
    // Where it has come it has no end.
    sleep(SHORT * 4).await;
    let mut consumer = queue.consume("jobs", 1).await.unwrap();
    let came = timeout(LONG / 2, consumer.next()).await.expect("it came").unwrap();
    assert_eq!((came.message.id.as_str(), came.redeliveries), ("1", 0));
    came.receipt.ack().await.unwrap();
}
