//! Listening to a topic: a queue of one's own at a fanout exchange, made again with every session.

use super::address::Address;
use super::failure::Failure;
use super::link::{Link, within};
use super::topology::Topology;
use crate::backoff::{Backoff, LONGEST};
use crate::{QueueError, QueueOptions, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Broadcasts that a listener may be behind in this process; more wait in the broker, which drops the oldest.
const WINDOW: u16 = 256;

/// One connection that listens.
pub(super) struct ListenSession {
    stream: lapin::Consumer,
    // Held: dropping them ends the session, the channel first.
    _channel: Channel,
    _link: Link,
}

impl ListenSession {
    pub(super) async fn open(address: &Address, options: &QueueOptions, topic: &str) -> Result<Self, Failure> {
        let link = Link::connect(address, options, "listener").await?;
        let channel = link.channel(address).await?;
        let topology = Topology {
            channel: &channel,
            address,
            options,
        };
        topology.topic(topic).await?;
        let queue = topology.listener(topic).await?;
        let limit = options.timeouts.reply;
        let qos = channel.basic_qos(WINDOW, BasicQosOptions { global: false });
        within(limit, address, qos).await?;
        let consume = BasicConsumeOptions::default();
        let stream = channel.basic_consume(queue.into(), "".into(), consume, FieldTable::default());
        Ok(Self {
            stream: within(limit, address, stream).await?,
            _channel: channel,
            _link: link,
        })
    }
}

/// The caller's side of a subscription.
pub(super) struct RabbitSubscription {
    topic: String,
    output: mpsc::Receiver<Result<Bytes, QueueError>>,
    _end: DropGuard,
}

impl RabbitSubscription {
    /// Hands a first session to a task that keeps one open.
    pub(super) fn start(address: Address, options: Arc<QueueOptions>, topic: String, first: ListenSession) -> Self {
        let (sender, output) = mpsc::channel(usize::from(WINDOW));
        let end = CancellationToken::new();
        let task = Task {
            backoff: Backoff::new(options.jitter_seed),
            address,
            options,
            topic: topic.clone(),
            output: sender,
        };
        let ended = end.clone();
        tokio::spawn(async move { ended.run_until_cancelled(task.run(first)).await });
        Self {
            topic,
            output,
            _end: end.drop_guard(),
        }
    }
}

impl fmt::Debug for RabbitSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitSubscription")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Subscription for RabbitSubscription {
    async fn next(&mut self) -> Result<Bytes, QueueError> {
        match self.output.recv().await {
            Some(broadcast) => broadcast,
            // The task ended with the runtime.
            None => std::future::pending().await,
        }
    }
}

struct Task {
    address: Address,
    options: Arc<QueueOptions>,
    topic: String,
    backoff: Backoff,
    output: mpsc::Sender<Result<Bytes, QueueError>>,
}

impl Task {
    async fn run(mut self, first: ListenSession) {
        let mut session = first;
        loop {
            let opened = Instant::now();
            self.serve(session).await;
            tracing::warn!(topic = %self.topic, broker = %self.address, "lost a session: opening another");
            if opened.elapsed() > LONGEST {
                self.backoff.reset();
            }
            session = self.reopen().await;
        }
    }

    async fn serve(&self, mut session: ListenSession) {
        while let Some(Ok(delivery)) = session.stream.next().await {
            if self.output.send(Ok(Bytes::from(delivery.data))).await.is_err() {
                return;
            }
            // Only now, so that the broker sends no more than is taken.
            let ack = delivery.acker.ack(BasicAckOptions::default());
            if !matches!(timeout(self.options.timeouts.reply, ack).await, Ok(Ok(true))) {
                return;
            }
        }
    }

    async fn reopen(&mut self) -> ListenSession {
        loop {
            let delay = self.backoff.next_delay();
            sleep(delay).await;
            match ListenSession::open(&self.address, &self.options, &self.topic).await {
                Ok(session) => return session,
                Err(failure) if failure.permanent => {
                    let error = failure.at("subscribe to", &self.topic);
                    // Where the caller has not read the last one it need not read the same again.
                    drop(self.output.try_send(Err(error)));
                }
                Err(failure) => {
                    let reason = failure.message();
                    tracing::debug!(topic = %self.topic, broker = %self.address, reason, "could not open a session");
                }
            }
        }
    }
}
