//! The queues themselves: plain data and the rules of delivery, given the time.

use crate::names::{dead_letters, is_dead_letters};
use crate::{Message, QueueDepth, QueueError};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A message and how often it came back.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) message: Message,
    pub(super) redeliveries: u32,
}

/// What a consumer says to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Ack,
    Reject,
    Requeue,
}

/// What a consumer that asks for a message gets.
#[derive(Debug)]
pub(super) enum Taken {
    Entry {
        tag: u64,
        entry: Entry,
    },
    /// Nothing now: something may be there after a change of the queue, or at this time.
    Wait(Option<Instant>),
}

/// One consumer's session.
#[derive(Debug, Default)]
struct Session {
    held: HashMap<u64, Entry>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<Entry>,
    /// By due time, then in the order of publishing.
    delayed: BTreeMap<(Instant, u64), Message>,
    sessions: HashMap<u64, Session>,
    changed: Arc<Notify>,
}

impl Queue {
    fn mature(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let message = first.remove();
            self.ready.push_back(Entry {
                message,
                redeliveries: 0,
            });
        }
    }
}

/// All queues.
#[derive(Debug)]
pub(super) struct State {
    delivery_limit: u32,
    queues: HashMap<String, Queue>,
    /// Numbers sessions, deliveries and delayed messages.
    last_number: u64,
}

impl State {
    pub(super) fn new(delivery_limit: u32) -> Self {
        Self {
            delivery_limit,
            queues: HashMap::new(),
            last_number: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn queue(&mut self, action: &'static str, name: &str) -> Result<&mut Queue, QueueError> {
        let queue = self.queues.get_mut(name);
        queue.ok_or_else(|| QueueError::not_declared(action, name))
    }

    pub(super) fn declare(&mut self, name: &str) {
        if !is_dead_letters(name) {
            self.queues.entry(dead_letters(name)).or_default();
        }
        self.queues.entry(name.to_owned()).or_default();
    }

    /// Puts a message in, to be delivered from `due` on.
    pub(super) fn publish(&mut self, name: &str, message: Message, due: Option<Instant>) -> Result<(), QueueError> {
        let number = self.number();
        let queue = self.queue("publish to", name)?;
        match due {
            Some(due) => {
                queue.delayed.insert((due, number), message);
            }
            None => queue.ready.push_back(Entry {
                message,
                redeliveries: 0,
            }),
        }
        queue.changed.notify_waiters();
        Ok(())
    }

    pub(super) fn depth(&mut self, name: &str, now: Instant) -> Result<QueueDepth, QueueError> {
        let queue = self.queue("measure", name)?;
        queue.mature(now);
        let consumers = queue.sessions.values().filter(|session| !session.stopped).count();
        Ok(QueueDepth {
            ready: queue.ready.len() as u64,
            consumers: consumers as u64,
        })
    }

    /// Opens a session, and gives its number and what tells of changes of its queue.
    pub(super) fn open_session(&mut self, name: &str) -> Result<(u64, Arc<Notify>), QueueError> {
        let number = self.number();
        let queue = self.queue("consume from", name)?;
        queue.sessions.insert(number, Session::default());
        Ok((number, Arc::clone(&queue.changed)))
    }

    pub(super) fn stop_session(&mut self, name: &str, session: u64) {
        let queue = self.queues.get_mut(name);
        if let Some(session) = queue.and_then(|queue| queue.sessions.get_mut(&session)) {
            session.stopped = true;
        }
    }

    /// Ends a session: what it holds goes back, and the deliveries count.
    pub(super) fn close_session(&mut self, name: &str, session: u64) {
        let queue = self.queues.get_mut(name);
        let Some(ended) = queue.and_then(|queue| queue.sessions.remove(&session)) else {
            return;
        };
        let mut held: Vec<_> = ended.held.into_iter().collect();
        // The newest first, so that the oldest ends at the front of the queue.
        held.sort_unstable_by_key(|(tag, _)| std::cmp::Reverse(*tag));
        for (_, entry) in held {
            self.hand_back(name, entry);
        }
    }

    pub(super) fn take(&mut self, name: &str, session: u64, prefetch: u16, now: Instant) -> Taken {
        let tag = self.number();
        let Some(queue) = self.queues.get_mut(name) else {
            return Taken::Wait(None);
        };
        queue.mature(now);
        let Some(session) = queue.sessions.get_mut(&session) else {
            return Taken::Wait(None);
        };
        if session.stopped || session.held.len() >= usize::from(prefetch) {
            return Taken::Wait(None);
        }
        match queue.ready.pop_front() {
            Some(entry) => {
                session.held.insert(tag, entry.clone());
                Taken::Entry { tag, entry }
            }
            None => Taken::Wait(queue.delayed.first_key_value().map(|(key, _)| key.0)),
        }
    }

    pub(super) fn answer(&mut self, name: &str, session: u64, tag: u64, answer: Answer) -> Result<(), QueueError> {
        let queue = self.queues.get_mut(name).ok_or(QueueError::SessionLost)?;
        let session = queue.sessions.get_mut(&session).ok_or(QueueError::SessionLost)?;
        let entry = session.held.remove(&tag).ok_or(QueueError::SessionLost)?;
        // Its session has room for another.
        queue.changed.notify_waiters();
        match answer {
            Answer::Ack => {}
            Answer::Reject if !is_dead_letters(name) => self.bury(name, entry),
            Answer::Reject | Answer::Requeue => self.hand_back(name, entry),
        }
        Ok(())
    }

    fn hand_back(&mut self, name: &str, mut entry: Entry) {
        entry.redeliveries = entry.redeliveries.saturating_add(1);
        if entry.redeliveries > self.delivery_limit && !is_dead_letters(name) {
            self.bury(name, entry);
        } else if let Some(queue) = self.queues.get_mut(name) {
            queue.ready.push_front(entry);
            queue.changed.notify_waiters();
        }
    }

    fn bury(&mut self, name: &str, entry: Entry) {
        let dead = self.queues.entry(dead_letters(name)).or_default();
        dead.ready.push_back(Entry {
            redeliveries: 0,
            ..entry
        });
        dead.changed.notify_waiters();
    }
}
