//! A coordinator over the embedded seams, and a worker that only writes results.

use sightline_coordinator::{Coordinator, CoordinatorService, PlannerOptions, Seams};
use sightline_core::message::{Envelope, queues};
use sightline_core::{
    FailureReason, ItemOutcome, JobKind, Link, ManifestEntry, ModelName, Outcome, OutcomeCounts, PlanMessage, RunId,
    ShardMessage, ShardResult, SystemClock, Timestamp,
};
use sightline_index::{LazyIndex, VectorIndex};
use sightline_objects::{FileAccess, LocalStore, ObjectStore, OpenOptions, Stores};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use sightline_queue::{Consumer, Delivery, JobQueue, Message, QueueOptions};
use sightline_state::State;
use sightline_telemetry::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Request;

/// Nothing here takes longer on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) state: State,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
}

impl Fixture {
    /// A dataset of so many files, and a coordinator that plans.
    pub(crate) async fn new(files: usize) -> Self {
        Self::behind(files, |queue| queue).await
    }

    /// The same, with something between the coordinator and its queue.
    pub(crate) async fn behind(files: usize, wrap: impl FnOnce(Arc<dyn JobQueue>) -> Arc<dyn JobQueue>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dataset = folder.path().join("dataset");
        std::fs::create_dir(&dataset).unwrap();
        for at in 0..files {
            std::fs::write(dataset.join(format!("{at:04}.png")), format!("picture {at}")).unwrap();
        }
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let queue = sightline_queue::open("memory:", QueueOptions::default()).unwrap();
        let mut fixture = Self::over(folder, wrap(queue)).await;
        fixture.start();
        fixture
    }

    pub(crate) async fn over(folder: tempfile::TempDir, queue: Arc<dyn JobQueue>) -> Self {
        let options = PlannerOptions {
            shards_per_link: 2,
            page_entries: 7,
            ..PlannerOptions::default()
        };
        let state = folder.path().join("state");
        Self::with(folder, &state, queue, options).await
    }

    /// Another coordinator with the state and the queue of one, and the usual bounds.
    pub(crate) async fn beside(other: &Self) -> Self {
        let (folder, state) = (tempfile::tempdir().unwrap(), other.folder.path().join("state"));
        Self::with(folder, &state, Arc::clone(&other.queue), PlannerOptions::default()).await
    }

    /// Another coordinator with the queue of one, and a state root of its own.
    pub(crate) async fn reading(other: &Self, state: Arc<dyn ObjectStore>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(folder, state, Arc::clone(&other.queue), PlannerOptions::default()).await
    }

    async fn with(
        folder: tempfile::TempDir,
        state: &std::path::Path,
        queue: Arc<dyn JobQueue>,
        options: PlannerOptions,
    ) -> Self {
        let state = Arc::new(LocalStore::open(state).await.unwrap());
        Self::of(folder, state, queue, options).await
    }

    async fn of(
        folder: tempfile::TempDir,
        state: Arc<dyn ObjectStore>,
        queue: Arc<dyn JobQueue>,
        options: PlannerOptions,
    ) -> Self {
        let state = State::new(state);
        let datasets = Arc::new(Stores::new(OpenOptions {
            files: FileAccess::Allowed,
            ..OpenOptions::default()
        }));
        let index = sqlite(folder.path()).await;
        let seams = Seams {
            state: state.clone(),
            datasets,
            queue: Arc::clone(&queue),
            index: Some(Arc::new(LazyIndex::of(Arc::clone(&index)))),
            clock: Arc::new(SystemClock),
        };
        let metrics = Metrics::new("test", "0");
        let coordinator = Arc::new(Coordinator::new(seams, options, &metrics).unwrap());
        Self {
            folder,
            state,
            queue,
            index,
            coordinator,
            metrics,
            shutdown: CancellationToken::new(),
        }
    }

    pub(crate) fn start(&mut self) {
        let (coordinator, shutdown) = (Arc::clone(&self.coordinator), self.shutdown.clone());
        tokio::spawn(async move { coordinator.plan(shutdown).await.unwrap() });
    }

    pub(crate) fn api(&self) -> CoordinatorService {
        let shutdown = self.shutdown.clone();
        let coordinator = Arc::clone(&self.coordinator);
        coordinator.api(shutdown)
    }

    pub(crate) fn spec(&self) -> v1::RunSpec {
        v1::RunSpec {
            kind: v1::JobKind::Embed.into(),
            dataset: Some(v1::Dataset {
                name: "pictures".into(),
                root: format!("file://{}", self.folder.path().join("dataset").display()),
                source: Some(v1::dataset::Source::Prefix(v1::PrefixSource {})),
                dicom: None,
            }),
            collection: "collections/pictures".into(),
            model: "test-model".into(),
            shard_items: 10,
            ..v1::RunSpec::default()
        }
    }

    /// The same of a table, at a path from the dataset's root on.
    pub(crate) fn spec_of_table(&self, path: &str) -> v1::RunSpec {
        let mut spec = self.spec();
        let table = v1::ManifestSource {
            path: path.into(),
            ..v1::ManifestSource::default()
        };
        spec.dataset.as_mut().unwrap().source = Some(v1::dataset::Source::Manifest(table));
        spec
    }

    pub(crate) async fn create(&self, request_id: &str, spec: v1::RunSpec) -> Result<v1::Run, tonic::Status> {
        let request = v1::CreateRunRequest {
            spec: Some(spec),
            request_id: request_id.into(),
            ..v1::CreateRunRequest::default()
        };
        Ok(self.api().create_run(Request::new(request)).await?.into_inner())
    }

    pub(crate) async fn consumer(&self) -> Box<dyn Consumer> {
        let queue = queues::shards(&ModelName::new("test-model").unwrap());
        self.queue.declare(&queue).await.unwrap();
        self.queue.consume(&queue, 10).await.unwrap()
    }

    /// Waits until a run looks as wanted.
    pub(crate) async fn until(&self, run: &str, wanted: impl Fn(&v1::Run) -> bool) -> v1::Run {
        let request = v1::WatchRunRequest { name: run.into() };
        let mut states = self.api().watch_run(Request::new(request)).await.unwrap().into_inner();
        let found = tokio::time::timeout(LIMIT, async {
            while let Some(state) = states.next().await {
                let run = state.unwrap().run.unwrap();
                if wanted(&run) {
                    return run;
                }
            }
            panic!("the stream ended before the run looked as wanted");
        });
        found.await.unwrap()
    }
}

async fn sqlite(folder: &std::path::Path) -> Arc<dyn VectorIndex> {
    let address = format!("sqlite:{}", folder.join("index.db").display());
    sightline_index::open(&address, &sightline_index::OpenOptions::default())
        .await
        .unwrap()
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The id in a run's name.
pub(crate) fn id(run: &v1::Run) -> RunId {
    RunId::new(run.name.trim_start_matches("runs/")).unwrap()
}

/// A message that asks for a link of a run to be planned.
pub(crate) fn planning(run: &RunId, link: Link, watch: bool) -> Message {
    let message = PlanMessage {
        kind: JobKind::Embed,
        run: run.clone(),
        link,
        watch,
        attempt: 1,
        traceparent: None,
    };
    Message {
        id: format!("planning of {run}"),
        body: message.to_bytes().into(),
        traceparent: None,
    }
}

/// Takes one shard as a worker would, with every item indexed but those whose keys `fails` names.
pub(crate) async fn work(fixture: &Fixture, consumer: &mut dyn Consumer, fails: &[&str]) -> Vec<String> {
    let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().unwrap();
    finish(fixture, delivery, fails).await
}

/// Works on a delivery like that.
pub(crate) async fn finish(fixture: &Fixture, delivery: Delivery, fails: &[&str]) -> Vec<String> {
    let message = ShardMessage::from_bytes(&delivery.message.body).unwrap();
    let manifest = fixture.state.manifest(&message.run, &message.shard).await.unwrap();
    let outcome = |entry: &ManifestEntry| match entry {
        ManifestEntry::Ended(ended) => ended.outcome.clone(),
        ManifestEntry::Item(item) if fails.contains(&item.key.as_str()) => {
            Outcome::failed(FailureReason::CorruptImage, "cut")
        }
        ManifestEntry::Item(_) => Outcome::Indexed { digest: "d".into() },
    };
    let items: Vec<ItemOutcome> = manifest
        .entries
        .iter()
        .map(|entry| ItemOutcome {
            key: entry.key().clone(),
            line: None,
            outcome: outcome(entry),
        })
        .collect();
    let mut counts = OutcomeCounts::default();
    items.iter().for_each(|item| counts.add(&item.outcome));
    let keys = items.iter().map(|item| item.key.to_string()).collect();
    let result = ShardResult {
        run: message.run.clone(),
        shard: message.shard.clone(),
        worker: "w".into(),
        started_at: Timestamp(1),
        finished_at: Timestamp(2),
        stage_ms: Default::default(),
        counts,
        items,
    };
    fixture
        .state
        .put_result(&result, &format!("{:04}-w", message.attempt))
        .await
        .unwrap();
    delivery.receipt.ack().await.unwrap();
    keys
}
