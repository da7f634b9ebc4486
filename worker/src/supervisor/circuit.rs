//! Whether to take work: after something was found to be away, not for a while, and longer each time.

use super::status::Status;
use sightline_core::digest::sha256_hex;
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
            let pause = doubled.min(self.longest);
            state.until = Some(now + pause.mul_f64(jitter(&self.status.worker, state.in_row)));
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

/// By how much a pause is longer, 1.0 to 1.25: by worker, so that a fleet does not come back all at once, and by pause,
/// so that the same workers do not meet again.
fn jitter(worker: &str, in_row: u32) -> f64 {
    let digest = sha256_hex(format!("{worker}/{in_row}").as_bytes());
    let byte = digest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    1.0 + f64::from(byte.unwrap_or_default()) / 1020.0
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

    /// So many seconds, or up to a quarter more. The runtime's clock goes in milliseconds.
    fn assert_about(took: Duration, seconds: u64) {
        let least = Duration::from_secs(seconds);
        let most = least * 5 / 4 + Duration::from_millis(1);
        assert!((least..=most).contains(&took), "{took:?}");
    }

    #[test]
    fn workers_and_pauses_differ_in_their_jitter() {
        let all: Vec<f64> = (1..20)
            .map(|in_row| jitter("w", in_row))
            .chain([jitter("x", 1)])
            .collect();
        assert!(all.iter().all(|factor| (1.0..=1.25).contains(factor)), "{all:?}");
        let distinct: std::collections::BTreeSet<u64> = all.iter().map(|factor| factor.to_bits()).collect();
        assert!(distinct.len() > 10, "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_end_with_the_first_success() {
        let circuit = circuit();
        assert_eq!(pause(&circuit).await, Duration::ZERO);
        for seconds in [1, 2, 3, 3] {
            circuit.away("the index".into());
            assert_about(pause(&circuit).await, seconds);
        }
        circuit.well();
        circuit.away("the index".into());
        assert_about(pause(&circuit).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_several_shards_find_at_once_counts_once() {
        let circuit = circuit();
        circuit.away("the index".into());
        circuit.away("the store".into());
        assert_about(pause(&circuit).await, 1);
        assert_eq!(circuit.status.read().waiting_for.as_deref(), Some("the store"));
    }
}
