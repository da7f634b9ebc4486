//! The broker's queues and exchanges: how each is declared.

use super::address::Address;
use super::failure::Failure;
use super::link::within;
use crate::QueueOptions;
use crate::names::{dead_letters, delay_queue, is_dead_letters};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind, Queue};
use std::time::Duration;

/// Dead letters and waiting messages have no delivery limit. A number, because a broker from 4.0 on drops after 20
/// deliveries where none is said, and one before 4.0 does not know -1.
const NO_DELIVERY_LIMIT: i32 = i32::MAX;
/// Broadcasts that a subscription may be behind in the broker; the oldest are dropped.
const SUBSCRIPTION_BACKLOG: i32 = 10_000;

/// Declares things on one channel.
#[derive(Debug)]
pub(super) struct Topology<'a> {
    pub(super) channel: &'a Channel,
    pub(super) address: &'a Address,
    pub(super) options: &'a QueueOptions,
}

impl Topology<'_> {
    /// A queue with its dead letters; dead letters alone by their own name.
    pub(super) async fn queue(&self, queue: &str) -> Result<(), Failure> {
        if is_dead_letters(queue) {
            return self.dead_letters(queue).await;
        }
        let dead = dead_letters(queue);
        self.dead_letters(&dead).await?;
        let limit = i64::from(self.options.delivery_limit);
        let mut arguments = self.quorum(AMQPValue::LongLongInt(limit));
        dead_letter_to(&mut arguments, &dead);
        self.declare(queue, arguments).await
    }

    /// The queue in which messages for `queue` wait for `step`: from there they come by dead-lettering.
    pub(super) async fn delay(&self, queue: &str, step: Duration) -> Result<(), Failure> {
        let mut arguments = self.quorum(AMQPValue::LongInt(NO_DELIVERY_LIMIT));
        dead_letter_to(&mut arguments, queue);
        let millis = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
        self.declare(&delay_queue(queue, step), arguments).await
    }

    async fn dead_letters(&self, queue: &str) -> Result<(), Failure> {
        let arguments = self.quorum(AMQPValue::LongInt(NO_DELIVERY_LIMIT));
        self.declare(queue, arguments).await
    }

    fn quorum(&self, delivery_limit: AMQPValue) -> FieldTable {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        arguments.insert("x-delivery-limit".into(), delivery_limit);
        if let Some(unused) = self.options.expire_unused {
            let millis = i64::try_from(unused.as_millis()).unwrap_or(i64::MAX);
            arguments.insert("x-expires".into(), AMQPValue::LongLongInt(millis));
        }
        arguments
    }

    async fn declare(&self, queue: &str, arguments: FieldTable) -> Result<(), Failure> {
        let options = QueueDeclareOptions::durable();
        let declared = self.channel.queue_declare(queue.into(), options, arguments);
        self.within(declared).await.map(drop)
    }

    /// A queue as it is; nothing is made.
    pub(super) async fn look(&self, queue: &str) -> Result<Queue, Failure> {
        let options = QueueDeclareOptions::durable().passive();
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        self.within(declared).await
    }

    /// A topic.
    pub(super) async fn topic(&self, topic: &str) -> Result<(), Failure> {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let arguments = FieldTable::default();
        let declared = self
            .channel
            .exchange_declare(topic.into(), ExchangeKind::Fanout, options, arguments);
        self.within(declared).await
    }

    /// A queue of one listener's own, which ends with it; gives its name.
    pub(super) async fn listener(&self, topic: &str) -> Result<String, Failure> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(SUBSCRIPTION_BACKLOG));
        arguments.insert("x-overflow".into(), text("drop-head"));
        let options = QueueDeclareOptions::exclusive().auto_delete();
        let declared = self.channel.queue_declare("".into(), options, arguments);
        let queue = self.within(declared).await?.name().clone();
        let options = QueueBindOptions::default();
        let arguments = FieldTable::default();
        let bound = self
            .channel
            .queue_bind(queue.clone(), topic.into(), "".into(), options, arguments);
        self.within(bound).await?;
        Ok(queue.to_string())
    }

    async fn within<T>(&self, answer: impl Future<Output = lapin::Result<T>>) -> Result<T, Failure> {
        within(self.options.timeouts.reply, self.address, answer).await
    }
}

/// Messages that end in this queue go to another, and leave it only when they are safe there.
fn dead_letter_to(arguments: &mut FieldTable, queue: &str) {
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(queue));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    // At-least-once asks for it. There is no maximum length, so nothing is refused.
    arguments.insert("x-overflow".into(), text("reject-publish"));
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
