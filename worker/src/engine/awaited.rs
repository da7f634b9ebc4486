//! What the engine holds its items back for, so that whoever asks why nothing moves is told before a shard goes back.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    what: String,
}

/// What is waited for.
#[derive(Debug, Default)]
pub(crate) struct Awaited(Mutex<State>);

/// Somebody waits until this is dropped.
#[derive(Debug)]
pub(crate) struct Waits<'a>(&'a Awaited);

impl Awaited {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits. What was said last is told for all who do.
    pub(crate) fn waits_for(&self, what: String) -> Waits<'_> {
        let mut state = self.state();
        state.waiting += 1;
        state.what = what;
        Waits(self)
    }

    /// What is waited for; none where nobody waits.
    pub(crate) fn what(&self) -> Option<String> {
        let state = self.state();
        (state.waiting > 0).then(|| state.what.clone())
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_told_until_the_last_one_waits_no_more() {
        let awaited = Awaited::default();
        assert_eq!(awaited.what(), None);
        let first = awaited.waits_for("the index".into());
        let second = awaited.waits_for("the index, still".into());
        drop(first);
        assert_eq!(awaited.what().as_deref(), Some("the index, still"));
        drop(second);
        assert_eq!(awaited.what(), None);
    }
}
