//! Publishing with confirms, and every other call that is one question and one answer: on a connection of its own,
//! since a broker with an alarm stops reading from connections that publish, acks included.

use super::address::Address;
use super::failure::Failure;
use super::publish_session::{Lease, Session};
use crate::backoff::Backoff;
use crate::names::delay_queue;
use crate::{Message, QueueDepth, QueueError, QueueOptions};
use bytes::Bytes;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

const PERSISTENT: u8 = 2;
pub(super) const TRACEPARENT: &str = "traceparent";

/// What a call waits for, to be said where its time runs out.
#[derive(Debug)]
struct Progress(Mutex<String>);

impl Progress {
    fn new() -> Self {
        Self(Mutex::new("too many calls are under way".to_owned()))
    }

    fn set(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
struct Current {
    session: Option<Arc<Session>>,
    backoff: Backoff,
}

/// The connection that publishes and asks.
#[derive(Debug)]
pub(super) struct Publisher {
    address: Address,
    options: Arc<QueueOptions>,
    current: tokio::sync::Mutex<Current>,
    /// One place for each message that waits for its confirm.
    window: Arc<Semaphore>,
    /// What this process declared: a broker that lost its queues gets them again.
    declared: Mutex<BTreeSet<String>>,
}

impl Publisher {
    pub(super) fn new(address: Address, options: Arc<QueueOptions>) -> Self {
        Self {
            current: tokio::sync::Mutex::new(Current {
                session: None,
                backoff: Backoff::new(options.jitter_seed),
            }),
            window: Arc::new(Semaphore::new(usize::from(options.publish_window))),
            declared: Mutex::default(),
            address,
            options,
        }
    }

    pub(super) async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        self.limited("declare", queue, async |progress: &Progress| {
            let lease = self.lease(progress).await?;
            lease.topology(&self.address, &self.options).queue(queue).await?;
            lease.give_back();
            Ok(())
        })
        .await?;
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.insert(queue.to_owned());
        Ok(())
    }

    pub(super) async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        self.limited("measure", queue, async |progress: &Progress| {
            let lease = self.lease(progress).await?;
            let found = lease.topology(&self.address, &self.options).look(queue).await?;
            lease.give_back();
            Ok(QueueDepth {
                ready: u64::from(found.message_count()),
                consumers: u64::from(found.consumer_count()),
            })
        })
        .await
    }

    pub(super) async fn publish(
        &self,
        queue: &str,
        message: &Message,
        delay: Option<Duration>,
    ) -> Result<(), QueueError> {
        self.limited("publish to", queue, async |progress: &Progress| {
            let lease = self.lease(progress).await?;
            self.wait_for_alarms(&lease, progress).await?;
            let key = match delay {
                None => queue.to_owned(),
                Some(step) => {
                    let name = delay_queue(queue, step);
                    if !lease.session().has_made(&name) {
                        let topology = lease.topology(&self.address, &self.options);
                        // Or the message would wait and then have nowhere to go.
                        topology.look(queue).await?;
                        topology.delay(queue, step).await?;
                        lease.session().made(&name);
                    }
                    name
                }
            };
            let letter = Letter {
                exchange: "",
                key: &key,
                mandatory: true,
                properties: properties(message, delay),
                body: &message.body,
            };
            let sent = self.send(&lease, progress, letter).await;
            if sent.as_ref().is_err_and(|failure| failure.not_found) {
                lease.session().forget(&key);
            }
            sent?;
            lease.give_back();
            Ok(())
        })
        .await
    }

    pub(super) async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        self.limited("broadcast to", topic, async |progress: &Progress| {
            let lease = self.lease(progress).await?;
            self.wait_for_alarms(&lease, progress).await?;
            if !lease.session().has_made(topic) {
                lease.topology(&self.address, &self.options).topic(topic).await?;
                lease.session().made(topic);
            }
            let letter = Letter {
                exchange: topic,
                key: "",
                mandatory: false,
                properties: BasicProperties::default().with_delivery_mode(PERSISTENT),
                body: &body,
            };
            self.send(&lease, progress, letter).await?;
            lease.give_back();
            Ok(())
        })
        .await
    }

    /// Sends one message and waits for its confirm. The channel is nobody else's meanwhile: lapin hands a returned
    /// message to whichever confirm comes next, so with two under way the wrong one could pass for safe.
    async fn send(&self, lease: &Lease, progress: &Progress, letter: Letter<'_>) -> Result<(), Failure> {
        progress.set(format!("{} did not confirm it", self.address));
        let options = BasicPublishOptions {
            mandatory: letter.mandatory,
            ..BasicPublishOptions::default()
        };
        let channel = lease.channel();
        let (exchange, key) = (letter.exchange.into(), letter.key.into());
        let sent = channel.basic_publish(exchange, key, options, letter.body, letter.properties);
        let of = |error| Failure::of(&self.address, &error);
        match sent.await.map_err(of)?.await.map_err(of)? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(Failure::unroutable()),
            Confirmation::Nack(_) => Err(Failure::late("the broker did not take the message".to_owned())),
            Confirmation::NotRequested => Err(Failure::late("the channel does not confirm".to_owned())),
        }
    }

    async fn wait_for_alarms(&self, lease: &Lease, progress: &Progress) -> Result<(), Failure> {
        progress.set(format!("{} has an alarm and takes no messages", self.address));
        lease.session().wait_for_alarms().await
    }

    /// Runs a call within its time limit.
    async fn limited<'a, T>(
        &'a self,
        action: &'static str,
        queue: &str,
        call: impl AsyncFnOnce(&Progress) -> Result<T, Failure>,
    ) -> Result<T, QueueError> {
        let limit = self.options.timeouts.call;
        let progress = Progress::new();
        match timeout(limit, call(&progress)).await {
            Ok(done) => done.map_err(|failure| failure.at(action, queue)),
            Err(_) => {
                let message = format!("not done within {limit:?}: {}", progress.text());
                Err(QueueError::unavailable(action, queue, message))
            }
        }
    }

    /// A channel of one's own on the live session; a new session where there is none.
    async fn lease(&self, progress: &Progress) -> Result<Lease, Failure> {
        let window = Arc::clone(&self.window);
        let place = window.acquire_owned().await.map_err(|_| Failure::closed())?;
        progress.set(format!("{} did not answer", self.address));
        let session = self.session(progress).await?;
        Lease::new(session, &self.address, place).await
    }

    async fn session(&self, progress: &Progress) -> Result<Arc<Session>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.session.as_ref().filter(|session| session.is_open()) {
            return Ok(Arc::clone(session));
        }
        current.session = None;
        loop {
            match Session::open(&self.address, &self.options).await {
                Ok(session) => {
                    self.declare_again(&session).await;
                    current.backoff.reset();
                    let session = Arc::new(session);
                    current.session = Some(Arc::clone(&session));
                    return Ok(session);
                }
                Err(failure) if failure.permanent => return Err(failure),
                Err(failure) => {
                    progress.set(format!("no connection to {}: {}", self.address, failure.message()));
                    let delay = current.backoff.next_delay();
                    sleep(delay).await;
                }
            }
        }
    }

    async fn declare_again(&self, session: &Session) {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for queue in declared {
            if let Err(failure) = session.declare(&self.address, &self.options, &queue).await {
                // Publishing to it says so again, to someone who can act.
                tracing::warn!(%queue, reason = failure.message(), "could not declare a queue again");
            }
        }
    }
}

/// What is sent, and where to.
#[derive(Debug)]
struct Letter<'a> {
    exchange: &'a str,
    key: &'a str,
    mandatory: bool,
    properties: BasicProperties,
    body: &'a [u8],
}

fn properties(message: &Message, delay: Option<Duration>) -> BasicProperties {
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    if let Some(delay) = delay {
        // Its queue says the same, but not at once: a quorum queue that another publisher has just declared takes messages
        // before it knows its own arguments, and one without an end would stay for ever, with all that come after it.
        properties = properties.with_expiration(delay.as_millis().to_string().into());
    }
    if !message.id.is_empty() {
        properties = properties.with_message_id(message.id.as_str().into());
    }
    if let Some(traceparent) = &message.traceparent {
        let mut headers = FieldTable::default();
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(traceparent.as_str().into()));
        properties = properties.with_headers(headers);
    }
    properties
}
