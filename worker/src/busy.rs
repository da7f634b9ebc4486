//! How long a device was busy.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Inner {
    batches: usize,
    since: Option<Instant>,
    total: Duration,
}

/// The time during which a device had at least one batch.
#[derive(Debug, Default)]
pub(crate) struct Busy(Mutex<Inner>);

/// The device has a batch until this is dropped.
#[derive(Debug)]
pub(crate) struct InDevice<'a>(&'a Busy);

impl Busy {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch goes to the device.
    pub(crate) fn enter(&self) -> InDevice<'_> {
        let mut inner = self.inner();
        inner.batches += 1;
        inner.since.get_or_insert_with(Instant::now);
        InDevice(self)
    }

    /// Busy time until now.
    pub(crate) fn total(&self) -> Duration {
        let inner = self.inner();
        inner.total + inner.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for InDevice<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.batches = inner.batches.saturating_sub(1);
        if inner.batches == 0
            && let Some(since) = inner.since.take()
        {
            inner.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_with_two_batches_counts_once_and_idle_time_not_at_all() {
        let busy = Busy::default();
        tokio::time::advance(Duration::from_millis(5)).await;
        let first = busy.enter();
        tokio::time::advance(Duration::from_millis(10)).await;
        let second = busy.enter();
        assert_eq!(busy.total(), Duration::from_millis(10));
        drop(first);
        tokio::time::advance(Duration::from_millis(10)).await;
        drop(second);
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(busy.total(), Duration::from_millis(20));
    }
}
