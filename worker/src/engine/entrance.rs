//! Who enters the pipeline next: of the works that wait, the one that the worker has had longest.

use crate::ipc::WorkId;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Lets one in at a time: of those who wait the one with the oldest work, and of one work who came first. Shards that shared
/// the places would all end at once, and then all wait at once for lookups and results; and items that enter together would
/// wait for each other's places.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    state: Mutex<State>,
    changed: Notify,
}

/// Numbers of works grow. The second number tells the parts of one work apart.
type Ticket = (WorkId, u64);

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: BTreeSet<Ticket>,
    next: u64,
}

/// One who is let in until this is dropped.
#[derive(Debug)]
pub(crate) struct Entering<'a> {
    entrance: &'a Entrance,
    ticket: Ticket,
}

/// One who waits until this is dropped.
struct Waits<'a> {
    entrance: &'a Entrance,
    ticket: Ticket,
}

impl Entrance {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a part of a work. Who gives up waiting keeps nobody out.
    pub(crate) async fn enter(&self, work: WorkId) -> Entering<'_> {
        let ticket = {
            let mut state = self.state();
            state.next += 1;
            (work, state.next)
        };
        self.enter_with(ticket).await
    }

    async fn enter_with(&self, ticket: Ticket) -> Entering<'_> {
        let _waits = self.wait(ticket);
        loop {
            // Before the question, so that no change is missed between the two.
            let changed = self.changed.notified();
            if self.admits(ticket) {
                return Entering { entrance: self, ticket };
            }
            changed.await;
        }
    }

    fn wait(&self, ticket: Ticket) -> Waits<'_> {
        self.state().waiting.insert(ticket);
        Waits { entrance: self, ticket }
    }

    /// Lets a ticket's holder in, if it is its turn.
    fn admits(&self, ticket: Ticket) -> bool {
        let mut state = self.state();
        let admitted = !state.taken && state.waiting.first() == Some(&ticket);
        state.taken |= admitted;
        admitted
    }

    /// Whether somebody with an older work than a ticket's waits.
    fn older_waits(&self, ticket: Ticket) -> bool {
        let state = self.state();
        state.waiting.first().is_some_and(|first| first.0 < ticket.0)
    }
}

impl<'a> Entering<'a> {
    /// Lets parts of older works in first, if some came to wait meanwhile: the rest of a large shard comes when its first items
    /// have left the pipeline, and whoever is inside then waits for those very places.
    pub(crate) async fn give_way(self) -> Entering<'a> {
        let (entrance, ticket) = (self.entrance, self.ticket);
        if !entrance.older_waits(ticket) {
            return self;
        }
        drop(self);
        entrance.enter_with(ticket).await
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.entrance.state().waiting.remove(&self.ticket);
        self.entrance.changed.notify_waiters();
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        self.entrance.state().taken = false;
        self.entrance.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;

    async fn pass(entrance: &Entrance, work: WorkId, name: &'static str, order: &Mutex<Vec<&'static str>>) {
        let _entering = entrance.enter(work).await;
        order.lock().unwrap().push(name);
    }

    #[tokio::test]
    async fn parts_of_an_older_work_enter_before_those_of_a_younger_one_whichever_came_first() {
        let entrance = Entrance::default();
        let order = Mutex::new(Vec::new());
        let first = entrance.enter(2).await;
        let parts = [(3, "3 a"), (2, "2 b"), (1, "1 a"), (2, "2 c"), (1, "1 b")];
        let parts = join_all(parts.map(|(work, name)| pass(&entrance, work, name, &order)));
        futures::join!(parts, async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), ["1 a", "1 b", "2 b", "2 c", "3 a"]);
    }

    #[test]
    fn one_is_let_in_at_a_time_and_who_gives_up_keeps_nobody_out() {
        let entrance = Entrance::default();
        let first = entrance.enter(2).now_or_never().unwrap();
        assert!(entrance.enter(1).now_or_never().is_none(), "one is inside");
        drop(first);
        assert!(entrance.enter(3).now_or_never().is_some());
        assert!(entrance.enter(3).now_or_never().is_some());
    }

    #[test]
    fn who_is_inside_gives_way_to_an_older_work_and_then_goes_on_before_its_own_later_parts() {
        let entrance = Entrance::default();
        let part = entrance.enter(2).now_or_never().unwrap();
        let mut later = Box::pin(entrance.enter(2));
        assert!((&mut later).now_or_never().is_none());
        let part = part.give_way().now_or_never().unwrap();
        let mut older = Box::pin(entrance.enter(1));
        assert!((&mut older).now_or_never().is_none());

        let mut part = Box::pin(part.give_way());
        assert!((&mut part).now_or_never().is_none(), "the older one goes first");
        let older = (&mut older).now_or_never().unwrap();
        assert!((&mut part).now_or_never().is_none(), "one is inside");
        drop(older);
        assert!((&mut later).now_or_never().is_none());
        assert!((&mut part).now_or_never().is_some());
        assert!((&mut later).now_or_never().is_some());
    }
}
