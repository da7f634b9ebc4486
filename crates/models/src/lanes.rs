//! Threads that compute passes side by side on a processor, each with a single one of libtorch's.
//!
//! Where a pass is cut between threads instead, they wait for each other after every operation, some hundred times a
//! pass; and where another program takes the place of one of them, all wait.

use crate::error::ModelError;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tch::Device;

/// Passes that each thread has where there are items enough: those that end at different times leave few threads without one.
const PASSES_A_LANE: usize = 4;

/// Tokens in a pass that are worth reading all weights for: about a picture of 14 × 14 patches.
const TOKENS_A_PASS: usize = 192;

type Job = Box<dyn FnOnce() + Send>;

/// Has this thread compute with so many of libtorch's.
pub(crate) fn set_threads(count: i32) {
    // Asked for first, since a thread that was never asked takes the number that was set last, in whichever thread,
    // before its first operation.
    let _usual = tch::get_num_threads();
    tch::set_num_threads(count);
}

/// A network that several threads compute with.
pub(crate) struct Shared<T>(pub(crate) T);

#[expect(
    unsafe_code,
    reason = "tch calls tensors fit to be sent to another thread, and not to be used by two"
)]
// SAFETY: what computes with a network only reads its tensors, which libtorch lets any number of threads do, and counts
// references to them atomically. Nothing of a network changes once it is loaded.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The threads.
pub(crate) struct Lanes {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// As many threads as libtorch has here; none where that is one, or where another device computes.
    pub(crate) fn start(device: Device) -> Option<Self> {
        let own = tch::get_num_threads();
        let count = usize::try_from(own).unwrap_or(1);
        if device != Device::Cpu || count < 2 {
            return None;
        }
        let (jobs, queue) = sync_channel(count);
        let (ready, begun) = sync_channel(count);
        let queue = Arc::new(Mutex::new(queue));
        let mut lanes = Self {
            jobs: Some(jobs),
            threads: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let (queue, ready) = (Arc::clone(&queue), ready.clone());
            let thread = thread::Builder::new()
                .name("sightline-model".to_owned())
                .spawn(move || {
                    set_threads(1);
                    // Nobody waits for this one where another could not be started.
                    let _told = ready.send(());
                    drop(ready);
                    compute_all(&queue);
                });
            match thread {
                Ok(thread) => lanes.threads.push(thread),
                Err(error) => {
                    tracing::warn!(%error, "passes are not computed side by side");
                    drop(lanes);
                    set_threads(own);
                    return None;
                }
            }
        }
        drop(ready);
        // Threads that begin after these are to have the usual number again.
        for () in begun {}
        set_threads(own);
        Some(lanes)
    }

    /// How many of these items of so many tokens, of which at most so many may be in one pass, are to go through the
    /// network together; none where there are too few to be computed side by side: fewer than threads, or so few more that
    /// more than a third of the threads' time would be spent waiting for the last ones.
    pub(crate) fn together(&self, items: usize, tokens: usize, most: usize) -> Option<usize> {
        let threads = self.threads.len().max(1);
        let time = threads * items.div_ceil(threads);
        if items < threads || 3 * items < 2 * time {
            return None;
        }
        let share = items / (PASSES_A_LANE * threads);
        // Where items are small, fewer passes that all threads have the same number of.
        let worth = TOKENS_A_PASS.div_ceil(tokens.max(1));
        let passes = items.div_ceil(worth).next_multiple_of(threads);
        Some(share.max(items.div_ceil(passes)).min(most))
    }

    /// Computes each of these on one of the threads; gives what they become in their order, or the first error.
    pub(crate) fn map<I, O>(
        &self,
        inputs: Vec<I>,
        compute: impl Fn(&I) -> Result<O, ModelError> + Send + Sync + 'static,
    ) -> Result<Vec<O>, ModelError>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        let compute = Arc::new(compute);
        let (tell, told) = sync_channel(inputs.len());
        for (place, input) in inputs.into_iter().enumerate() {
            let (compute, tell) = (Arc::clone(&compute), tell.clone());
            self.send(Box::new(move || {
                let computed = catch_unwind(AssertUnwindSafe(|| compute(&input)));
                // There is room for all, and who asked waits for all.
                let _told = tell.send((place, computed));
            }));
        }
        drop(tell);
        let mut computed: Vec<_> = told.into_iter().collect();
        computed.sort_by_key(|(place, _)| *place);
        computed
            .into_iter()
            .map(|(_, computed)| match computed {
                Ok(computed) => computed,
                Err(panic) => resume_unwind(panic),
            })
            .collect()
    }

    fn send(&self, job: Job) {
        let Some(jobs) = &self.jobs else { return };
        if let Err(SendError(job)) = jobs.send(job) {
            // No thread is left: it is done here.
            job();
        }
    }
}

/// Does jobs until nobody is left to send any.
fn compute_all(queue: &Mutex<Receiver<Job>>) {
    let _no_grad = tch::no_grad_guard();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job();
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that computes passes ended by a panic");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanes as a thread with so many of libtorch's starts them.
    fn lanes(threads: i32) -> Option<Lanes> {
        set_threads(threads);
        let lanes = Lanes::start(Device::Cpu);
        assert_eq!(
            tch::get_num_threads(),
            threads,
            "the thread that starts lanes keeps its own"
        );
        lanes
    }

    #[test]
    fn passes_are_computed_on_single_threads_and_come_back_in_their_order() {
        let lanes = lanes(3).unwrap();
        let found = lanes.map((0..40_u64).collect(), |number| {
            Ok((*number, tch::get_num_threads(), thread::current().id()))
        });
        let found = found.unwrap();
        assert!(found.iter().map(|found| found.0).eq(0..40));
        assert!(
            found
                .iter()
                .all(|found| found.1 == 1 && found.2 != thread::current().id())
        );
        assert!(lanes.map(Vec::<u64>::new(), |_| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn an_error_or_a_panic_of_one_pass_is_told_and_the_lanes_go_on() {
        let lanes = lanes(2).unwrap();
        let failing = |number: &u64| match number {
            3 => Err(ModelError::Tokenize("no such word".to_owned())),
            _ => Ok(*number),
        };
        assert!(matches!(
            lanes.map((0..8).collect(), failing),
            Err(ModelError::Tokenize(_))
        ));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            lanes.map((0..8_u64).collect(), |number| {
                assert!(*number != 5, "the network tripped");
                Ok(*number)
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(lanes.map(vec![7_u64], |number| Ok(*number)).unwrap(), [7]);
    }

    #[test]
    fn items_are_computed_side_by_side_where_no_thread_waits_for_long() {
        let lanes = lanes(4).unwrap();
        let together = |items| lanes.together(items, 196, 2);
        assert_eq!([0, 1, 3].map(together), [None; 3], "fewer than threads");
        assert_eq!(together(4), Some(1));
        assert_eq!(together(5), None, "three threads would wait for one");
        assert!((6..100).all(|items| together(items).is_some()));
    }

    #[test]
    fn many_items_are_shared_out() {
        let lanes = lanes(2).unwrap();
        assert_eq!(lanes.together(8, 196, 2), Some(1));
        assert_eq!(lanes.together(32, 196, 2), Some(2));
        assert_eq!(lanes.together(32, 196, 8), Some(4));
    }

    #[test]
    fn items_of_few_tokens_share_a_pass_and_every_thread_has_as_many_passes() {
        let lanes = lanes(2).unwrap();
        assert_eq!(lanes.together(8, 49, 16), Some(4));
        assert_eq!(lanes.together(10, 49, 16), Some(3));
        assert_eq!(lanes.together(8, 4, 100), Some(4));
        assert_eq!(lanes.together(64, 49, 16), Some(8));
        assert_eq!(lanes.together(64, 49, 6), Some(6));
    }

    #[test]
    fn a_single_thread_and_other_devices_have_no_lanes() {
        assert!(lanes(1).is_none());
        set_threads(2);
        assert!(Lanes::start(Device::Cuda(0)).is_none());
    }
}
