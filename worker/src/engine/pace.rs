//! How many writes go to the index at once: fewer after it could not take them, one more after many that it took.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Rounds of all allowed writes that have to succeed before one more is allowed.
const ROUNDS_BEFORE_GROWING: usize = 8;

#[derive(Debug)]
struct State {
    allowed: usize,
    under_way: usize,
    succeeded: usize,
    /// How often fewer were allowed.
    halved: u64,
}

/// The number of writes at once: halved by pushback, raised by one again and again, as TCP does (RFC 5681). As there, what was
/// under way when it was halved says nothing of the new number, and halves it no further: a burst that an index could not
/// take would else end at one write, whatever it can take.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

/// A write that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    pace: &'a Pace,
    /// How often fewer had been allowed when it began.
    halved: u64,
}

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
                halved: 0,
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
                    return UnderWay {
                        pace: self,
                        halved: state.halved,
                    };
                }
            }
            changed.await;
        }
    }
}

impl UnderWay<'_> {
    /// The index took the write.
    pub(crate) fn took(&self) {
        let mut state = self.pace.state();
        if state.allowed == self.pace.most {
            return;
        }
        state.succeeded += 1;
        if state.succeeded >= state.allowed * ROUNDS_BEFORE_GROWING {
            state.succeeded = 0;
            state.allowed += 1;
            drop(state);
            self.pace.changed.notify_waiters();
        }
    }

    /// The index was throttling or away.
    pub(crate) fn pushed_back(&self) {
        let mut state = self.pace.state();
        state.succeeded = 0;
        if state.halved == self.halved {
            state.halved += 1;
            state.allowed = (state.allowed / 2).max(1);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.pace.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// All that may enter now.
    fn burst(pace: &Pace) -> Vec<UnderWay<'_>> {
        let mut entered = Vec::new();
        while let Some(one) = pace.enter().now_or_never() {
            entered.push(one);
        }
        entered
    }

    /// How many more may enter now.
    fn free(pace: &Pace) -> usize {
        burst(pace).len()
    }

    fn one(pace: &Pace) -> UnderWay<'_> {
        pace.enter().now_or_never().unwrap()
    }

    #[test]
    fn each_pushback_halves_what_is_allowed_and_many_successes_raise_it_by_one() {
        let pace = Pace::new(4);
        assert_eq!(free(&pace), 4);
        one(&pace).pushed_back();
        assert_eq!(free(&pace), 2);
        one(&pace).pushed_back();
        one(&pace).pushed_back();
        assert_eq!(free(&pace), 1, "one is always allowed");
        for (allowed, successes) in [(1, 7), (2, 1), (2, 15), (3, 1), (3, 23), (4, 1), (4, 500)] {
            for _ in 0..successes {
                one(&pace).took();
            }
            assert_eq!(free(&pace), allowed);
        }
    }

    #[test]
    fn what_was_under_way_when_less_was_allowed_does_not_halve_it_once_more_whenever_it_fails() {
        let pace = Pace::new(16);
        let mut early = burst(&pace);
        early.pop().unwrap().pushed_back();
        early.truncate(4);
        assert_eq!(free(&pace), 4, "eight, of which four are under way");
        let late = one(&pace);
        early.pop().unwrap().pushed_back();
        late.pushed_back();
        early.pop().unwrap().pushed_back();
        drop((early, late));
        assert_eq!(free(&pace), 4);
    }

    proptest::proptest! {
        #[test]
        fn a_burst_halves_what_is_allowed_once_however_many_of_it_fail(
            most in 1_usize..40,
            failing in proptest::collection::vec(1_usize..40, 1..6),
        ) {
            let pace = Pace::new(most);
            let mut allowed = most;
            for failing in failing {
                let burst = burst(&pace);
                proptest::prop_assert_eq!(burst.len(), allowed);
                for one in burst.iter().take(failing) {
                    one.pushed_back();
                }
                allowed = (allowed / 2).max(1);
            }
            proptest::prop_assert_eq!(free(&pace), allowed);
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
