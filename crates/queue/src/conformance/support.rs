//! What the cases share.

use crate::{Consumer, Delivery, JobQueue, Message, QueueDepth, QueueOptions};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The queue that most cases use.
pub(super) const QUEUE: &str = "jobs";
/// Much longer than any answer takes: what passes it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing must come for "nothing comes". A broker that is wrong delivers in milliseconds.
const SILENCE: Duration = Duration::from_millis(300);
/// Between two looks at what nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The options that the cases are written for: a low delivery limit and short delays.
#[must_use]
pub fn options() -> QueueOptions {
    QueueOptions {
        delivery_limit: 2,
        delay_steps: vec![Duration::from_millis(700), Duration::from_secs(2)],
        expire_unused: Some(Duration::from_secs(120)),
        connection_name: "sightline conformance".to_owned(),
        ..QueueOptions::default()
    }
}

pub(super) fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        body: format!("body of {id}").into_bytes().into(),
        traceparent: None,
    }
}

pub(super) async fn publish(queue: &dyn JobQueue, ids: &[&str]) {
    for id in ids {
        queue.publish(QUEUE, message(id)).await.unwrap();
    }
}

pub(super) async fn next(consumer: &mut dyn Consumer) -> Delivery {
    let next = timeout(PATIENCE, consumer.next()).await;
    next.expect("a delivery within a minute").unwrap()
}

/// Asserts that a consumer gets nothing.
pub(super) async fn nothing(consumer: &mut dyn Consumer) {
    if let Ok(delivery) = timeout(SILENCE, consumer.next()).await {
        panic!("nothing should come, and {:?} came", delivery.unwrap().message.id);
    }
}

/// Waits until a queue is as full as expected: a broker counts a moment later than it confirms.
pub(super) async fn depth_becomes(queue: &dyn JobQueue, name: &str, ready: u64, consumers: u64) {
    let expected = QueueDepth { ready, consumers };
    let wanted = format!("{expected:?}");
    wait_for(queue, name, &wanted, |seen| *seen == expected).await;
}

/// As [`depth_becomes`], with any number of consumers.
pub(super) async fn ready_becomes(queue: &dyn JobQueue, name: &str, ready: u64) {
    wait_for(queue, name, &format!("{ready} ready"), |seen| seen.ready == ready).await;
}

async fn wait_for(queue: &dyn JobQueue, name: &str, wanted: &str, reached: impl Fn(&QueueDepth) -> bool) {
    let mut seen = QueueDepth::default();
    let look = timeout(PATIENCE, async {
        loop {
            seen = queue.depth(name).await.unwrap();
            if reached(&seen) {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    });
    assert!(look.await.is_ok(), "{name} is {seen:?} and should be {wanted}");
}
