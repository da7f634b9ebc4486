//! The job-queue seam: RabbitMQ quorum queues in production, an in-process queue embedded.
//!
//! Promises: one small trait with one conformance suite (`conformance`, run by every implementation, a real broker
//! included); `publish` returns only after the message is safe; a delivery that is neither acked nor handed back is
//! delivered again; a message that was delivered too often, or rejected, lies in the queue's dead letters and is not
//! lost; no password in an error, a log or a Debug. Leaves to others: what messages mean (`sightline-core`), when to
//! try again after [`QueueError::Unavailable`], and how long a delivery may be held (below the broker's consumer
//! timeout, which ends the session of whoever holds one longer).

mod backoff;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod memory;
mod message;
mod names;
mod open;
mod options;
mod rabbitmq;
mod recorder;
mod seam;

pub use error::QueueError;
pub use memory::MemoryQueue;
pub use message::{Delivery, Message, QueueDepth};
pub use names::dead_letters;
pub use open::open;
pub use options::{QueueOptions, Timeouts};
pub use rabbitmq::RabbitMq;
pub use recorder::{Traffic, TrafficRecorder};
pub use seam::{Consumer, JobQueue, Receipt, Subscription};
