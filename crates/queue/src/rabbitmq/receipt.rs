//! Answers to deliveries, and the session they belong to.

use super::publisher::TRACEPARENT;
use crate::{Delivery, Message, QueueError, Receipt};
use async_trait::async_trait;
use bytes::Bytes;
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::types::{AMQPValue, FieldTable};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What the receipts of one session share.
#[derive(Debug)]
pub(super) struct SessionHandle {
    /// Set when the session ends; setting it ends the session.
    pub(super) lost: CancellationToken,
    /// Deliveries that were dropped without an answer. Room for all that can be unanswered.
    pub(super) dropped: mpsc::Sender<Acker>,
    pub(super) reply_limit: Duration,
    /// Whether the queue holds dead letters: they have nowhere to be rejected to.
    pub(super) dead_letters: bool,
}

/// The answer to one delivery.
pub(super) struct RabbitReceipt {
    session: Arc<SessionHandle>,
    acker: Option<Acker>,
}

impl fmt::Debug for RabbitReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitReceipt")
            .field("lost", &self.session.lost.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A broker's delivery as one of ours.
pub(super) fn delivery(session: &Arc<SessionHandle>, delivery: lapin::message::Delivery) -> Delivery {
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref();
    let id = properties.message_id().as_ref().map(ToString::to_string);
    Delivery {
        redeliveries: headers.map_or(0, delivery_count),
        message: Message {
            id: id.unwrap_or_default(),
            traceparent: headers.and_then(traceparent),
            body: Bytes::from(delivery.data),
        },
        receipt: Box::new(RabbitReceipt {
            session: Arc::clone(session),
            acker: Some(delivery.acker),
        }),
    }
}

fn delivery_count(headers: &FieldTable) -> u32 {
    let count = match headers.inner().get("x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => i64::from(*count),
        Some(AMQPValue::LongUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortUInt(count)) => i64::from(*count),
        _ => 0,
    };
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

fn traceparent(headers: &FieldTable) -> Option<String> {
    match headers.inner().get(TRACEPARENT)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Says that a delivery goes back, or to the dead letters.
pub(super) async fn refuse(acker: &Acker, limit: Duration, requeue: bool) -> Result<(), QueueError> {
    let options = BasicNackOptions {
        requeue,
        ..BasicNackOptions::default()
    };
    sent(timeout(limit, acker.nack(options)).await)
}

fn sent(answer: Result<lapin::Result<bool>, tokio::time::error::Elapsed>) -> Result<(), QueueError> {
    match answer {
        Ok(Ok(true)) => Ok(()),
        _ => Err(QueueError::SessionLost),
    }
}

impl RabbitReceipt {
    fn take(&mut self) -> Result<Acker, QueueError> {
        let acker = self.acker.take().ok_or(QueueError::SessionLost)?;
        if self.session.lost.is_cancelled() {
            return Err(QueueError::SessionLost);
        }
        Ok(acker)
    }

    fn check(&self, answer: Result<(), QueueError>) -> Result<(), QueueError> {
        // A session that cannot carry an answer is at its end: a new one gets the message again.
        answer.inspect_err(|_| self.session.lost.cancel())
    }

    async fn refuse(&mut self, requeue: bool) -> Result<(), QueueError> {
        let acker = self.take()?;
        let answer = refuse(&acker, self.session.reply_limit, requeue).await;
        self.check(answer)
    }
}

#[async_trait]
impl Receipt for RabbitReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        let acker = self.take()?;
        let answer = timeout(self.session.reply_limit, acker.ack(BasicAckOptions::default())).await;
        self.check(sent(answer))
    }

    async fn reject(mut self: Box<Self>) -> Result<(), QueueError> {
        let requeue = self.session.dead_letters;
        self.refuse(requeue).await
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), QueueError> {
        self.refuse(true).await
    }
}

impl Drop for RabbitReceipt {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take() {
            // There is room for every unanswered delivery; an error says that the session is gone, and the message
            // went back with it.
            drop(self.session.dropped.try_send(acker));
        }
    }
}
