//! A case of its own, since it needs other options than the rest: what is told of messages.

use super::support::{QUEUE, message, next, options, publish};
use crate::{JobQueue, QueueOptions, Traffic, TrafficRecorder};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Each message is told of when it is published, well or not, and when it comes, by the queue that it is for: not by the
/// one in which it waits for its delay.
pub async fn what_is_published_and_what_comes_is_told<F>(open: impl FnOnce(QueueOptions) -> F)
where
    F: Future<Output = Arc<dyn JobQueue>>,
{
    let told = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&told);
    let traffic = TrafficRecorder::new(move |traffic| {
        let line = match *traffic {
            Traffic::Published {
                system, queue, error, ..
            } => format!("{system} has {} {error:?}", own_name(queue)),
            Traffic::Delivered { system, queue } => format!("{system} gives {}", own_name(queue)),
        };
        record.lock().unwrap().push(line);
    });
    let queue = open(QueueOptions { traffic, ..options() }).await;
    queue.declare(QUEUE).await.unwrap();
    publish(&*queue, &["at once"]).await;
    let later = Duration::from_millis(1);
    queue.publish_after(QUEUE, message("later"), later).await.unwrap();
    queue.publish("undeclared", message("nowhere")).await.unwrap_err();
    let mut consumer = queue.consume(QUEUE, 1).await.unwrap();
    for _ in 0..2 {
        next(&mut *consumer).await.receipt.ack().await.unwrap();
    }
    let system = queue.system();
    let expected = [
        format!("{system} has {QUEUE} None"),
        format!("{system} has {QUEUE} None"),
        format!("{system} has undeclared Some(\"invalid\")"),
        format!("{system} gives {QUEUE}"),
        format!("{system} gives {QUEUE}"),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

/// A queue's name without what was put before it.
fn own_name(queue: &str) -> &str {
    queue.rsplit('.').next().unwrap_or(queue)
}
