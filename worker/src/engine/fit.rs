//! How many items of a batch the device takes: halved where its memory was too small, tried larger after a while; few at
//! first, and no more than it computes within seconds, since a batch that takes minutes looks like an engine that hangs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Items of the first batch.
const FIRST: usize = 4;
/// Full batches of a halved size that have to be computed before twice as many items are tried again.
const BATCHES_BEFORE_GROWING: u32 = 64;
/// Longest time that a batch may take, with its wait for the one before it: larger ones would compute no faster.
const LONGEST: Duration = Duration::from_secs(12);

#[derive(Debug)]
struct Inner {
    size: usize,
    full_batches: u32,
    /// Full batches until twice as many items are tried.
    patience: u32,
}

/// The largest batch that is tried, at most what was configured.
#[derive(Debug)]
pub(crate) struct Fit {
    most: usize,
    inner: Mutex<Inner>,
}

impl Fit {
    /// Begins with a few.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        let inner = Mutex::new(Inner {
            size: most.min(FIRST),
            full_batches: 0,
            patience: 1,
        });
        Self { most, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Items that are tried, at least 1.
    pub(crate) fn size(&self) -> usize {
        self.inner().size
    }

    /// So many items were too many.
    pub(crate) fn too_large(&self, items: usize) {
        let mut inner = self.inner();
        inner.size = inner.size.min(items / 2).max(1);
        inner.full_batches = 0;
        inner.patience = BATCHES_BEFORE_GROWING;
    }

    /// So many items were computed in this time.
    pub(crate) fn worked(&self, items: usize, took: Duration) {
        let mut inner = self.inner();
        if items < inner.size {
            return;
        }
        if took > LONGEST {
            // Others of the same size are under way: together they halve it once.
            inner.size = inner.size.min(items / 2).max(1);
            inner.full_batches = 0;
            return;
        }
        if inner.size == self.most || took * 2 > LONGEST {
            return;
        }
        inner.full_batches += 1;
        if inner.full_batches >= inner.patience {
            inner.size = inner.size.saturating_mul(2).min(self.most);
            inner.full_batches = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(50);

    /// A fit that has grown to its most.
    fn grown(most: usize) -> Fit {
        let fit = Fit::new(most);
        while fit.size() < most {
            fit.worked(fit.size(), QUICK);
        }
        fit
    }

    #[test]
    fn a_quick_device_gets_twice_as_many_with_each_full_batch_up_to_what_was_configured() {
        let fit = Fit::new(24);
        let sizes: Vec<usize> = (0..5)
            .map(|_| {
                let size = fit.size();
                fit.worked(size, QUICK);
                size
            })
            .collect();
        assert_eq!(sizes, [4, 8, 16, 24, 24]);
        assert_eq!(Fit::new(3).size(), 3);
    }

    #[test]
    fn a_slow_device_gets_no_more_than_it_computes_in_seconds() {
        let fit = Fit::new(32);
        fit.worked(4, LONGEST.mul_f64(0.6));
        assert_eq!(fit.size(), 4, "twice as many would take too long");
        fit.worked(4, LONGEST * 2);
        fit.worked(4, LONGEST * 2);
        assert_eq!(fit.size(), 2, "two batches that went at once halve it once");
        fit.worked(2, LONGEST * 9);
        fit.worked(1, LONGEST * 9);
        assert_eq!(fit.size(), 1);
        fit.worked(1, QUICK);
        assert_eq!(fit.size(), 2, "it is quicker now");
    }

    #[test]
    fn what_was_too_large_is_halved_remembered_and_tried_again_after_a_while() {
        let fit = grown(32);
        fit.too_large(32);
        fit.too_large(16);
        assert_eq!(fit.size(), 8);
        for _ in 1..BATCHES_BEFORE_GROWING {
            fit.worked(8, QUICK);
        }
        // A batch that is not full says nothing of the memory.
        fit.worked(3, QUICK);
        assert_eq!(fit.size(), 8);
        fit.worked(8, QUICK);
        assert_eq!(fit.size(), 16);
        fit.too_large(16);
        assert_eq!(fit.size(), 8);
    }

    #[test]
    fn one_item_is_always_tried_and_never_more_than_was_configured() {
        let fit = Fit::new(3);
        fit.too_large(1);
        assert_eq!(fit.size(), 1);
        for _ in 0..10 * BATCHES_BEFORE_GROWING {
            fit.worked(fit.size(), QUICK);
        }
        assert_eq!(fit.size(), 3);
    }
}
