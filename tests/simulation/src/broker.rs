//! A broker's queues: the rules of delivery of `sightline_queue::JobQueue`, as plain data that a test can look into.

use crate::monitor::Monitor;
use crate::world::World;
use bytes::Bytes;
use sightline_queue::{Message, QueueDepth, QueueError, dead_letters};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

/// Redeliveries before a message goes to the dead letters.
pub(crate) const DELIVERY_LIMIT: u32 = 20;
const DELAY_STEPS: [u64; 4] = [1, 5, 15, 60];

#[derive(Debug, Clone)]
struct Entry {
    message: Message,
    redeliveries: u32,
}

#[derive(Debug)]
struct Session {
    process: String,
    prefetch: usize,
    held: BTreeMap<u64, Entry>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Queue {
    ready: Vec<Entry>,
    delayed: Vec<(Instant, Entry)>,
    sessions: BTreeMap<u64, Session>,
}

#[derive(Debug, Default)]
struct Queues {
    by_name: BTreeMap<String, Queue>,
    topics: BTreeMap<String, broadcast::Sender<Bytes>>,
    numbers: u64,
}

/// What a session gets when it asks for a message.
pub(crate) enum Taken {
    Message {
        tag: u64,
        message: Message,
        redeliveries: u32,
    },
    /// Nothing now; perhaps then.
    Wait(Option<Instant>),
    /// The session is gone.
    Lost,
}

/// How a delivery is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Ack,
    Reject,
    Requeue,
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) world: Arc<World>,
    queues: Mutex<Queues>,
    pub(crate) changed: Notify,
}

impl Broker {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            queues: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn declare(&self, queue: &str) {
        let mut queues = self.lock();
        for name in [queue.to_owned(), dead_letters(queue)] {
            queues.by_name.entry(name).or_default();
        }
    }

    /// Takes a message, now and then twice, now and then for later.
    pub(crate) fn publish(&self, queue: &str, message: &Message, delay: Duration) -> Result<(), QueueError> {
        let world = &self.world;
        let copies = if world.fault(world.rates.duplicate) {
            world.count("duplicates");
            2
        } else {
            1
        };
        let step = DELAY_STEPS
            .into_iter()
            .map(Duration::from_secs)
            .find(|step| *step >= delay);
        let step = step.unwrap_or(Duration::from_secs(60));
        let mut queues = self.lock();
        let found = queues.by_name.get_mut(queue).ok_or_else(|| unknown(queue))?;
        for _ in 0..copies {
            let mut due = if delay.is_zero() { Duration::ZERO } else { step };
            if world.fault(world.rates.reorder / 4.0) {
                world.count("held_up");
                due += world.millis(1, 20_000);
            }
            let entry = Entry {
                message: message.clone(),
                redeliveries: 0,
            };
            if due.is_zero() {
                found.ready.push(entry);
            } else {
                found.delayed.push((Instant::now() + due, entry));
            }
        }
        drop(queues);
        self.changed.notify_waiters();
        Ok(())
    }

    pub(crate) fn open(&self, queue: &str, prefetch: u16, process: &str) -> Result<u64, QueueError> {
        let mut queues = self.lock();
        queues.numbers += 1;
        let number = queues.numbers;
        let found = queues.by_name.get_mut(queue).ok_or_else(|| unknown(queue))?;
        let session = Session {
            process: process.into(),
            prefetch: usize::from(prefetch),
            held: BTreeMap::new(),
            stopped: false,
        };
        found.sessions.insert(number, session);
        Ok(number)
    }

    pub(crate) fn stop(&self, queue: &str, session: u64) {
        if let Some(session) = self
            .lock()
            .by_name
            .get_mut(queue)
            .and_then(|queue| queue.sessions.get_mut(&session))
        {
            session.stopped = true;
        }
    }

    /// Ends a session: what it holds is delivered again.
    pub(crate) fn close(&self, queue: &str, session: u64) {
        let mut queues = self.lock();
        let Some(session) = queues
            .by_name
            .get_mut(queue)
            .and_then(|queue| queue.sessions.remove(&session))
        else {
            return;
        };
        for (_, entry) in session.held {
            queues.hand_back(queue, entry);
        }
        drop(queues);
        self.changed.notify_waiters();
    }

    /// Ends all that a dead process had open.
    pub(crate) fn close_all_of(&self, process: &str) {
        let open: Vec<(String, u64)> = {
            let queues = self.lock();
            let sessions = queues.by_name.iter().flat_map(|(name, queue)| {
                let of = queue.sessions.iter().filter(|(_, session)| session.process == process);
                of.map(|(number, _)| (name.clone(), *number))
            });
            sessions.collect()
        };
        for (queue, session) in open {
            self.close(&queue, session);
        }
    }

    pub(crate) fn take(&self, queue: &str, session: u64) -> Taken {
        let now = Instant::now();
        let mut queues = self.lock();
        queues.numbers += 1;
        let tag = queues.numbers;
        let Some(found) = queues.by_name.get_mut(queue) else {
            return Taken::Lost;
        };
        found.mature(now);
        let Some(open) = found.sessions.get_mut(&session) else {
            return Taken::Lost;
        };
        if open.stopped || open.held.len() >= open.prefetch {
            return Taken::Wait(None);
        }
        if found.ready.is_empty() {
            return Taken::Wait(found.delayed.iter().map(|(due, _)| *due).min());
        }
        let mut at = 0;
        if found.ready.len() > 1 && self.world.fault(self.world.rates.reorder) {
            self.world.count("reorderings");
            at = usize::try_from(self.world.below(found.ready.len() as u64)).unwrap_or_default();
        }
        let entry = found.ready.remove(at);
        open.held.insert(tag, entry.clone());
        Taken::Message {
            tag,
            message: entry.message,
            redeliveries: entry.redeliveries,
        }
    }

    /// Answers a delivery. The monitor looks at what an ack leaves behind.
    pub(crate) fn answer(
        &self,
        queue: &str,
        session: u64,
        tag: u64,
        answer: Answer,
        monitor: &Monitor,
    ) -> Result<(), QueueError> {
        let mut queues = self.lock();
        let found = queues.by_name.get_mut(queue).ok_or(QueueError::SessionLost)?;
        let open = found.sessions.get_mut(&session).ok_or(QueueError::SessionLost)?;
        let entry = open.held.remove(&tag).ok_or(QueueError::SessionLost)?;
        match answer {
            Answer::Ack => {}
            Answer::Reject => queues.bury(queue, entry.clone()),
            Answer::Requeue => queues.hand_back(queue, entry.clone()),
        }
        drop(queues);
        if answer == Answer::Ack {
            monitor.acked(self, queue, &entry.message);
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Whether a message of this id waits, for a delay or a consumer, is in somebody's hands, or a dead letter.
    pub(crate) fn holds(&self, queue: &str, id: &str) -> bool {
        let queues = self.lock();
        let found = [queue.to_owned(), dead_letters(queue)];
        found.iter().filter_map(|queue| queues.by_name.get(queue)).any(|queue| {
            let held = queue.sessions.values().flat_map(|session| session.held.values());
            let waiting = queue.ready.iter().chain(queue.delayed.iter().map(|(_, entry)| entry));
            waiting.chain(held).any(|entry| entry.message.id == id)
        })
    }

    /// Messages that are not acked, and dead letters.
    pub(crate) fn left(&self) -> (usize, usize) {
        let queues = self.lock();
        let left = |queue: &Queue| {
            let held: usize = queue.sessions.values().map(|session| session.held.len()).sum();
            queue.ready.len() + queue.delayed.len() + held
        };
        let (mut all, mut dead) = (0, 0);
        for (name, queue) in &queues.by_name {
            *(if is_dead(name) { &mut dead } else { &mut all }) += left(queue);
        }
        (all, dead)
    }

    /// Loses everything but the queues' names.
    pub(crate) fn wipe(&self) {
        let mut queues = self.lock();
        for queue in queues.by_name.values_mut() {
            *queue = Queue::default();
        }
        drop(queues);
        self.changed.notify_waiters();
    }

    pub(crate) fn depth(&self, queue: &str) -> Result<QueueDepth, QueueError> {
        let mut queues = self.lock();
        let found = queues.by_name.get_mut(queue).ok_or_else(|| unknown(queue))?;
        found.mature(Instant::now());
        let taking = found.sessions.values().filter(|session| !session.stopped).count();
        Ok(QueueDepth {
            ready: found.ready.len() as u64,
            consumers: taking as u64,
        })
    }

    pub(crate) fn broadcast(&self, topic: &str, body: Bytes) {
        if let Some(listeners) = self.lock().topics.get(topic) {
            // An error says that nobody listens any more.
            drop(listeners.send(body));
        }
    }

    pub(crate) fn subscribe(&self, topic: &str) -> broadcast::Receiver<Bytes> {
        let mut queues = self.lock();
        let listeners = queues.topics.entry(topic.into());
        listeners.or_insert_with(|| broadcast::channel(64).0).subscribe()
    }
}

impl Queue {
    fn mature(&mut self, now: Instant) {
        let mut later = Vec::new();
        for (due, entry) in std::mem::take(&mut self.delayed) {
            if due <= now {
                self.ready.push(entry);
            } else {
                later.push((due, entry));
            }
        }
        self.delayed = later;
    }
}

impl Queues {
    fn hand_back(&mut self, queue: &str, mut entry: Entry) {
        entry.redeliveries += 1;
        if entry.redeliveries > DELIVERY_LIMIT && !is_dead(queue) {
            self.bury(queue, entry);
        } else if let Some(found) = self.by_name.get_mut(queue) {
            found.ready.insert(0, entry);
        }
    }

    /// Puts a message into a queue's dead letters; one that lies there goes back.
    fn bury(&mut self, queue: &str, entry: Entry) {
        let dead = if is_dead(queue) {
            queue.to_owned()
        } else {
            dead_letters(queue)
        };
        let entry = Entry {
            redeliveries: 0,
            ..entry
        };
        self.by_name.entry(dead).or_default().ready.push(entry);
    }
}

pub(crate) fn is_dead(queue: &str) -> bool {
    queue.ends_with(&dead_letters(""))
}

fn unknown(queue: &str) -> QueueError {
    QueueError::Invalid {
        action: "use",
        queue: queue.into(),
        message: "there is no such queue: declare it first".into(),
    }
}
