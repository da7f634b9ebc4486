//! One consumer of an in-process queue, and the receipts of what it takes.

use super::Shared;
use super::state::{Answer, Taken};
use crate::seam::IN_PROCESS;
use crate::{Consumer, Delivery, QueueError, Receipt, TrafficRecorder};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A session at one queue. It takes a message when it is asked for one, so nothing waits in it unseen.
pub(super) struct MemoryConsumer {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<str>,
    pub(super) session: u64,
    pub(super) prefetch: u16,
    pub(super) changed: Arc<Notify>,
    pub(super) traffic: TrafficRecorder,
}

impl fmt::Debug for MemoryConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConsumer")
            .field("queue", &self.queue)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Delivery, QueueError> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the look, or a change between look and wait would go unheard.
            changed.as_mut().enable();
            let taken = self
                .shared
                .lock()
                .take(&self.queue, self.session, self.prefetch, Instant::now());
            match taken {
                Taken::Entry { tag, entry } => {
                    self.traffic.delivered(IN_PROCESS, &self.queue);
                    return Ok(Delivery {
                        message: entry.message,
                        redeliveries: entry.redeliveries,
                        receipt: Box::new(MemoryReceipt {
                            shared: Arc::clone(&self.shared),
                            queue: Arc::clone(&self.queue),
                            session: self.session,
                            tag,
                            answered: false,
                        }),
                    });
                }
                Taken::Wait(None) => changed.await,
                Taken::Wait(Some(due)) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    async fn stop(&mut self) -> Vec<Delivery> {
        self.shared.lock().stop_session(&self.queue, self.session);
        Vec::new()
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.shared.lock().close_session(&self.queue, self.session);
    }
}

struct MemoryReceipt {
    shared: Arc<Shared>,
    queue: Arc<str>,
    session: u64,
    tag: u64,
    answered: bool,
}

impl MemoryReceipt {
    fn answer(&mut self, answer: Answer) -> Result<(), QueueError> {
        self.answered = true;
        let mut state = self.shared.lock();
        state.answer(&self.queue, self.session, self.tag, answer)
    }
}

impl fmt::Debug for MemoryReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReceipt")
            .field("queue", &self.queue)
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Receipt for MemoryReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        self.answer(Answer::Ack)
    }

    async fn reject(mut self: Box<Self>) -> Result<(), QueueError> {
        self.answer(Answer::Reject)
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), QueueError> {
        self.answer(Answer::Requeue)
    }
}

impl Drop for MemoryReceipt {
    fn drop(&mut self) {
        if !self.answered {
            // Where the session is gone the message went back with it.
            drop(self.answer(Answer::Requeue));
        }
    }
}
