use super::*;
use crate::ipc::ItemAt;
use crate::journal::Journal;
use crate::model::{Embedding, ForwardError, NoModel, Pixels};
use async_trait::async_trait;
use futures::FutureExt as _;
use sightline_core::{FieldDescription, ModelName, PreviewFormat, PreviewSpec, VectorField};
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(20);
const PLACES: usize = 4;
const PREVIEW_BYTES: u64 = 1 << 16;

/// Tells which pictures it decodes, and goes on with each when it is let.
#[derive(Debug)]
struct Gated {
    none: NoModel,
    begun: Sender<Vec<u8>>,
    gate: Mutex<Receiver<()>>,
}

#[async_trait]
impl EmbeddingModel for Gated {
    fn name(&self) -> &ModelName {
        self.none.name()
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        self.none.fields()
    }

    fn devices(&self) -> Vec<String> {
        self.none.devices()
    }

    fn decode_bytes(&self, bytes: &[u8], reading: &Reading) -> u64 {
        match reading.preview {
            _ if bytes == b"large" => u64::MAX,
            Some(_) => PREVIEW_BYTES,
            None => 0,
        }
    }

    fn prepare(&self, bytes: &[u8], _: &Reading) -> Result<Prepared, InputError> {
        self.begun.send(bytes.to_vec()).unwrap();
        self.gate.lock().unwrap().recv().unwrap();
        Ok(Prepared::from(Pixels::new(())))
    }

    async fn embed_images(&self, device: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        self.none.embed_images(device, batch).await
    }

    async fn embed_texts(&self, device: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        self.none.embed_texts(device, batch).await
    }
}

struct Bench {
    room: Arc<Room>,
    places: Arc<Semaphore>,
    stages: Arc<Stages>,
    slot: Arc<Slot>,
    begun: Receiver<Vec<u8>>,
    gate: Sender<()>,
    pool: DecodePool,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new(threads: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(&folder.path().join("journal"), 1).unwrap();
        let slot = journal.enter(ItemAt { work: 1, index: 0 }).await.unwrap();
        let (told, begun) = channel();
        let (gate, gated) = channel();
        let model: Arc<dyn EmbeddingModel> = Arc::new(Gated {
            none: NoModel(ModelName::new("none").unwrap()),
            begun: told,
            gate: Mutex::new(gated),
        });
        let (stages, room) = (Arc::new(Stages::default()), Arc::new(Room::new(1 << 20)));
        Self {
            pool: DecodePool::start(Decoding::Threads, threads, 8, &model, &stages, &room).unwrap(),
            places: Arc::new(Semaphore::new(PLACES)),
            slot: Arc::new(slot),
            room,
            stages,
            begun,
            gate,
            _folder: folder,
        }
    }

    /// Decodes a picture that holds a block of room and a place.
    async fn decode(&self, picture: &'static str) -> Option<Decoded> {
        self.decode_as(picture, Reading::default()).await
    }

    async fn decode_as(&self, picture: &'static str, reading: Reading) -> Option<Decoded> {
        let hold = Hold {
            room: self.room.fetch(1).now_or_never().flatten(),
            span: None,
            place: Arc::clone(&self.places).try_acquire_owned().unwrap(),
        };
        let (key, bytes) = (ItemKey::new(picture).unwrap(), Bytes::from_static(picture.as_bytes()));
        let (reading, waiting) = (Arc::new(reading), self.stages.wait(JournalStage::Decode));
        self.pool.decode(&key, bytes, hold, &reading, &self.slot, waiting).await
    }

    fn begun(&self) -> Vec<u8> {
        self.begun.recv_timeout(PATIENCE).unwrap()
    }

    fn held(&self) -> (u64, usize) {
        (self.room.taken(), PLACES - self.places.available_permits())
    }
}

#[tokio::test]
async fn a_picture_that_is_given_up_in_the_queue_holds_what_it_has_until_it_is_dropped_undecoded() {
    let bench = Bench::new(1).await;
    let mut first = Box::pin(bench.decode("first"));
    assert!(first.as_mut().now_or_never().is_none());
    assert_eq!(bench.begun(), b"first");
    let (block, one) = bench.held();
    assert_eq!((block > 0, one), (true, 1));

    // Asked for, and given up while the only thread decodes the first.
    assert!(bench.decode("second").now_or_never().is_none());
    assert_eq!(bench.held(), (2 * block, 2));

    bench.gate.send(()).unwrap();
    bench.gate.send(()).unwrap();
    drop(first.await.unwrap());
    let third = bench.decode("third").await.unwrap();
    assert_eq!(bench.begun(), b"third");
    assert_eq!(
        bench.held(),
        (block, 1),
        "what was decoded holds it until it is dropped"
    );
    drop(third);
    assert_eq!(bench.held(), (0, 0));
}

#[tokio::test]
async fn a_picture_takes_room_for_the_preview_that_is_made_of_it_while_it_is_decoded() {
    let bench = Bench::new(1).await;
    let mut plain = Box::pin(bench.decode("plain"));
    assert!(plain.as_mut().now_or_never().is_none());
    assert_eq!(bench.begun(), b"plain");
    let (block, _) = bench.held();
    bench.gate.send(()).unwrap();
    drop(plain.await.unwrap());

    let reading = Reading {
        preview: Some(PreviewSpec {
            width: 100,
            height: 100,
            format: PreviewFormat::Png,
            root: None,
        }),
        ..Reading::default()
    };
    let mut previewed = Box::pin(bench.decode_as("previewed", reading));
    assert!(previewed.as_mut().now_or_never().is_none());
    assert_eq!(bench.begun(), b"previewed");
    assert_eq!(bench.held().0, block + PREVIEW_BYTES);
    bench.gate.send(()).unwrap();
    let decoded = previewed.await.unwrap();
    assert_eq!(bench.held().0, block);
    drop(decoded);
}

#[tokio::test]
async fn a_picture_that_is_given_up_while_it_waits_for_room_is_not_decoded() {
    let bench = Bench::new(2).await;
    let mut first = Box::pin(bench.decode("first"));
    assert!(first.as_mut().now_or_never().is_none());
    assert_eq!(bench.begun(), b"first");
    let mut large = Box::pin(bench.decode("large"));
    assert!(large.as_mut().now_or_never().is_none());
    while bench.room.waiting() == 0 {
        std::thread::yield_now();
    }
    drop(large);
    bench.gate.send(()).unwrap();
    drop(first.await.unwrap());
    // The threads end with the pool, and the model with them.
    drop((bench.pool, bench.gate));
    assert_eq!(bench.begun.iter().next(), None);
    assert_eq!((bench.room.taken(), bench.places.available_permits()), (0, PLACES));
}
