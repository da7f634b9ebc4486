//! The budget: bytes that all that is in flight takes together. What later stages hold is bounded by counts, and set aside;
//! reading and decoding share the rest, in a [`super::room::Room`].

/// Least that reading and decoding share.
const LEAST_SHARED: u64 = 64 << 20;
/// Least budget that follows from the memory.
const LEAST: u64 = 256 << 20;
/// And most of one, unless later stages need more.
const MOST: u64 = 1 << 30;

/// Bytes that stages after decoding hold, rows as often as they are there, and what is kept beside the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Later {
    /// Prepared pictures.
    pub(crate) pictures: u64,
    /// Batches on their way into the network.
    pub(crate) batches: u64,
    /// Rows that are collected and written.
    pub(crate) rows: u64,
    /// Blocks of arrays with vectors.
    pub(crate) arrays: u64,
}

impl Later {
    fn sum(&self) -> u64 {
        [self.batches, self.rows, self.arrays]
            .into_iter()
            .fold(self.pictures, u64::saturating_add)
    }
}

/// Bytes of all that is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    bytes: u64,
    set_aside: u64,
}

impl Budget {
    /// As it was configured; where that is 0, as the memory is that the process may have.
    ///
    /// # Errors
    /// In words, where what was configured is too little beside what later stages hold.
    pub(crate) fn of(configured: u64, memory: Option<u64>, later: Later) -> Result<Self, String> {
        let set_aside = later.sum();
        if configured == 0 {
            let usual = memory.map_or(MOST, |bytes| (bytes / 4).clamp(LEAST, MOST));
            // Large batches on many devices leave at least half of it to reading and decoding, too.
            let bytes = usual.max(set_aside.saturating_add(usual / 2));
            return Ok(Self { bytes, set_aside });
        }
        let needed = set_aside.saturating_add(LEAST_SHARED);
        if configured < needed {
            return Err(too_little(configured, needed, later));
        }
        Ok(Self {
            bytes: configured,
            set_aside,
        })
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What later stages hold.
    pub(crate) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// What reading and decoding share.
    pub(crate) fn shared(&self) -> u64 {
        self.bytes.saturating_sub(self.set_aside)
    }
}

fn too_little(configured: u64, needed: u64, later: Later) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    format!(
        "pipeline.memory_bytes is {configured} ({} MiB): later stages hold up to {} MiB (prepared pictures {}, batches {}, rows {}, \
         blocks of arrays {}), and reading and decoding need {} MiB beside that: give at least {needed}, or 0 for what suits the \
         machine, or make pipeline.batch_items, pipeline.upserts or pipeline.upsert_bytes smaller",
        configured >> 20,
        mib(later.sum()),
        mib(later.pictures),
        mib(later.batches),
        mib(later.rows),
        mib(later.arrays),
        mib(LEAST_SHARED),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn later(mib: u64) -> Later {
        Later {
            pictures: mib * MIB,
            batches: 0,
            rows: 0,
            arrays: 0,
        }
    }

    #[test]
    fn a_quarter_of_the_memory_within_limits_and_more_where_later_stages_need_it() {
        for (memory, set_aside, bytes) in [
            (None, 100, 1024),
            (Some(64 << 30), 240, 1024),
            (Some(64 << 30), 512, 1024),
            (Some(64 << 30), 5000, 5512),
            (Some(2 << 30), 100, 512),
            (Some(1 << 30), 100, 256),
            (Some(1 << 30), 240, 240 + 128),
            (Some(1), 0, 256),
        ] {
            let budget = Budget::of(0, memory, later(set_aside)).unwrap();
            assert_eq!(budget.bytes(), bytes * MIB, "{memory:?} {set_aside}");
        }
    }

    #[test]
    fn what_is_configured_counts_whatever_the_memory_and_too_little_is_said_in_numbers() {
        let budget = Budget::of(200 * MIB, Some(1), later(136)).unwrap();
        assert_eq!((budget.bytes(), budget.shared()), (200 * MIB, 64 * MIB));
        let held = Later {
            pictures: 15 * MIB,
            batches: 57 * MIB + 1,
            rows: 80 * MIB,
            arrays: 64 * MIB,
        };
        let error = Budget::of(200 * MIB, None, held).unwrap_err();
        for part in [
            "pipeline.memory_bytes is 209715200 (200 MiB)",
            "up to 217 MiB",
            "pictures 15, batches 58, rows 80, blocks of arrays 64",
            &format!("give at least {}", 280 * MIB + 1),
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_budget_leaves_reading_and_decoding_less_than_they_need(
            configured in prop_oneof![Just(0_u64), any::<u64>()],
            memory in proptest::option::of(any::<u64>()),
            held in any::<[u64; 4]>(),
            shift in 0..64,
        ) {
            let [pictures, batches, rows, arrays] = held.map(|bytes| bytes >> shift >> 3);
            let held = Later { pictures, batches, rows, arrays };
            match Budget::of(configured, memory, held) {
                Ok(budget) => {
                    prop_assert!(budget.shared() >= LEAST_SHARED);
                    prop_assert_eq!(budget.shared() + budget.set_aside(), budget.bytes());
                    prop_assert!(configured == 0 || budget.bytes() == configured);
                }
                Err(_) => prop_assert!(configured > 0 && configured < held.sum() + LEAST_SHARED),
            }
        }
    }
}
