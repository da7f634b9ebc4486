//! One connection that takes from one queue.

use super::address::Address;
use super::failure::Failure;
use super::link::{Link, within};
use super::receipt::SessionHandle;
use super::topology::Topology;
use crate::QueueOptions;
use crate::names::is_dead_letters;
use futures::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Whether a queue that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The first session: the caller named a queue that nobody declared.
    IsAnError,
    /// A later one: a broker that lost it gets it again.
    IsMade,
}

/// One connection that takes from one queue.
pub(super) struct ConsumeSession {
    pub(super) stream: lapin::Consumer,
    pub(super) handle: Arc<SessionHandle>,
    pub(super) dropped: mpsc::Receiver<Acker>,
    channel: Channel,
    // After the channel: a connection closes what is left of its channels.
    _link: Link,
}

impl ConsumeSession {
    /// Opens one that ends with its consumer at the latest.
    pub(super) async fn open(
        address: &Address,
        options: &QueueOptions,
        queue: &str,
        prefetch: u16,
        missing: Missing,
        consumer: &CancellationToken,
    ) -> Result<Self, Failure> {
        let link = Link::connect(address, options, "consumer").await?;
        let channel = link.channel(address).await?;
        let topology = Topology {
            channel: &channel,
            address,
            options,
        };
        match missing {
            Missing::IsAnError => drop(topology.look(queue).await?),
            Missing::IsMade => topology.queue(queue).await?,
        }
        let limit = options.timeouts.reply;
        let qos = channel.basic_qos(prefetch, BasicQosOptions { global: false });
        within(limit, address, qos).await?;
        let consume = BasicConsumeOptions::default();
        let stream = channel.basic_consume(queue.into(), "".into(), consume, FieldTable::default());
        let stream = within(limit, address, stream).await?;
        let (sender, dropped) = mpsc::channel(usize::from(prefetch).max(1));
        let handle = SessionHandle {
            // At once with the consumer's end: from then on an answer is late.
            lost: consumer.child_token(),
            dropped: sender,
            reply_limit: limit,
            dead_letters: is_dead_letters(queue),
        };
        Ok(Self {
            stream,
            handle: Arc::new(handle),
            dropped,
            channel,
            _link: link,
        })
    }

    /// Takes no more, and gives what came before the broker heard of it.
    pub(super) async fn stop(&mut self) -> Vec<lapin::message::Delivery> {
        let limit = self.handle.reply_limit;
        let cancel = self
            .channel
            .basic_cancel(self.stream.tag(), BasicCancelOptions::default());
        let mut rest = Vec::new();
        if !matches!(timeout(limit, cancel).await, Ok(Ok(()))) {
            self.handle.lost.cancel();
            return rest;
        }
        // The stream ends where the cancel was confirmed.
        while let Ok(Some(Ok(delivery))) = timeout(limit, self.stream.next()).await {
            rest.push(delivery);
        }
        rest
    }
}

impl Drop for ConsumeSession {
    fn drop(&mut self) {
        self.handle.lost.cancel();
    }
}
