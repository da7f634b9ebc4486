use super::*;
use crate::ipc::ItemAt;
use crate::journal::Journal;
use std::sync::Mutex;
use std::time::Duration;

const LINGER: Duration = Duration::from_millis(20);

const LIMITS: BatchLimits = BatchLimits {
    items: 4,
    bytes: u64::MAX,
    linger: LINGER,
};

/// Computes when it is let, and notes the sizes of its batches.
#[derive(Clone)]
struct Gated {
    sizes: Arc<Mutex<Vec<usize>>>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Side for Gated {
    type Input = u32;

    async fn embed(&self, batch: Vec<u32>) -> Result<Vec<Embedding>, ForwardError> {
        self.sizes.lock().unwrap().push(batch.len());
        self.gate.acquire().await.unwrap().forget();
        Ok(batch.iter().map(|_| Ok(vec![1.0])).collect())
    }
}

impl Gated {
    fn new() -> Self {
        Self {
            sizes: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.sizes.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_the_device_becomes_fuller_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(&folder.path().join("journal"), 16).unwrap();
    let side = Gated::new();
    let stages = Arc::new(Stages::default());
    let forward = Arc::new(Forward::start(side.clone(), LIMITS, 2, &stages));
    let mut asked = Vec::new();
    // The first two wait for nobody and take the device's two places; the others are due soon, but find none.
    for number in 0..8 {
        let (forward, journal) = (Arc::clone(&forward), Arc::clone(&journal));
        asked.push(tokio::spawn(async move {
            let slot = journal.enter(ItemAt { work: 1, index: number }).await.unwrap();
            let embedded = forward.embed(number, None, false, &Arc::new(slot)).await;
            embedded.unwrap().unwrap()
        }));
        tokio::time::sleep(2 * LINGER).await;
    }
    assert_eq!(side.sizes(), [1, 1]);
    assert_eq!(stages.report().0[&JournalStage::Forward].waiting, 6);
    side.gate.add_permits(4);
    for embedded in asked {
        assert_eq!(embedded.await.unwrap().0.unwrap(), [1.0]);
    }
    assert_eq!(side.sizes(), [1, 1, 4, 2]);
    assert_eq!(stages.report().0[&JournalStage::Forward].waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_in_a_batch_keeps_its_place_until_it_is_left_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(&folder.path().join("journal"), 1).unwrap();
    let slot = Arc::new(journal.enter(ItemAt { work: 1, index: 0 }).await.unwrap());
    let (side, places) = (Gated::new(), Arc::new(Semaphore::new(3)));
    let stages = Arc::new(Stages::default());
    let forward = Arc::new(Forward::start(side.clone(), LIMITS, 1, &stages));
    let ask = |number: u32| {
        let (forward, slot) = (Arc::clone(&forward), Arc::clone(&slot));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        tokio::spawn(async move { forward.embed(number, Some(place), false, &slot).await })
    };
    let first = ask(0);
    tokio::time::sleep(2 * LINGER).await;
    // The device has the first, and these are due when it ends.
    let (given_up, wanted) = (ask(1), ask(2));
    tokio::time::sleep(2 * LINGER).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(places.available_permits(), 0);
    side.gate.add_permits(2);
    for asked in [first, wanted] {
        let embedded = asked.await.unwrap().unwrap();
        assert_eq!(embedded.unwrap().0.unwrap(), [1.0]);
    }
    assert_eq!((side.sizes(), places.available_permits()), (vec![1, 1], 3));
    assert_eq!(stages.report().0[&JournalStage::Forward].waiting, 0);
}
