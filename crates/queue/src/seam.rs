//! The traits that every broker implements, with the contract that the conformance suite holds them to.

use crate::{Delivery, Message, QueueDepth, QueueError};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::time::Duration;

/// What the queue inside a process is called where others are `rabbitmq`.
pub(crate) const IN_PROCESS: &str = "in_process";

/// The answer to one delivery. An answer can come late: where the session is gone (the connection was lost, the
/// consumer was dropped), the broker has requeued the message and the answer is [`QueueError::SessionLost`]. `Ok`
/// means that the answer was sent; where the session dies at that moment the message may still come again.
#[async_trait]
pub trait Receipt: Send + Sync + Debug {
    /// Done: the message is removed.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;
    /// Nobody can take it: to the dead letters. A dead letter that is rejected stays one: it goes back to its queue.
    async fn reject(self: Box<Self>) -> Result<(), QueueError>;
    /// Back to the queue; counts as a delivery. To hand back without counting, publish a copy and ack.
    async fn requeue(self: Box<Self>) -> Result<(), QueueError>;
}

/// A stream of deliveries. It survives lost sessions: it reconnects by itself with growing delays, and what was in
/// flight is delivered again. Dropping it ends its session: what is unanswered is delivered again and counts.
#[async_trait]
pub trait Consumer: Send + Debug {
    /// The next delivery. Waits through outages, so the only error is one that waiting does not cure
    /// ([`QueueError::Invalid`]: somebody made the queue anew with other properties, the password changed); it still
    /// goes on trying, and `next` may be called again. Cancel-safe: a delivery is never lost by dropping the future.
    async fn next(&mut self) -> Result<Delivery, QueueError>;

    /// Takes no more, and gives what the broker had already sent and `next` had not yet handed out. The session stays
    /// open, so that receipts can be answered until the consumer is dropped. Afterwards `next` waits for ever.
    async fn stop(&mut self) -> Vec<Delivery>;
}

/// A stream of broadcasts; what is sent while nobody listens is gone.
#[async_trait]
pub trait Subscription: Send + Debug {
    /// The next broadcast. After a lost session, or behind a slow listener, some may be missing: they are hints, never
    /// facts. Errors and cancel-safety as in [`Consumer::next`].
    async fn next(&mut self) -> Result<Bytes, QueueError>;
}

/// A broker of work queues.
///
/// Semantics that every implementation keeps:
/// - `declare` makes a queue with its dead letters ([`crate::dead_letters`]); again with the same name it changes
///   nothing.
/// - `publish` and `publish_after` return when the message is safe and will reach its queue; an unroutable message
///   is an error. Repeating one after an error may deliver it twice, never less than once.
/// - A queue delivers a message to one consumer at a time, at most `prefetch` unanswered ones per consumer. Order is
///   not promised.
/// - After [`JobQueue::delivery_limit`] redeliveries a message goes to the dead letters. Dead letters are a queue like
///   any other, without a limit: they leave it by ack alone.
/// - Every call ends within a time limit of its own; [`QueueError::is_retryable`] says whether to call again.
#[async_trait]
pub trait JobQueue: Send + Sync + Debug {
    /// What traces and metrics call the broker: OpenTelemetry's `messaging.system`.
    fn system(&self) -> &'static str {
        IN_PROCESS
    }

    /// How often a message is redelivered before it goes to the dead letters.
    fn delivery_limit(&self) -> u32;

    /// Makes sure that a queue and its dead letters exist.
    async fn declare(&self, queue: &str) -> Result<(), QueueError>;

    /// Puts a message into a declared queue.
    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError>;

    /// Puts a message into a declared queue after a delay, rounded up to the next of the configured steps
    /// ([`crate::QueueOptions::delay_steps`]). Zero is no delay; a delay above the longest step is the longest step.
    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError>;

    /// Starts taking from a declared queue. `prefetch` is at least 1.
    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError>;

    /// How full a declared queue is.
    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError>;

    /// Tells everyone who listens to a topic.
    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError>;

    /// Listens to a topic: whatever is broadcast after this returned is heard.
    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError>;
}
