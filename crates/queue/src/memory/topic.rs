//! Broadcasts inside a process.

use crate::{QueueError, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Broadcasts that a listener may be behind; older ones are lost to it.
const BACKLOG: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Topics(Mutex<HashMap<String, Sender<Bytes>>>);

impl Topics {
    pub(super) fn send(&self, topic: &str, body: Bytes) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(topic) {
            // An error says that nobody listens any more.
            drop(sender.send(body));
        }
    }

    pub(super) fn subscribe(&self, topic: String) -> MemorySubscription {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = topics.entry(topic).or_insert_with(|| broadcast::channel(BACKLOG).0);
        MemorySubscription(sender.subscribe())
    }
}

#[derive(Debug)]
pub(super) struct MemorySubscription(Receiver<Bytes>);

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Result<Bytes, QueueError> {
        loop {
            match self.0.recv().await {
                Ok(body) => return Ok(body),
                Err(RecvError::Lagged(_)) => {}
                // The queue itself was dropped: nothing can come any more.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
