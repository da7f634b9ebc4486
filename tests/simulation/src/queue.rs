//! The queue seam of one process: sessions that are lost, answers that do not arrive.

use crate::broker::{Answer, Broker, DELIVERY_LIMIT, Taken};
use crate::bugs::{self, Bug};
use crate::monitor::Monitor;
use crate::process::Process;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::message::queues;
use sightline_queue::{Consumer, Delivery, JobQueue, Message, QueueDepth, QueueError, Receipt, Subscription};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;

/// The broker as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) broker: Arc<Broker>,
    pub(crate) process: Arc<Process>,
    pub(crate) monitor: Arc<Monitor>,
}

fn away(action: &'static str, queue: &str) -> impl Fn() -> QueueError + Send {
    let queue = queue.to_owned();
    move || QueueError::Unavailable {
        action,
        queue: queue.clone(),
        message: "no answer, as the simulation has it".into(),
    }
}

#[async_trait]
impl JobQueue for Connection {
    fn delivery_limit(&self) -> u32 {
        DELIVERY_LIMIT
    }

    async fn declare(&self, queue: &str) -> Result<(), QueueError> {
        let (broker, name) = (Arc::clone(&self.broker), queue.to_owned());
        let effect = move || {
            broker.declare(&name);
            Ok(())
        };
        let what = format!("declare {queue}");
        self.process.call(what, away("declare", queue), effect).await
    }

    async fn publish(&self, queue: &str, message: Message) -> Result<(), QueueError> {
        self.publish_after(queue, message, Duration::ZERO).await
    }

    async fn publish_after(&self, queue: &str, message: Message, delay: Duration) -> Result<(), QueueError> {
        let (broker, name) = (Arc::clone(&self.broker), queue.to_owned());
        let what = format!("publish {} to {queue} after {delay:?}", message.id);
        let effect = move || broker.publish(&name, &message, delay);
        self.process.call(what, away("publish to", queue), effect).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        self.process.live().await;
        let session = self.broker.open(queue, prefetch, &self.process.name)?;
        Ok(Box::new(SimulatedConsumer {
            connection: self.clone(),
            queue: queue.into(),
            prefetch,
            session: Arc::new(AtomicU64::new(session)),
            stopped: false,
        }))
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        let (broker, name) = (Arc::clone(&self.broker), queue.to_owned());
        let effect = move || broker.depth(&name);
        let what = format!("depth {queue}");
        self.process.call(what, away("measure", queue), effect).await
    }

    async fn broadcast(&self, topic: &str, body: Bytes) -> Result<(), QueueError> {
        let (broker, name) = (Arc::clone(&self.broker), topic.to_owned());
        let effect = move || {
            broker.broadcast(&name, body);
            Ok(())
        };
        let what = format!("broadcast to {topic}");
        self.process.call(what, away("broadcast to", topic), effect).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>, QueueError> {
        self.process.live().await;
        Ok(Box::new(SimulatedSubscription {
            process: Arc::clone(&self.process),
            from: self.broker.subscribe(topic),
        }))
    }
}

#[derive(Debug)]
struct SimulatedConsumer {
    connection: Connection,
    queue: String,
    prefetch: u16,
    session: Arc<AtomicU64>,
    stopped: bool,
}

impl SimulatedConsumer {
    /// The session in which to take, opened again where it was lost.
    fn session(&self) -> Result<u64, QueueError> {
        let Connection { broker, process, .. } = &self.connection;
        let world = &process.world;
        let session = self.session.load(Ordering::Relaxed);
        if session != 0 && world.fault(world.rates.lose_session) {
            world.count("lost_sessions");
            world.note(format!("{} loses its session at {}", process.name, self.queue));
            broker.close(&self.queue, session);
            self.session.store(0, Ordering::Relaxed);
        }
        match self.session.load(Ordering::Relaxed) {
            0 => {
                let session = broker.open(&self.queue, self.prefetch, &process.name)?;
                self.session.store(session, Ordering::Relaxed);
                Ok(session)
            }
            session => Ok(session),
        }
    }

    fn hand_out(&self, session: u64, tag: u64, message: Message, redeliveries: u32) -> Delivery {
        let connection = &self.connection;
        let name = &connection.process.name;
        let world = &connection.process.world;
        world.note(format!("{name} takes {} ({redeliveries} times before)", message.id));
        connection.monitor.delivered(name, &self.queue, &message);
        bugs::delivered(connection, &self.queue, &message);
        let receipt = SimulatedReceipt {
            connection: connection.clone(),
            queue: self.queue.clone(),
            session: Arc::clone(&self.session),
            of: session,
            tag,
            id: message.id.clone(),
            answered: false,
        };
        let early = match world.bug {
            Some(Bug::AckBeforeUpsert) => self.queue != queues::PLAN,
            Some(Bug::AckBeforePublish) => self.queue == queues::PLAN,
            _ => false,
        };
        if early {
            let broker = &connection.broker;
            let acked = broker.answer(&self.queue, session, tag, Answer::Ack, &connection.monitor);
            drop(acked);
        }
        Delivery {
            message,
            redeliveries,
            receipt: Box::new(receipt),
        }
    }
}

#[async_trait]
impl Consumer for SimulatedConsumer {
    async fn next(&mut self) -> Result<Delivery, QueueError> {
        let Connection { broker, process, .. } = self.connection.clone();
        loop {
            process.pause().await;
            if self.stopped {
                return std::future::pending().await;
            }
            let mut changed = std::pin::pin!(broker.changed.notified());
            changed.as_mut().enable();
            let session = self.session()?;
            match broker.take(&self.queue, session) {
                Taken::Message {
                    tag,
                    message,
                    redeliveries,
                } => return Ok(self.hand_out(session, tag, message, redeliveries)),
                Taken::Lost => self.session.store(0, Ordering::Relaxed),
                Taken::Wait(None) => changed.await,
                Taken::Wait(Some(due)) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(due) => {}
                },
            }
        }
    }

    async fn stop(&mut self) -> Vec<Delivery> {
        self.stopped = true;
        let broker = &self.connection.broker;
        broker.stop(&self.queue, self.session.load(Ordering::Relaxed));
        Vec::new()
    }
}

impl Drop for SimulatedConsumer {
    fn drop(&mut self) {
        let session = self.session.load(Ordering::Relaxed);
        self.connection.broker.close(&self.queue, session);
    }
}

#[derive(Debug)]
struct SimulatedReceipt {
    connection: Connection,
    queue: String,
    /// The consumer's session now, and the one of the delivery.
    session: Arc<AtomicU64>,
    of: u64,
    tag: u64,
    id: String,
    answered: bool,
}

impl SimulatedReceipt {
    async fn answer(&mut self, answer: Answer) -> Result<(), QueueError> {
        self.answered = true;
        let Connection {
            broker,
            process,
            monitor,
        } = self.connection.clone();
        let (queue, of, tag) = (self.queue.clone(), self.of, self.tag);
        let early = matches!(
            (process.world.bug, queue.as_str() == queues::PLAN),
            (Some(Bug::AckBeforeUpsert), false) | (Some(Bug::AckBeforePublish), true)
        );
        let effect = {
            let broker = Arc::clone(&broker);
            move || match broker.answer(&queue, of, tag, answer, &monitor) {
                Err(_) if early => Ok(()),
                answered => answered,
            }
        };
        let what = format!("{answer:?} {}", self.id);
        let answered = process.call(what, away("answer", &self.queue), effect).await;
        if matches!(answered, Err(QueueError::Unavailable { .. })) {
            // An answer that does not arrive is a connection that is gone.
            broker.close(&self.queue, of);
            if self.session.load(Ordering::Relaxed) == of {
                self.session.store(0, Ordering::Relaxed);
            }
            return Err(QueueError::SessionLost);
        }
        answered
    }
}

#[async_trait]
impl Receipt for SimulatedReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        self.answer(Answer::Ack).await
    }

    async fn reject(mut self: Box<Self>) -> Result<(), QueueError> {
        self.answer(Answer::Reject).await
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), QueueError> {
        self.answer(Answer::Requeue).await
    }
}

impl Drop for SimulatedReceipt {
    fn drop(&mut self) {
        if !self.answered {
            let Connection { broker, monitor, .. } = &self.connection;
            // Where the session is gone the message went back with it.
            drop(broker.answer(&self.queue, self.of, self.tag, Answer::Requeue, monitor));
        }
    }
}

#[derive(Debug)]
struct SimulatedSubscription {
    process: Arc<Process>,
    from: broadcast::Receiver<Bytes>,
}

#[async_trait]
impl Subscription for SimulatedSubscription {
    async fn next(&mut self) -> Result<Bytes, QueueError> {
        loop {
            self.process.live().await;
            match self.from.recv().await {
                Ok(body) => return Ok(body),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
