//! Whether to take work: after something was found to be away, not for a while, and longer each time.

use super::status::Status;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct State {
    in_row: u32,
    until: Option<Instant>,
}

/// Open while something is away.
#[derive(Debug)]
pub(crate) struct Circuit {
    state: Mutex<State>,
    pause: Duration,
    longest: Duration,
    status: Arc<Status>,
    changed: Arc<Notify>,
}

impl Circuit {
    /// `changed` is notified when what is waited for changes.
    pub(crate) fn new(pause: Duration, longest: Duration, status: Arc<Status>, changed: Arc<Notify>) -> Self {
        Self {
            state: Mutex::default(),
            pause,
            longest,
            status,
            changed,
        }
    }

    /// Something is away. Several shards that find the same within one pause count once.
    pub(crate) fn away(&self, what: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.until.is_none_or(|until| until <= now) {
            state.in_row += 1;
            let doubled = self.pause.saturating_mul(1 << (state.in_row - 1).min(20));
            state.until = Some(now + doubled.min(self.longest));
        }
        drop(state);
        if self.status.waiting(Some(what)) {
            self.changed.notify_one();
        }
    }

    /// Everything answers.
    pub(crate) fn well(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        if self.status.waiting(None) {
            self.changed.notify_one();
        }
    }

    /// Waits until work may be taken.
    pub(crate) async fn closed(&self) {
        loop {
            let until = self.state.lock().unwrap_or_else(PoisonError::into_inner).until;
            match until {
                Some(until) if Instant::now() < until => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::SystemClock;
    use sightline_telemetry::Metrics;

    fn circuit() -> Circuit {
        let status = Status::new("w".into(), Arc::new(SystemClock), &Metrics::new("test", "1")).unwrap();
        Circuit::new(
            Duration::from_secs(1),
            Duration::from_secs(3),
            Arc::new(status),
            Arc::default(),
        )
    }

    async fn pause(circuit: &Circuit) -> Duration {
        let start = Instant::now();
        circuit.closed().await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_end_with_the_first_success() {
        let circuit = circuit();
        assert_eq!(pause(&circuit).await, Duration::ZERO);
        for seconds in [1, 2, 3, 3] {
            circuit.away("the index".into());
            assert_eq!(pause(&circuit).await, Duration::from_secs(seconds));
        }
        circuit.well();
        circuit.away("the index".into());
        assert_eq!(pause(&circuit).await, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_several_shards_find_at_once_counts_once() {
        let circuit = circuit();
        circuit.away("the index".into());
        circuit.away("the store".into());
        assert_eq!(pause(&circuit).await, Duration::from_secs(1));
        assert_eq!(circuit.status.read().waiting_for.as_deref(), Some("the store"));
    }
}
