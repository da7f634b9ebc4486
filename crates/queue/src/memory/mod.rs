//! The queue inside a process, with the delivery rules of a broker. Nothing of it survives the process; it grows with
//! what is published, as a broker does, so whoever publishes keeps the number of outstanding messages bounded.

mod consumer;
mod state;
mod topic;

use crate::names::{check_message, check_prefetch, full_name};
use crate::seam::IN_PROCESS;
use crate::{Consumer, JobQueue, Message, QueueDepth, QueueError, QueueOptions, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use topic::Topics;

/// The queue inside a process. Delays are measured with the runtime's clock, so a test with paused time is
/// deterministic.
#[derive(Debug)]
pub struct MemoryQueue {
    options: QueueOptions,
    shared: Arc<Shared>,
    topics: Topics,
}

#[derive(Debug)]
struct Shared(Mutex<State>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole when its method returns: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryQueue {
    /// A new, empty broker.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] where an option cannot be used.
    pub fn new(options: QueueOptions) -> Result<Self, QueueError> {
        let options = options.checked()?;
        Ok(Self {
            shared: Arc::new(Shared(Mutex::new(State::new(options.delivery_limit)))),
            topics: Topics::default(),
            options,
        })
    }

    fn name(&self, name: &str, action: &'static str) -> Result<String, QueueError> {
        full_name(&self.options.prefix, name, action)
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    fn delivery_limit(&self) -> u32 {
        self.options.delivery_limit
    }

    async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        let queue = self.name(queue, "declare")?;
        self.shared.lock().declare(&queue);
        Ok(())
    }

    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError> {
        self.publish_after(queue, message, Duration::ZERO).await
    }

    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError> {
        let queue = self.name(queue, "publish to")?;
        check_message(&queue, &message)?;
        let due = self.options.step(delay).map(|step| Instant::now() + step);
        let publish = async { self.shared.lock().publish(&queue, message, due) };
        self.options.traffic.publishing(IN_PROCESS, &queue, publish).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        let queue = self.name(queue, "consume from")?;
        check_prefetch(&queue, prefetch)?;
        let (session, changed) = self.shared.lock().open_session(&queue)?;
        Ok(Box::new(consumer::MemoryConsumer {
            shared: Arc::clone(&self.shared),
            queue: Arc::from(queue),
            session,
            prefetch,
            changed,
            traffic: self.options.traffic.clone(),
        }))
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        let queue = self.name(queue, "measure")?;
        self.shared.lock().depth(&queue, Instant::now())
    }

    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        let topic = self.name(topic, "broadcast to")?;
        self.topics.send(&topic, body);
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError> {
        let topic = self.name(topic, "subscribe to")?;
        Ok(Box::new(self.topics.subscribe(topic)))
    }
}
