//! How many items of a batch the device's memory takes: halved where it was too small, tried larger after a while.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Full batches of a halved size that have to be computed before twice as many items are tried again.
const BATCHES_BEFORE_GROWING: u32 = 64;

#[derive(Debug)]
struct Inner {
    size: usize,
    full_batches: u32,
}

/// The largest batch that is tried, at most what was configured.
#[derive(Debug)]
pub(crate) struct Fit {
    most: usize,
    inner: Mutex<Inner>,
}

impl Fit {
    /// Begins with the most.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        let inner = Mutex::new(Inner {
            size: most,
            full_batches: 0,
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
    }

    /// So many items were computed.
    pub(crate) fn worked(&self, items: usize) {
        let mut inner = self.inner();
        if inner.size == self.most || items < inner.size {
            return;
        }
        inner.full_batches += 1;
        if inner.full_batches >= BATCHES_BEFORE_GROWING {
            inner.size = inner.size.saturating_mul(2).min(self.most);
            inner.full_batches = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_large_is_halved_remembered_and_tried_again_after_a_while() {
        let fit = Fit::new(32);
        fit.too_large(32);
        fit.too_large(16);
        assert_eq!(fit.size(), 8);
        for _ in 1..BATCHES_BEFORE_GROWING {
            fit.worked(8);
        }
        // A batch that is not full says nothing of the memory.
        fit.worked(3);
        assert_eq!(fit.size(), 8);
        fit.worked(8);
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
            fit.worked(fit.size());
        }
        assert_eq!(fit.size(), 3);
    }
}
