use super::*;
use crate::ipc::ItemAt;
use crate::journal::Journal;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Semaphore;

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

    async fn embed(&self, _: usize, batch: Vec<u32>) -> Result<Vec<Embedding>, ForwardError> {
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
    let forward = Arc::new(Forward::start(side.clone(), LIMITS, &Turns::new(1, 2), &stages));
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
    let forward = Arc::new(Forward::start(side.clone(), LIMITS, &Turns::new(1, 1), &stages));
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

/// Two devices: the first takes a while for any batch, the second has no memory for more than one item. Notes whose batches
/// were how large.
#[derive(Clone, Default)]
struct Unequal(Arc<Mutex<Vec<(usize, usize)>>>);

#[async_trait]
impl Side for Unequal {
    type Input = u32;

    async fn embed(&self, device: usize, batch: Vec<u32>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.lock().unwrap().push((device, batch.len()));
        if device == 1 && batch.len() > 1 {
            return Err(ForwardError::OutOfMemory("one at most".into()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(batch.iter().map(|_| Ok(vec![1.0])).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_with_little_memory_makes_no_batch_of_another_smaller() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(&folder.path().join("journal"), 40).unwrap();
    let side = Unequal::default();
    let forward = Forward::start(side.clone(), LIMITS, &Turns::new(2, 2), &Arc::default());
    let ask = |number: u32| {
        let (forward, journal) = (&forward, &journal);
        async move {
            let slot = journal.enter(ItemAt { work: 1, index: number }).await.unwrap();
            forward.embed(number, None, false, &Arc::new(slot)).await
        }
    };
    let embedded = futures::future::join_all((0..40).map(ask)).await;
    assert!(embedded.iter().all(|embedded| matches!(embedded, Some(Ok(_)))));
    let of = |device: usize| {
        let batches = side.0.lock().unwrap();
        let of_device = batches.iter().filter(|(of, _)| *of == device);
        of_device.map(|(_, items)| *items).collect::<Vec<usize>>()
    };
    assert_eq!(of(0)[..5], [4; 5]);
    let once_it_is_known = of(1).into_iter().skip_while(|items| *items > 1);
    assert!(once_it_is_known.clone().count() > 4 && once_it_is_known.into_iter().all(|items| items == 1));
}
