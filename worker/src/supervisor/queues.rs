//! The queues that a worker takes from, as one: its model's, if it has one, and that of the kinds that need no model.

use crate::devices::is_accelerator;
use sightline_core::WorkerReport;
use sightline_core::message::queues::SHARDS_ANY;
use sightline_queue::{Consumer, Delivery, JobQueue, QueueError};
use std::sync::Arc;

/// Shards of kinds without a model that wait at this worker: what waits here no other worker takes.
const PREFETCH_ANY: u16 = 1;

/// Items of a shard, where a run does not say otherwise.
const SHARD_ITEMS: usize = 256;
/// Batches of a device that are in hand: one is computed, one is ready, one is filled, and what that is made of is decoded.
const BATCHES_IN_HAND: usize = 4;
/// Items in hand for an accelerator: what a fast one computes (4,000 a second) in the half second that a shard is in hand without
/// being computed. Half of that goes to looking up which rows there are, which Milvus answers with the ticks of its clock, the
/// rest to reading the shard's documents, the last write, the result and the next delivery. A processor computes a few items
/// in that time, and what it had in hand for nothing would be out of other workers' reach.
const ACCELERATOR_ITEMS: usize = 2048;
/// Most shards in hand.
const MAX_PREFETCH: u16 = WorkerReport::MOST_IN_HAND;

/// Shards in hand that leave no device without work: one beside those that its batches come from.
pub(crate) fn prefetch_for(devices: &[String], batch_items: u32) -> u16 {
    let batches = usize::try_from(batch_items)
        .unwrap_or(usize::MAX)
        .saturating_mul(BATCHES_IN_HAND);
    let of_device = |device: &String| {
        if is_accelerator(device) {
            batches.max(ACCELERATOR_ITEMS)
        } else {
            batches
        }
    };
    let items = devices.iter().map(of_device).fold(0, usize::saturating_add);
    // A worker without a model has no device, and takes imports.
    let shards = items.max(batches).div_ceil(SHARD_ITEMS).saturating_add(1);
    u16::try_from(shards).unwrap_or(MAX_PREFETCH).min(MAX_PREFETCH)
}

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

    #[test]
    fn as_many_shards_are_in_hand_as_the_devices_need() {
        let shards = |device: &str, devices, batch| prefetch_for(&vec![device.to_owned(); devices], batch);
        let on_processors = [(1, 32), (0, 32), (1, 64), (1, 256), (8, 32), (8, 256), (64, 4096)];
        let on_processors = on_processors.map(|(devices, batch)| shards("cpu", devices, batch));
        assert_eq!(on_processors, [2, 2, 2, 5, 5, 33, 64]);
        let on_accelerators = [(1, 32), (1, 256), (1, 1024), (2, 32), (4, 64), (8, 32)];
        let on_accelerators = on_accelerators.map(|(devices, batch)| shards("cuda:0", devices, batch));
        assert_eq!(on_accelerators, [9, 9, 17, 17, 33, 64]);
        assert_eq!(prefetch_for(&["cpu".to_owned(), "cuda:0".to_owned()], 32), 10);
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
