//! What an engine takes from around it beside its parts: the time of day, chance, threads, and what machine it runs on.

use crate::machine::Machine;
use sightline_core::{Clock, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where pictures are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoding {
    /// On threads of their own, as it takes long.
    Threads,
    /// On the runtime's tasks, so that nothing happens beside it: for simulations.
    Tasks,
}

/// What an engine takes from around it.
#[derive(Debug, Clone)]
pub(crate) struct Around {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Chance,
    pub(crate) decoding: Decoding,
    pub(crate) machine: Machine,
}

impl Around {
    /// What a process has around it.
    pub(crate) fn of_a_process() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            chance: Chance::new(rand::random()),
            decoding: Decoding::Threads,
            machine: Machine::of_this_process(),
        }
    }
}

/// Numbers for jitter; clones draw from one row, which the seed fixes.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Arc<AtomicU64>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// The next number, in [0, 1): SplitMix64 (Steele, Lea, Flood, 2014).
    pub(crate) fn next(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
        {
            (z >> 11) as f64 / (1_u64 << 53) as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_numbers_which_lie_between_0_and_1_and_differ() {
        let row = |seed| {
            let chance = Chance::new(seed);
            (0..100).map(|_| chance.next()).collect::<Vec<f64>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        assert!(row(7).iter().all(|number| (0.0..1.0).contains(number)));
        let mean = row(7).iter().sum::<f64>() / 100.0;
        assert!((0.3..0.7).contains(&mean), "{mean}");
    }
}
