//! How many writes go to the index at once: fewer after each that it could not take, one more after many that it took.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Rounds of all allowed writes that have to succeed before one more is allowed.
const ROUNDS_BEFORE_GROWING: usize = 8;

#[derive(Debug)]
struct State {
    allowed: usize,
    under_way: usize,
    succeeded: usize,
}

/// The number of writes at once: halved by pushback, raised by one again and again, as TCP does (RFC 5681).
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

/// A write that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a>(&'a Pace);

impl Pace {
    /// Begins with the most.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            state: Mutex::new(State {
                allowed: most,
                under_way: 0,
                succeeded: 0,
            }),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more write is allowed.
    pub(crate) async fn enter(&self) -> UnderWay<'_> {
        loop {
            // Before the question, so that no change is missed between the two.
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.under_way < state.allowed {
                    state.under_way += 1;
                    return UnderWay(self);
                }
            }
            changed.await;
        }
    }

    /// The index took a write.
    pub(crate) fn took(&self) {
        let mut state = self.state();
        if state.allowed == self.most {
            return;
        }
        state.succeeded += 1;
        if state.succeeded >= state.allowed * ROUNDS_BEFORE_GROWING {
            state.succeeded = 0;
            state.allowed += 1;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// The index was throttling or away.
    pub(crate) fn pushed_back(&self) {
        let mut state = self.state();
        state.allowed = (state.allowed / 2).max(1);
        state.succeeded = 0;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// How many more may enter now.
    fn free(pace: &Pace) -> usize {
        let mut entered = Vec::new();
        while let Some(one) = pace.enter().now_or_never() {
            entered.push(one);
        }
        entered.len()
    }

    #[test]
    fn each_pushback_halves_what_is_allowed_and_many_successes_raise_it_by_one() {
        let pace = Pace::new(4);
        assert_eq!(free(&pace), 4);
        pace.pushed_back();
        assert_eq!(free(&pace), 2);
        pace.pushed_back();
        pace.pushed_back();
        assert_eq!(free(&pace), 1, "one is always allowed");
        for (allowed, successes) in [(1, 7), (2, 1), (2, 15), (3, 1), (3, 23), (4, 1), (4, 500)] {
            for _ in 0..successes {
                pace.took();
            }
            assert_eq!(free(&pace), allowed);
        }
    }

    #[tokio::test]
    async fn who_waits_enters_when_another_leaves() {
        let pace = Pace::new(1);
        let first = pace.enter().await;
        let (second, ()) = futures::join!(pace.enter(), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!(free(&pace), 0);
        drop(second);
        assert_eq!(free(&pace), 1);
    }
}
