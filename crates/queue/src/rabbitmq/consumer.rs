//! A consumer that outlives its sessions: a task of its own opens one after the other and passes on what they deliver.

use super::address::Address;
use super::consume_session::{ConsumeSession, Missing};
use super::receipt::{SessionHandle, delivery, refuse};
use super::trace::SYSTEM;
use crate::backoff::{Backoff, LONGEST};
use crate::{Consumer, Delivery, QueueError, QueueOptions, TrafficRecorder};
use async_trait::async_trait;
use futures::StreamExt;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

struct Item {
    delivery: Delivery,
    session: Arc<SessionHandle>,
}

type Output = Result<Item, QueueError>;
type StopRequest = oneshot::Sender<Vec<Delivery>>;

/// The caller's side of a consumer.
pub(super) struct RabbitConsumer {
    queue: String,
    output: mpsc::Receiver<Output>,
    stop: mpsc::Sender<StopRequest>,
    stopped: bool,
    traffic: TrafficRecorder,
    _end: DropGuard,
}

impl RabbitConsumer {
    /// Hands a first session to a task that keeps one open.
    pub(super) fn start(
        address: Address,
        options: Arc<QueueOptions>,
        queue: String,
        prefetch: u16,
        end: CancellationToken,
        first: ConsumeSession,
    ) -> Self {
        let (sender, output) = mpsc::channel(usize::from(prefetch));
        let (stop, stop_requests) = mpsc::channel(1);
        let traffic = options.traffic.clone();
        let task = Task {
            backoff: Backoff::new(options.jitter_seed),
            address,
            options,
            queue: queue.clone(),
            prefetch,
            end: end.clone(),
            output: sender,
            stop_requests,
        };
        tokio::spawn(task.run(first));
        Self {
            queue,
            output,
            stop,
            stopped: false,
            traffic,
            _end: end.drop_guard(),
        }
    }
}

impl fmt::Debug for RabbitConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitConsumer")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Result<Delivery, QueueError> {
        while !self.stopped {
            match self.output.recv().await {
                // The broker delivers it again: nobody should work on it twice.
                Some(Ok(item)) if item.session.lost.is_cancelled() => {}
                Some(Ok(item)) => {
                    self.traffic.delivered(SYSTEM, &self.queue);
                    return Ok(item.delivery);
                }
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        std::future::pending().await
    }

    async fn stop(&mut self) -> Vec<Delivery> {
        if std::mem::replace(&mut self.stopped, true) {
            return Vec::new();
        }
        let (reply, rest) = oneshot::channel();
        if self.stop.send(reply).await.is_err() {
            return Vec::new();
        }
        let rest = rest.await.unwrap_or_default();
        let mut all = Vec::new();
        // After the reply: the task sends nothing any more.
        while let Ok(output) = self.output.try_recv() {
            if let Ok(item) = output {
                all.push(item.delivery);
            }
        }
        all.extend(rest);
        for _ in &all {
            self.traffic.delivered(SYSTEM, &self.queue);
        }
        all
    }
}

/// How a session ended.
enum End {
    /// Nobody wants another.
    Done,
    Lost(String),
}

struct Task {
    address: Address,
    options: Arc<QueueOptions>,
    queue: String,
    prefetch: u16,
    backoff: Backoff,
    end: CancellationToken,
    output: mpsc::Sender<Output>,
    stop_requests: mpsc::Receiver<StopRequest>,
}

impl Task {
    async fn run(mut self, first: ConsumeSession) {
        let mut session = first;
        loop {
            let opened = Instant::now();
            let End::Lost(reason) = self.serve(session).await else {
                return;
            };
            tracing::warn!(queue = %self.queue, broker = %self.address, %reason, "lost a session: opening another");
            if opened.elapsed() > LONGEST {
                self.backoff.reset();
            }
            let Some(next) = self.reopen().await else {
                return;
            };
            tracing::info!(queue = %self.queue, broker = %self.address, "a new session is open");
            session = next;
        }
    }

    /// Passes on deliveries until the session or the consumer ends.
    async fn serve(&mut self, mut session: ConsumeSession) -> End {
        let handle = Arc::clone(&session.handle);
        let mut waiting = VecDeque::new();
        let mut stopped = false;
        loop {
            tokio::select! {
                // In this order: what is dropped together with the consumer must go back with it, once, and not come
                // again to a consumer that is about to end.
                biased;
                () = self.end.cancelled() => return End::Done,
                () = handle.lost.cancelled() => {
                    return if stopped { End::Done } else { End::Lost("an answer could not be sent".to_owned()) };
                }
                Some(reply) = self.stop_requests.recv(), if !stopped => {
                    stopped = true;
                    let rest = session.stop().await;
                    let mut all: Vec<_> = waiting.drain(..).collect();
                    all.extend(rest.into_iter().map(|one| delivery(&handle, one)));
                    // Where nobody waits for the reply, what it holds is dropped, and so handed back.
                    drop(reply.send(all));
                }
                Some(acker) = session.dropped.recv() => {
                    if refuse(&acker, handle.reply_limit, true).await.is_err() {
                        handle.lost.cancel();
                    }
                }
                place = self.output.reserve(), if !waiting.is_empty() => {
                    let (Ok(place), Some(delivery)) = (place, waiting.pop_front()) else {
                        return End::Done;
                    };
                    place.send(Ok(Item { delivery, session: Arc::clone(&handle) }));
                }
                next = session.stream.next(), if !stopped => match next {
                    Some(Ok(one)) => waiting.push_back(delivery(&handle, one)),
                    Some(Err(error)) => return End::Lost(self.address.scrub(&error.to_string())),
                    None => return End::Lost("the broker ended the consumer".to_owned()),
                },
            }
        }
    }

    /// The next session, after as many attempts as it takes; none where the consumer ends first.
    async fn reopen(&mut self) -> Option<ConsumeSession> {
        loop {
            let delay = self.backoff.next_delay();
            tokio::select! {
                () = self.end.cancelled() => return None,
                Some(reply) = self.stop_requests.recv() => {
                    drop(reply.send(Vec::new()));
                    return None;
                }
                () = sleep(delay) => {}
            }
            let (address, options, queue) = (&self.address, &self.options, &self.queue);
            let attempt = ConsumeSession::open(address, options, queue, self.prefetch, Missing::IsMade, &self.end);
            let failure = tokio::select! {
                () = self.end.cancelled() => return None,
                opened = attempt => match opened {
                    Ok(session) => return Some(session),
                    Err(failure) => failure,
                },
            };
            tracing::debug!(%queue, broker = %address, reason = failure.message(), "could not open a session");
            if failure.permanent {
                // Where the caller has not read the last one it need not read the same again.
                drop(self.output.try_send(Err(failure.at("consume from", queue))));
            }
        }
    }
}
