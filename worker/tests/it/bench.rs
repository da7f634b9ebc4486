//! A whole worker in one folder: local store, in-process queue, one index file, real engines.

use bytes::Bytes;
use sightline_core::message::{Envelope, queues};
use sightline_core::{
    CollectionName, DatasetName, DatasetSpec, DoneReport, Item, ItemKey, JobKind, Manifest, ManifestEntry, ModelName,
    ObjectRef, Outcome, Row, RunDocument, RunId, RunSpec, ShardId, ShardMessage, ShardResult, Source, SystemClock,
    Timestamp,
};
use sightline_index::{Projection, VectorIndex};
use sightline_objects::{LocalStore, ObjectStore};
use sightline_queue::{JobQueue, MemoryQueue, Message, QueueOptions, Subscription};
use sightline_state::State;
use sightline_telemetry::Metrics;
use sightline_worker::config::{
    DatasetsConfig, DeviceName, EngineConfig, EngineTelemetry, ModelConfig, PipelineConfig, SupervisorConfig,
};
use sightline_worker::{EngineCommand, Seams, Worker, WorkerError, WorkerService};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// No test waits longer for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) pictures: LocalStore,
    pub(crate) state: State,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) index: Arc<dyn VectorIndex>,
    store: Arc<dyn ObjectStore>,
    done: Box<dyn Subscription>,
}

pub(crate) struct Running {
    pub(crate) service: WorkerService,
    pub(crate) shutdown: CancellationToken,
    pub(crate) metrics: Metrics,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<(), WorkerError> {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it ends")
            .expect("it does not panic")
    }

    /// Drops it where it stands.
    pub(crate) async fn vanish(self) {
        self.task.abort();
        assert!(self.task.await.is_err());
    }

    pub(crate) async fn end(self) -> Result<(), WorkerError> {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it ends")
            .expect("it does not panic")
    }
}

pub(crate) fn model() -> ModelName {
    ModelName::new("digests").unwrap()
}

pub(crate) fn collection() -> CollectionName {
    CollectionName::new("c").unwrap()
}

/// The test engine lies beside the test programs.
fn test_engine() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let engine = own
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join("examples/test_engine");
    assert!(
        engine.exists(),
        "no {}: cargo build -p sightline-worker --example test_engine",
        engine.display()
    );
    engine
}

pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let poll = async {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        loop {
            interval.tick().await;
            if let Some(found) = check().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("model")).unwrap();
        let options = QueueOptions {
            delay_steps: vec![Duration::from_millis(20)],
            ..QueueOptions::default()
        };
        let queue: Arc<dyn JobQueue> = Arc::new(MemoryQueue::new(options).unwrap());
        queue.declare(&queues::shards(&model())).await.unwrap();
        let done = queue.subscribe(queues::TOPIC_DONE).await.unwrap();
        let address = format!("sqlite:{}", path("index.db").display());
        let index = sightline_index::open(&address, &sightline_index::OpenOptions::default())
            .await
            .unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::create(path("state")).await.unwrap());
        Self {
            pictures: LocalStore::create(path("pictures")).await.unwrap(),
            state: State::new(Arc::clone(&store)),
            store,
            queue,
            index,
            done,
            folder,
        }
    }

    /// Switches a fault of the test engine on.
    pub(crate) fn switch_on(&self, fault: &str) {
        std::fs::write(self.folder.path().join("model").join(fault), "").unwrap();
    }

    pub(crate) fn switch_off(&self, fault: &str) {
        std::fs::remove_file(self.folder.path().join("model").join(fault)).unwrap();
    }

    pub(crate) fn is_on(&self, mark: &str) -> bool {
        self.folder.path().join("model").join(mark).exists()
    }

    /// Objects that the engine has read so far.
    pub(crate) fn fetches(&self) -> usize {
        self.fetched().len()
    }

    /// Their keys, in the order in which they were read.
    pub(crate) fn fetched(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("model/fetches.log"));
        log.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Parts of objects that the engine has read so far.
    pub(crate) fn ranges(&self) -> usize {
        self.lines("ranges.log")
    }

    /// Answers of the index to lookups of the engine so far.
    pub(crate) fn lookups(&self) -> usize {
        self.lines("lookups.log")
    }

    fn lines(&self, log: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("model").join(log));
        log.map_or(0, |log| log.lines().count())
    }

    pub(crate) fn config(&self) -> SupervisorConfig {
        let pipeline = PipelineConfig {
            max_items: 16,
            decode_threads: 2,
            batch_items: 4,
            upsert_rows: 8,
            max_object_bytes: 1000,
            attempts: 2,
            retry_ms: 5,
            max_retry_ms: 10,
            index_patience_seconds: 0,
            upsert_linger_ms: 20,
            ..PipelineConfig::default()
        };
        let engine = EngineConfig {
            model: ModelConfig {
                folder: Some(self.folder.path().join("model")),
                name: model(),
                device: DeviceName::Cpu,
                devices: String::new(),
                precision: "f32".into(),
                threads: 1,
                truncate_dim: None,
                decode: "exact".into(),
                trusted_torchscript: Vec::new(),
                max_pixels: 1,
            },
            index: format!("sqlite:{}", self.folder.path().join("index.db").display()),
            datasets: DatasetsConfig {
                allow_files: true,
                ..DatasetsConfig::default()
            },
            pipeline,
            telemetry: EngineTelemetry::default(),
            embedding: None,
            memory_limit: None,
        };
        SupervisorConfig {
            grace: Duration::from_secs(20),
            restart_delay: Duration::from_millis(1),
            report_every: Duration::from_millis(50),
            stop_cached: Duration::from_millis(10),
            pause: Duration::from_millis(5),
            max_pause: Duration::from_millis(50),
            ..SupervisorConfig::new("w1".into(), engine)
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(self.config())
    }

    pub(crate) fn start_with(&self, config: SupervisorConfig) -> Running {
        self.start_engine(config, Self::command(None))
    }

    /// An engine that may have so much memory of its own.
    pub(crate) fn command(memory_bytes: Option<u64>) -> EngineCommand {
        EngineCommand {
            program: test_engine(),
            args: vec![],
            memory_bytes,
        }
    }

    pub(crate) fn start_engine(&self, config: SupervisorConfig, command: EngineCommand) -> Running {
        let seams = Seams {
            state: Arc::clone(&self.store),
            queue: Arc::clone(&self.queue),
            index: Arc::clone(&self.index),
            clock: Arc::new(SystemClock),
        };
        let metrics = Metrics::new("test", "1");
        let worker = Worker::new(config, command, seams, &metrics).unwrap();
        let shutdown = CancellationToken::new();
        Running {
            service: worker.service(),
            metrics,
            task: tokio::spawn(worker.run(shutdown.clone())),
            shutdown,
        }
    }

    /// Stores a picture and makes an item of it.
    pub(crate) async fn picture(&self, key: &str, body: &str) -> Item {
        self.pictures.put(key, Bytes::from(body.to_owned())).await.unwrap();
        let meta = self.pictures.head(key).await.unwrap();
        let mut item = Item::new(ItemKey::new(key).unwrap());
        item.image = Some(ObjectRef {
            key: key.into(),
            etag: meta.etag,
            size: meta.size,
        });
        item
    }

    /// Writes a run with one shard of these entries; does not publish it.
    pub(crate) async fn plan(&self, request: &str, entries: Vec<ManifestEntry>) -> ShardMessage {
        self.plan_as(request, entries, |_| {}).await
    }

    /// As [`Bench::plan`], with a specification of one's own.
    pub(crate) async fn plan_as(
        &self,
        request: &str,
        entries: Vec<ManifestEntry>,
        adjust: impl FnOnce(&mut RunSpec),
    ) -> ShardMessage {
        let run = RunId::of_request("test", request);
        let mut spec = RunSpec {
            kind: JobKind::Embed,
            dataset: DatasetSpec {
                name: DatasetName::new("d").unwrap(),
                root: self.pictures.root().into(),
                source: Source::Prefix {},
                dicom: None,
            },
            collection: collection(),
            model: Some(model()),
            fingerprints: BTreeMap::new(),
            fields: vec![],
            index: None,
            shard_items: 256,
            window_shards: 256,
            max_failures: None,
            max_failure_share: None,
            mirror: None,
            previews: None,
            selection: None,
        };
        adjust(&mut spec);
        let kind = spec.kind;
        let document = RunDocument {
            run: run.clone(),
            caller: "test".into(),
            request_id: request.into(),
            spec,
            rows_before: None,
            created_at: Timestamp(1),
            traceparent: None,
        };
        self.state.create_run(&document).await.unwrap();
        let manifest = Manifest {
            run: run.clone(),
            kind,
            entries,
        };
        let shard = self.state.put_manifest(&manifest).await.unwrap();
        ShardMessage {
            kind,
            run,
            shard,
            attempt: 1,
            traceparent: None,
        }
    }

    pub(crate) async fn publish(&self, message: &ShardMessage) {
        if message.kind.needs_model() {
            return self.publish_bytes(message.to_bytes()).await;
        }
        self.queue.declare(queues::SHARDS_ANY).await.unwrap();
        self.publish_to(queues::SHARDS_ANY, message.to_bytes()).await;
    }

    pub(crate) async fn publish_bytes(&self, body: Vec<u8>) {
        self.publish_to(&queues::shards(&model()), body).await;
    }

    async fn publish_to(&self, queue: &str, body: Vec<u8>) {
        let message = Message {
            id: "m".into(),
            body: body.into(),
            traceparent: None,
        };
        self.queue.publish(queue, message).await.unwrap();
    }

    /// Waits until a shard is announced as done.
    pub(crate) async fn done(&mut self) -> ShardId {
        let body = tokio::time::timeout(PATIENCE, self.done.next())
            .await
            .expect("a shard is done")
            .unwrap();
        serde_json::from_slice::<DoneReport>(&body).unwrap().shard
    }

    /// Publishes a shard and waits for its result.
    pub(crate) async fn work(&mut self, message: &ShardMessage) -> ShardResult {
        self.publish(message).await;
        assert_eq!(self.done().await, message.shard);
        self.result(message).await
    }

    pub(crate) async fn result(&self, message: &ShardMessage) -> ShardResult {
        self.state
            .result(&message.run, &message.shard)
            .await
            .unwrap()
            .expect("there is a result")
    }

    pub(crate) async fn rows(&self) -> Vec<Row> {
        self.index
            .scan(&collection(), None, None, 1000, Projection::WithVectors)
            .await
            .unwrap()
    }

    /// Whether no message is left, neither waiting nor in a worker's hands, and how many are dead letters.
    pub(crate) async fn dead_letters(&self) -> u64 {
        let dead = sightline_queue::dead_letters(&queues::shards(&model()));
        self.queue.depth(&dead).await.unwrap().ready
    }
}

pub(crate) fn entries(items: Vec<Item>) -> Vec<ManifestEntry> {
    items.into_iter().map(ManifestEntry::Item).collect()
}

/// How an item ended, in short: `indexed`, `skipped gone`, `failed corrupt_image stale`.
pub(crate) fn ends(result: &ShardResult) -> BTreeMap<String, String> {
    let short = |outcome: &Outcome| match outcome {
        Outcome::Indexed { .. } => "indexed".to_owned(),
        Outcome::Unchanged { .. } => "unchanged".to_owned(),
        Outcome::Skipped { reason, .. } => format!("skipped {reason}"),
        Outcome::Failed { reason, stale, .. } => format!("failed {reason}{}", if *stale { " stale" } else { "" }),
    };
    result
        .items
        .iter()
        .map(|item| (item.key.to_string(), short(&item.outcome)))
        .collect()
}
