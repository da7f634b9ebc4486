//! The queues that a worker takes from, as one: its model's, if it has one, and that of the kinds that need no model.

use sightline_core::message::queues::SHARDS_ANY;
use sightline_queue::{Consumer, Delivery, JobQueue, QueueError};
use std::sync::Arc;

/// Shards of kinds without a model that wait at this worker: what waits here no other worker takes.
const PREFETCH_ANY: u16 = 1;

/// A delivery, and the queue that it came from.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) queue: Arc<str>,
    pub(crate) delivery: Delivery,
}

#[derive(Debug)]
struct Source {
    queue: Arc<str>,
    consumer: Box<dyn Consumer>,
}

/// The queues. The one that gave nothing last is asked first, so that neither starves.
#[derive(Debug)]
pub(crate) struct Queues {
    first: Source,
    second: Option<Source>,
}

impl Queues {
    /// Makes sure that they are there, and starts taking.
    pub(crate) async fn open(broker: &dyn JobQueue, of_model: Option<&str>, prefetch: u16) -> Result<Self, QueueError> {
        let open = async |name: &str, prefetch| {
            broker.declare(name).await?;
            Ok::<_, QueueError>(Source {
                queue: name.into(),
                consumer: broker.consume(name, prefetch).await?,
            })
        };
        let Some(of_model) = of_model else {
            return Ok(Self {
                first: open(SHARDS_ANY, prefetch).await?,
                second: None,
            });
        };
        Ok(Self {
            first: open(of_model, prefetch).await?,
            second: Some(open(SHARDS_ANY, PREFETCH_ANY).await?),
        })
    }

    /// The next delivery of any. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Taken, QueueError> {
        let Some(second) = &mut self.second else {
            return Ok(Taken {
                queue: Arc::clone(&self.first.queue),
                delivery: self.first.consumer.next().await?,
            });
        };
        let (queue, delivery) = tokio::select! {
            biased;
            delivery = self.first.consumer.next() => {
                let queue = Arc::clone(&self.first.queue);
                std::mem::swap(&mut self.first, second);
                (queue, delivery?)
            }
            delivery = second.consumer.next() => (Arc::clone(&second.queue), delivery?),
        };
        Ok(Taken { queue, delivery })
    }

    /// Takes no more, and gives what was sent and not yet handed out.
    pub(crate) async fn stop(&mut self) -> Vec<Taken> {
        let mut left = Vec::new();
        for source in [Some(&mut self.first), self.second.as_mut()].into_iter().flatten() {
            for delivery in source.consumer.stop().await {
                let queue = Arc::clone(&source.queue);
                left.push(Taken { queue, delivery });
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sightline_queue::{MemoryQueue, Message, QueueOptions};

    fn message(id: &str) -> Message {
        Message {
            id: id.into(),
            body: Bytes::new(),
            traceparent: None,
        }
    }

    #[tokio::test]
    async fn a_full_queue_does_not_keep_the_other_waiting() {
        let broker = MemoryQueue::new(QueueOptions::default()).unwrap();
        let mut queues = Queues::open(&broker, Some("m"), 2).await.unwrap();
        for id in ["a", "b", "c"] {
            broker.publish("m", message(id)).await.unwrap();
        }
        broker.publish(SHARDS_ANY, message("x")).await.unwrap();
        let mut order = Vec::new();
        for _ in 0..4 {
            let taken = queues.next().await.unwrap();
            order.push((taken.queue.to_string(), taken.delivery.message.id.clone()));
            taken.delivery.receipt.ack().await.unwrap();
        }
        let of_any = order.iter().position(|(queue, _)| queue == SHARDS_ANY).unwrap();
        assert!(of_any <= 1, "{order:?}");
        let ids: Vec<&str> = order
            .iter()
            .filter(|(queue, _)| queue == "m")
            .map(|(_, id)| id.as_str())
            .collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_is_left_when_it_stops_is_told_with_its_queue() {
        let broker = MemoryQueue::new(QueueOptions::default()).unwrap();
        broker.declare("m").await.unwrap();
        broker.declare(SHARDS_ANY).await.unwrap();
        broker.publish(SHARDS_ANY, message("x")).await.unwrap();
        let mut queues = Queues::open(&broker, Some("m"), 2).await.unwrap();
        let taken = tokio::time::timeout(std::time::Duration::from_secs(5), queues.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&*taken.queue, SHARDS_ANY);
        assert!(queues.stop().await.iter().all(|left| &*left.queue == SHARDS_ANY));
    }
}
