//! RabbitMQ: quorum queues, confirmed publishing, at-least-once dead-lettering, sessions that we supervise ourselves.
//!
//! One connection publishes and asks; every consumer and every subscription has one of its own, so that neither a
//! broker's alarm nor one consumer's mistake ends the others' work. lapin's own recovery is not used: a consumer was
//! seen to hang after it. Each lost session is replaced by a fresh connection, and no await is without a time limit.
//!
//! A broker of one node that is killed can come back with a quorum queue that elects no leader (seen on 3.10.8; its log
//! repeats "leader not known", as in rabbitmq-server issue 10070). Every call then fails in time as unavailable and
//! consumers go on trying, but a client cannot end it: the broker's operator has to.

mod address;
mod consume_session;
mod consumer;
mod failure;
mod link;
mod publish_session;
mod publisher;
mod receipt;
mod subscription;
mod topology;
mod trace;

use crate::backoff::Backoff;
use crate::names::{check_message, check_prefetch, full_name};
use crate::{Consumer, JobQueue, Message, QueueDepth, QueueError, QueueOptions, Subscription};
use address::Address;
use async_trait::async_trait;
use bytes::Bytes;
use consume_session::{ConsumeSession, Missing};
use consumer::RabbitConsumer;
use failure::Failure;
use publisher::Publisher;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subscription::{ListenSession, RabbitSubscription};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use trace::{SYSTEM, traced};

/// A RabbitMQ broker, 3.10 or later.
#[derive(Debug)]
pub struct RabbitMq {
    address: Address,
    options: Arc<QueueOptions>,
    publisher: Publisher,
}

impl RabbitMq {
    /// The broker at an `amqp:` or `amqps:` URL. Connects when it is first asked for something.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] where the URL or an option cannot be used.
    pub fn new(url: &str, options: QueueOptions) -> Result<Self, QueueError> {
        let options = Arc::new(options.checked()?);
        let address = Address::parse(url, &options)?;
        Ok(Self {
            publisher: Publisher::new(address.clone(), Arc::clone(&options)),
            address,
            options,
        })
    }

    fn name(&self, name: &str, action: &'static str) -> Result<String, QueueError> {
        full_name(&self.options.prefix, name, action)
    }

    /// Opens a first session: as many attempts as the limit of a call allows.
    async fn first_session<S, F>(
        &self,
        action: &'static str,
        name: &str,
        open: impl Fn() -> F + Send,
    ) -> Result<S, QueueError>
    where
        S: Send,
        F: Future<Output = Result<S, Failure>> + Send,
    {
        let limit = self.options.timeouts.call;
        let last = Mutex::new(format!("{} did not answer", self.address));
        let attempts = async {
            let mut backoff = Backoff::new(self.options.jitter_seed);
            loop {
                match open().await {
                    Ok(session) => return Ok(session),
                    Err(failure) if failure.permanent => return Err(failure.at(action, name)),
                    Err(failure) => {
                        *last.lock().unwrap_or_else(PoisonError::into_inner) = failure.message().to_owned();
                    }
                }
                sleep(backoff.next_delay()).await;
            }
        };
        match timeout(limit, attempts).await {
            Ok(session) => session,
            Err(_) => {
                let last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let message = format!("not done within {limit:?}: {last}");
                Err(QueueError::unavailable(action, name, message))
            }
        }
    }
}

#[async_trait]
impl JobQueue for RabbitMq {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn delivery_limit(&self) -> u32 {
        self.options.delivery_limit
    }

    async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        let queue = self.name(queue, "declare")?;
        self.publisher.declare(&queue).await
    }

    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError> {
        self.publish_after(queue, message, Duration::ZERO).await
    }

    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError> {
        let queue = self.name(queue, "publish to")?;
        check_message(&queue, &message)?;
        let step = self.options.step(delay);
        let publish = traced(&queue, &message, self.publisher.publish(&queue, &message, step));
        self.options.traffic.publishing(SYSTEM, &queue, publish).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        let action = "consume from";
        let queue = self.name(queue, action)?;
        check_prefetch(&queue, prefetch)?;
        let end = CancellationToken::new();
        let open = || ConsumeSession::open(&self.address, &self.options, &queue, prefetch, Missing::IsAnError, &end);
        let first = self.first_session(action, &queue, open).await?;
        let (address, options) = (self.address.clone(), Arc::clone(&self.options));
        Ok(Box::new(RabbitConsumer::start(
            address, options, queue, prefetch, end, first,
        )))
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        let queue = self.name(queue, "measure")?;
        self.publisher.depth(&queue).await
    }

    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        let topic = self.name(topic, "broadcast to")?;
        self.publisher.broadcast(&topic, body).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError> {
        let action = "subscribe to";
        let topic = self.name(topic, action)?;
        let open = || ListenSession::open(&self.address, &self.options, &topic);
        let first = self.first_session(action, &topic, open).await?;
        let (address, options) = (self.address.clone(), Arc::clone(&self.options));
        Ok(Box::new(RabbitSubscription::start(address, options, topic, first)))
    }
}
