//! What goes through a queue.

use crate::Receipt;
use bytes::Bytes;

/// A message's body and its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same id twice is the same message sent twice (a publisher that lost a confirm sends again). At most 255
    /// bytes.
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
    /// Deliveries before this one that ended without ack (the broker's count; 0 the first time, and 0 again in the
    /// dead letters).
    pub redeliveries: u32,
    /// How to answer.
    pub receipt: Box<dyn Receipt>,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Messages waiting for a consumer; neither those in a consumer's hands nor those that wait for their delay.
    pub ready: u64,
    /// Consumers at the queue. One that stopped may count until all that it has is answered.
    pub consumers: u64,
}
