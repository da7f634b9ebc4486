//! Growing, jittered delays between attempts.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// The first delay. Short: most lost connections come back at once.
const FIRST: Duration = Duration::from_millis(100);
/// The longest delay. With one attempt of 5 s at most, a session is back within 10 s of its broker.
pub(crate) const LONGEST: Duration = Duration::from_secs(3);

/// Growing, jittered delays between attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    attempts: u32,
    random: SmallRng,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            attempts: 0,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The next delay: twice the last, less up to half of it, so that many clients do not return at one moment.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        whole.mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// After a success the delays begin anew.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(7);
        let delays: Vec<_> = (0..40).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] >= FIRST / 2 && delays[0] <= FIRST, "{delays:?}");
        assert!(
            delays[10..]
                .iter()
                .all(|delay| *delay >= LONGEST / 2 && *delay <= LONGEST),
            "{delays:?}"
        );
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }

    #[test]
    fn two_processes_do_not_wait_equally_long() {
        let delays = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_ne!(delays(1), delays(2));
        assert_eq!(delays(1), delays(1));
    }
}
