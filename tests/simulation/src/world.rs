//! What all of one simulation share: chance, time, what happened, what went wrong.

use crate::bugs::Bug;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sightline_core::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The simulated clock's zero: 2026-01-01.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// How often what happens, in parts of one. Chosen anew for every seed, so that some are quiet and some are wild.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) fail: f64,
    pub(crate) crash: f64,
    pub(crate) slow: f64,
    pub(crate) duplicate: f64,
    pub(crate) reorder: f64,
    pub(crate) lose_session: f64,
}

/// One simulation.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) bug: Option<Bug>,
    pub(crate) rates: Rates,
    random: Mutex<SmallRng>,
    start: Instant,
    log: Mutex<Log>,
    calm: AtomicBool,
    /// Effects of calls whose caller was told, or died, before they came.
    pub(crate) under_way: AtomicU64,
}

#[derive(Debug, Default)]
struct Log {
    hash: u64,
    steps: u64,
    lines: Option<Vec<String>>,
    events: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
}

/// What a simulation showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) seed: u64,
    /// Of all that happened, in order.
    pub(crate) hash: u64,
    pub(crate) steps: u64,
    pub(crate) events: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) lines: Vec<String>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>, keep_lines: bool) -> Arc<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut pick = |of: [f64; 4]| of[random.random_range(0..of.len())];
        let rates = Rates {
            fail: pick([0.0, 0.01, 0.04, 0.1]),
            crash: pick([0.0, 0.002, 0.006, 0.02]),
            slow: pick([0.0, 0.02, 0.1, 0.3]),
            duplicate: pick([0.0, 0.05, 0.2, 0.5]),
            reorder: pick([0.0, 0.1, 0.5, 1.0]),
            lose_session: pick([0.0, 0.0005, 0.002, 0.006]),
        };
        Arc::new(Self {
            seed,
            bug,
            rates,
            random: Mutex::new(random),
            start: Instant::now(),
            log: Mutex::new(Log {
                hash: 0xcbf2_9ce4_8422_2325,
                lines: keep_lines.then(Vec::new),
                ..Log::default()
            }),
            calm: AtomicBool::new(false),
            under_way: AtomicU64::new(0),
        })
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        if end == 0 {
            0
        } else {
            lock(&self.random).random_range(0..end)
        }
    }

    pub(crate) fn number(&self) -> u64 {
        lock(&self.random).random()
    }

    pub(crate) fn chance(&self, rate: f64) -> bool {
        lock(&self.random).random::<f64>() < rate
    }

    /// As [`Self::chance`], and never once the storm is over.
    pub(crate) fn fault(&self, rate: f64) -> bool {
        self.chance(rate) && !self.is_calm()
    }

    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        self.note("the storm is over");
    }

    /// From now on things go wrong again.
    pub(crate) fn storm(&self) {
        self.calm.store(false, Ordering::Relaxed);
        self.count("storms");
        self.note("a storm begins");
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Takes note of a step: what happened, in the order in which it did.
    pub(crate) fn note(&self, what: impl fmt::Display) {
        let line = format!("{:>9} {what}", self.elapsed().as_millis());
        let mut log = lock(&self.log);
        log.steps += 1;
        for byte in line.as_bytes() {
            log.hash = (log.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(lines) = &mut log.lines {
            lines.push(line);
        }
    }

    /// Counts something that was made to happen.
    pub(crate) fn count(&self, event: &'static str) {
        self.add(event, 1);
    }

    /// Counts several things at once.
    pub(crate) fn add(&self, event: &'static str, number: u64) {
        *lock(&self.log).events.entry(event).or_default() += number;
    }

    pub(crate) fn counted(&self, event: &'static str) -> u64 {
        lock(&self.log).events.get(event).copied().unwrap_or_default()
    }

    /// Something that must never be.
    pub(crate) fn violation(&self, what: impl fmt::Display) {
        self.note(format!("VIOLATION {what}"));
        let mut log = lock(&self.log);
        // One mistake shows at many places: the first ones tell.
        if log.violations.len() < 20 {
            log.violations.push(what.to_string());
        }
    }

    pub(crate) fn shown(&self) -> Shown {
        let log = lock(&self.log);
        Shown {
            seed: self.seed,
            hash: log.hash,
            steps: log.steps,
            events: log.events.clone(),
            violations: log.violations.clone(),
            lines: log.lines.clone().unwrap_or_default(),
        }
    }
}

/// The simulation's time of day. It never goes back.
#[derive(Debug)]
pub(crate) struct SimulatedClock(pub(crate) Arc<World>);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp(EPOCH_MS + u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
