//! The devices' turns: as many batches as keep them busy, of pictures and texts together, each at the device with the fewest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The devices, by their places in the model's list.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    /// Batches of each device.
    batches: Mutex<Vec<usize>>,
}

/// A device has one batch more until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    device: usize,
    // Behind what is done first: the batch is counted out before another is let in.
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// So many devices, which have at most so many batches together.
    pub(crate) fn new(devices: usize, at_once: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(at_once)),
            batches: Mutex::new(vec![0; devices.max(1)]),
        })
    }

    fn batches(&self) -> MutexGuard<'_, Vec<usize>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many devices there are, at least one.
    pub(crate) fn devices(&self) -> usize {
        self.batches().len()
    }

    /// Waits for a turn, and takes it at the device with the fewest batches, the first of them. None where the engine is ending.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let device = {
            let mut batches = self.batches();
            let (device, fewest) = batches.iter_mut().enumerate().min_by_key(|(_, batches)| **batches)?;
            *fewest += 1;
            device
        };
        Some(Turn {
            turns: Arc::clone(self),
            device,
            _permit: permit,
        })
    }
}

impl Turn {
    /// Whose turn it is.
    pub(crate) fn device(&self) -> usize {
        self.device
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(batches) = self.turns.batches().get_mut(self.device) {
            *batches = batches.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn take(turns: &Arc<Turns>) -> Option<Turn> {
        turns.take().now_or_never().flatten()
    }

    #[test]
    fn each_batch_goes_to_the_device_with_the_fewest_until_all_have_enough() {
        let turns = Turns::new(2, 3);
        let mut taken: Vec<Turn> = (0..3).filter_map(|_| take(&turns)).collect();
        assert_eq!(taken.iter().map(Turn::device).collect::<Vec<_>>(), [0, 1, 0]);
        assert!(take(&turns).is_none());
        drop(taken.remove(1));
        assert_eq!(take(&turns).unwrap().device(), 1);
    }

    #[test]
    fn a_model_without_devices_has_one_to_count_by() {
        let turns = Turns::new(0, 1);
        assert_eq!((turns.devices(), take(&turns).unwrap().device()), (1, 0));
    }
}
