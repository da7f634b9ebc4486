//! One connection for publishing: its channels, each lent to one call at a time, and the broker's alarms.

use super::address::Address;
use super::failure::Failure;
use super::link::{Link, within};
use super::topology::Topology;
use crate::QueueOptions;
use futures::StreamExt;
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Event};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::task::AbortOnDropHandle;

/// Whether the broker takes messages from this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    Blocked,
    Closed,
}

/// One connection for publishing.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    reply_limit: Duration,
    idle: Mutex<Vec<Channel>>,
    flow: watch::Receiver<Flow>,
    /// Delay queues and topics that were declared in this session.
    made: Mutex<HashSet<String>>,
    _watcher: AbortOnDropHandle<()>,
}

impl Session {
    pub(super) async fn open(address: &Address, options: &QueueOptions) -> Result<Self, Failure> {
        let link = Link::connect(address, options, "publisher").await?;
        let connection = link.connection().ok_or_else(Failure::closed)?;
        let (events, status) = (connection.events_listener(), connection.status().clone());
        let (sender, flow) = watch::channel(Flow::Open);
        let broker = address.to_string();
        let watcher = tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(%broker, %reason, "the broker has an alarm and takes no messages");
                        sender.send_replace(Flow::Blocked);
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!(%broker, "the broker takes messages again");
                        sender.send_replace(Flow::Open);
                    }
                    // A channel's error is an event of its connection too.
                    Event::Error(_) if !status.connected() => {
                        sender.send_replace(Flow::Closed);
                    }
                    _ => {}
                }
            }
        });
        Ok(Self {
            link,
            reply_limit: options.timeouts.reply,
            idle: Mutex::default(),
            flow,
            made: Mutex::default(),
            _watcher: AbortOnDropHandle::new(watcher),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Waits while the broker takes no messages.
    pub(super) async fn wait_for_alarms(&self) -> Result<(), Failure> {
        let mut flow = self.flow.clone();
        let seen = flow.wait_for(|flow| *flow != Flow::Blocked).await;
        match seen.as_deref() {
            Ok(Flow::Open) => Ok(()),
            _ => Err(Failure::closed()),
        }
    }

    /// Declares a queue on a channel of its own, which a refusal closes.
    pub(super) async fn declare(&self, address: &Address, options: &QueueOptions, queue: &str) -> Result<(), Failure> {
        let channel = self.link.channel(address).await?;
        let topology = Topology {
            channel: &channel,
            address,
            options,
        };
        topology.queue(queue).await
    }

    pub(super) fn has_made(&self, name: &str) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    pub(super) fn made(&self, name: &str) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(name.to_owned());
    }

    pub(super) fn forget(&self, name: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    async fn channel(&self, address: &Address) -> Result<Channel, Failure> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(channel) if channel.status().connected() => return Ok(channel),
                Some(_) => {}
                None => break,
            }
        }
        let channel = self.link.channel(address).await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        within(self.reply_limit, address, confirms).await?;
        Ok(channel)
    }
}

/// A channel lent to one call. One that is not given back is closed: a late answer on it would be taken for another's.
#[derive(Debug)]
pub(super) struct Lease {
    session: Arc<Session>,
    channel: Channel,
    _place: OwnedSemaphorePermit,
}

impl Lease {
    pub(super) async fn new(
        session: Arc<Session>,
        address: &Address,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Failure> {
        let channel = session.channel(address).await?;
        Ok(Self {
            session,
            channel,
            _place: place,
        })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn topology<'a>(&'a self, address: &'a Address, options: &'a QueueOptions) -> Topology<'a> {
        Topology {
            channel: &self.channel,
            address,
            options,
        }
    }

    /// For the next call; only after this one was answered in full.
    pub(super) fn give_back(self) {
        let mut idle = self.session.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.channel);
    }
}
