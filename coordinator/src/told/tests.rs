use super::*;
use crate::hints;
use crate::metrics::CoordinatorMetrics;
use crate::progress::RunState;
use crate::run_meters::RunMeters;
use crate::tracker::Tracker;
use bytes::Bytes;
use sightline_core::document::Document;
use sightline_core::message::queues;
use sightline_core::{
    DoneReport, Link, OutcomeCounts, PlanNode, PlannedShard, RunDocument, RunId, ShardResult, SystemClock, Timestamp,
};
use sightline_objects::LocalStore;
use sightline_queue::QueueOptions;
use sightline_state::State;
use sightline_telemetry::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A run of two shards. The tests' time stands still: but for what is told, nobody has a reason to read it again.
struct Run {
    tracker: Tracker,
    state: State,
    id: RunId,
    shards: [ShardId; 2],
    _folder: tempfile::TempDir,
}

impl Run {
    async fn planned() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(Arc::new(LocalStore::open(folder.path()).await.unwrap()));
        let queue = sightline_queue::open("memory:", QueueOptions::default()).unwrap();
        let document = document();
        state.create_run(&document).await.unwrap();
        let shards = [b"one", b"two"].map(|manifest| ShardId::of_manifest(manifest));
        let planned = shards.clone().map(|id| PlannedShard { id, items: 1, bytes: 1 });
        let root = PlanNode {
            run: document.run.clone(),
            link: Link::default(),
            shards: planned.into(),
            children: Vec::new(),
            next: None,
        };
        state.put_plan_node(&root).await.unwrap();
        let of = Metrics::new("test", "1");
        let (meters, metrics) = (RunMeters::new(&of).unwrap(), CoordinatorMetrics::new(&of).unwrap());
        Self {
            tracker: Tracker::new(state.clone(), queue, Arc::new(SystemClock), meters, metrics),
            state,
            id: document.run,
            shards,
            _folder: folder,
        }
    }

    async fn work(&self) {
        for shard in &self.shards {
            let result = ShardResult {
                run: self.id.clone(),
                shard: shard.clone(),
                worker: "w".into(),
                started_at: Timestamp(1),
                finished_at: Timestamp(2),
                stage_ms: Default::default(),
                counts: OutcomeCounts::default(),
                items: Vec::new(),
            };
            self.state.put_result(&result, "0001-w").await.unwrap();
        }
    }

    fn report(&self, shard: &ShardId) -> DoneReport {
        DoneReport {
            run: self.id.clone(),
            shard: shard.clone(),
        }
    }

    async fn tell(&self, shard: &ShardId) {
        self.tracker.heard(self.report(shard)).await;
    }

    async fn done(&self) -> (u64, RunState) {
        let snapshot = self.tracker.snapshot(&self.id).await.unwrap().unwrap();
        (snapshot.done_shards, snapshot.state)
    }
}

fn document() -> RunDocument {
    let frozen = include_bytes!("../../../crates/core/tests/frozen/run-v1.json");
    RunDocument::from_bytes(frozen).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_is_read_again_at_once_when_all_that_it_misses_was_told() {
    let run = Run::planned().await;
    assert_eq!(run.done().await, (0, RunState::Running));
    run.work().await;
    assert_eq!(run.done().await, (0, RunState::Running), "it was read a moment ago");
    let [one, two] = &run.shards;
    run.tell(one).await;
    assert_eq!(run.done().await, (0, RunState::Running), "the other may take hours");
    run.tell(two).await;
    assert_eq!(run.done().await, (2, RunState::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_finds_nothing_is_not_repeated_until_all_was_told_again() {
    let run = Run::planned().await;
    run.done().await;
    let [one, two] = &run.shards;
    for shard in [one, two] {
        run.tell(shard).await;
    }
    assert_eq!(run.done().await, (0, RunState::Running), "nothing of it is true");
    run.work().await;
    run.tell(one).await;
    assert_eq!(run.done().await, (0, RunState::Running));
    run.tell(two).await;
    assert_eq!(run.done().await, (2, RunState::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_woken_when_all_was_told_also_before_they_wait() {
    let run = Run::planned().await;
    run.done().await;
    let waiting = run.tracker.all_told(&run.id);
    tokio::pin!(waiting);
    let [one, two] = &run.shards;
    run.tell(one).await;
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    run.tell(two).await;
    // Time goes on where nothing else does.
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap();
    tokio::time::timeout(limit, run.tracker.all_told(&run.id))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_woken_by_what_workers_broadcast_behind_a_report_that_cannot_be_read() {
    let run = Run::planned().await;
    run.done().await;
    let (tracker, shutdown) = (&run.tracker, CancellationToken::new());
    let queue = tracker.queue.as_ref();
    let hear = move |report: DoneReport| tracker.heard(report);
    let listening = hints::listen(queue, queues::TOPIC_DONE, &shutdown, hear);
    let waiting = tracker.all_told(&run.id);
    tokio::pin!(listening, waiting);
    assert!(futures::poll!(listening.as_mut()).is_pending());
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let reports = run.shards.iter().map(|shard| serde_json::to_vec(&run.report(shard)));
    let reports = reports.map(Result::unwrap).map(Bytes::from);
    for body in std::iter::once(Bytes::from("no report")).chain(reports) {
        queue.broadcast(queues::TOPIC_DONE, body).await.unwrap();
    }
    // Once each: no time passes, and whoever had to listen again would wait for that.
    assert!(futures::poll!(listening.as_mut()).is_pending());
    assert!(futures::poll!(waiting.as_mut()).is_ready());
}

#[test]
fn what_is_told_of_a_run_that_nobody_reads_is_bounded() {
    let told = Told::default();
    for number in 0..10 * MOST {
        told.add(ShardId::of_manifest(&number.to_le_bytes()));
    }
    assert_eq!(told.shards().len(), MOST);
}
