//! The job-queue seam: RabbitMQ quorum queues in production, an in-process queue embedded.
//!
//! Promises: one small trait with one conformance suite (`conformance`, run by every implementation, a real broker
//! included); `publish` returns only after the message is safe; a delivery that is neither acked nor handed back is
//! delivered again; a message that was delivered too often, or rejected, lies in the queue's dead letters and is not
//! lost. Leaves to others: what messages mean (`sightline-core`).

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::time::Duration;

/// A message's body and its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same id twice is the same message sent twice (a publisher that lost a confirm sends again).
    pub id: String,
    /// The body.
    pub body: Bytes,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// A message in a consumer's hands. Dropping it without an answer hands it back as a lost session would: it is
/// delivered again and the delivery counts.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Deliveries before this one that ended without ack (the broker's count; 0 the first time).
    pub redeliveries: u32,
    /// How to answer.
    pub receipt: Box<dyn Receipt>,
}

/// The answer to one delivery. An answer can come late: where the session is gone, the broker has requeued the
/// message and the answer is [`QueueError::SessionLost`].
#[async_trait]
pub trait Receipt: Send + Sync + Debug {
    /// Done: the message is removed.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;
    /// Nobody can take it: to the dead letters.
    async fn reject(self: Box<Self>) -> Result<(), QueueError>;
    /// Back to the queue; counts as a delivery. To hand back without counting, publish a copy and ack.
    async fn requeue(self: Box<Self>) -> Result<(), QueueError>;
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Messages waiting for a consumer.
    pub ready: u64,
    /// Consumers at the queue.
    pub consumers: u64,
}

/// Why an operation on the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The broker is away, refuses to take messages for now, or did not confirm: try again later.
    #[error("the queue is not available: could not {action} {queue:?}: {message}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// The queue.
        queue: String,
        /// What happened.
        message: String,
    },
    /// The session in which the delivery came is gone; the broker delivers the message again.
    #[error("the session of this delivery is gone: the message will be delivered again")]
    SessionLost,
    /// It can never work: a queue that exists with other properties, a wrong URL or password.
    #[error("cannot {action} {queue:?}: {message}")]
    Invalid {
        /// What was tried.
        action: &'static str,
        /// The queue.
        queue: String,
        /// Why.
        message: String,
    },
}

impl QueueError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::SessionLost)
    }
}

/// A stream of deliveries. It survives lost sessions: it reconnects by itself with growing delays, and what was in
/// flight is delivered again.
#[async_trait]
pub trait Consumer: Send + Debug {
    /// The next delivery. Cancel-safe: a delivery is never lost by dropping the future.
    async fn next(&mut self) -> Result<Delivery, QueueError>;
}

/// A stream of broadcasts; what is sent while nobody listens is gone.
#[async_trait]
pub trait Subscription: Send + Debug {
    /// The next broadcast. After a lost session some may be missing: they are hints, never facts.
    async fn next(&mut self) -> Result<Bytes, QueueError>;
}

/// A broker of work queues.
///
/// Semantics that every implementation keeps:
/// - `declare` makes a queue with its dead letters ([`dead_letters`]); again with the same name it changes nothing.
/// - `publish` and `publish_after` return when the message is safe and will reach its queue; an unroutable message
///   is an error. Repeating one after an error may deliver it twice, never less than once.
/// - A queue delivers a message to one consumer at a time, at most `prefetch` unanswered ones per consumer.
/// - After [`JobQueue::delivery_limit`] redeliveries a message goes to the dead letters.
#[async_trait]
pub trait JobQueue: Send + Sync + Debug {
    /// How often a message is redelivered before it goes to the dead letters.
    fn delivery_limit(&self) -> u32;

    /// Makes sure that a queue and its dead letters exist.
    async fn declare(&self, queue: &str) -> Result<(), QueueError>;

    /// Puts a message into a declared queue.
    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError>;

    /// Puts a message into a declared queue after a delay (rounded up to 1, 5, 15 or 60 seconds, or as configured).
    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError>;

    /// Starts taking from a declared queue.
    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError>;

    /// How full a declared queue is.
    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError>;

    /// Tells everyone who listens to a topic.
    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError>;

    /// Listens to a topic.
    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError>;
}

/// The name of a queue's dead letters: a queue like any other.
#[must_use]
pub fn dead_letters(queue: &str) -> String {
    format!("{queue}.dead")
}
