//! Messages: taken, handed back, refused.

use crate::bench::{Bench, collection, entries, eventually, model};
use sightline_core::layout::run_document;
use sightline_core::message::{Envelope, queues};
use sightline_core::{
    CollectionDescription, FieldDescription, IndexKind, ModelName, ShardMessage, StopReason, VectorField, VectorSpace,
    WorkerReport,
};
use sightline_proto::v1;
use sightline_proto::v1::worker_server::Worker as _;
use sightline_proto::v1::worker_status::State;
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test]
async fn while_the_index_is_away_the_shard_goes_back_the_worker_says_so_and_later_it_is_done() {
    let mut bench = Bench::new().await;
    let picture = bench.picture("p", "picture").await;
    let message = bench.plan("away", entries(vec![picture])).await;
    let mut reports = bench.queue.subscribe(queues::TOPIC_WORKERS).await.unwrap();
    bench.switch_on("index-away");
    bench.publish(&message).await;
    let worker = bench.start();
    let waiting = loop {
        let report: WorkerReport = serde_json::from_slice(&reports.next().await.unwrap()).unwrap();
        assert_eq!((report.worker.as_str(), &report.model), ("w1", &model()));
        if let Some(waiting) = report.waiting_for {
            break waiting;
        }
    };
    assert!(waiting.contains("the index is not available"), "{waiting}");
    assert!(
        bench
            .state
            .result(&message.run, &message.shard)
            .await
            .unwrap()
            .is_none()
    );

    bench.switch_off("index-away");

    bench.done().await;
    assert_eq!(bench.result(&message).await.counts.indexed, 1);
    assert_eq!(bench.dead_letters().await, 0);
    eventually("it waits for nothing", async || {
        worker.service.status().waiting_for.is_empty().then_some(())
    })
    .await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn what_was_computed_is_kept_while_the_index_is_away_for_less_than_the_patience_and_the_worker_says_so() {
    let mut bench = Bench::new().await;
    let picture = bench.picture("p", "BLOCK picture").await;
    let message = bench.plan("patience", entries(vec![picture])).await;
    let mut config = bench.config();
    config.engine.pipeline.index_patience_seconds = 600;
    bench.publish(&message).await;
    let worker = bench.start_with(config);
    eventually("the engine decodes", async || bench.is_on("blocked").then_some(())).await;
    bench.switch_on("index-away");
    bench.switch_on("released");
    eventually("the worker waits", async || {
        let waits = worker.service.status().waiting_for;
        waits.contains("the index is not available").then_some(())
    })
    .await;

    bench.switch_off("index-away");

    bench.done().await;
    assert_eq!(bench.result(&message).await.counts.indexed, 1);
    assert_eq!(bench.fetches(), 1, "it was read and computed once");
    eventually("it waits for nothing", async || {
        worker.service.status().waiting_for.is_empty().then_some(())
    })
    .await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_hands_back_what_waits_for_the_index() {
    let bench = Bench::new().await;
    let picture = bench.picture("p", "picture").await;
    let message = bench.plan("patience", entries(vec![picture])).await;
    bench.switch_on("index-away");
    bench.publish(&message).await;
    let mut config = bench.config();
    config.grace = Duration::from_secs(1);
    config.engine.pipeline.index_patience_seconds = 600;
    let worker = bench.start_with(config);
    eventually("the worker waits", async || {
        let waits = worker.service.status().waiting_for;
        waits.contains("the index is not available").then_some(())
    })
    .await;

    worker.end().await.unwrap();

    let mut consumer = bench.queue.consume(&queues::shards(&model()), 1).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(delivery.redeliveries, 0);
}

#[tokio::test]
async fn a_collection_of_another_model_stops_the_run_by_name_before_anything_is_written() {
    let bench = Bench::new().await;
    let other = |field: VectorField| {
        let space = VectorSpace {
            model: ModelName::new("another-model").unwrap(),
            weights: "others".into(),
            preprocessing: String::new(),
            decode: String::new(),
            pooling: String::new(),
            prefix: String::new(),
            dimension: 8,
            normalized: true,
        };
        (field, FieldDescription::new(space, vec![]))
    };
    let fields: BTreeMap<_, _> = VectorField::ALL.into_iter().map(other).collect();
    let description = CollectionDescription {
        name: collection(),
        fields,
        index: IndexKind::Flat,
    };
    bench.index.create(&description).await.unwrap();
    let picture = bench.picture("p", "picture").await;
    let message = bench.plan("mismatch", entries(vec![picture])).await;
    bench.publish(&message).await;
    let worker = bench.start();

    let stop = eventually("the run is stopped", async || {
        bench.state.stop(&message.run).await.unwrap()
    })
    .await;

    assert_eq!(stop.reason, StopReason::ModelMismatch);
    assert!(
        stop.message.contains("another-model") && stop.message.contains("digests"),
        "{}",
        stop.message
    );
    let metrics = worker.metrics.clone();
    worker.end().await.unwrap();
    let counted = "sightline_worker_runs_stopped_total{reason=\"model_mismatch\"} 1\n";
    assert!(metrics.encode().contains(counted), "{}", metrics.encode());
    assert!(bench.rows().await.is_empty());
    assert_eq!(bench.fetches(), 0);
    assert!(!bench.state.has_result(&message.run, &message.shard).await.unwrap());
    let left = bench.queue.depth(&queues::shards(&model())).await.unwrap().ready;
    assert_eq!((left, bench.dead_letters().await), (0, 0), "the message was acked");
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_hands_back_what_does_not_fit_and_no_delivery_is_counted() {
    let bench = Bench::new().await;
    let picture = bench.picture("p", "BLOCK").await;
    let message = bench.plan("blocked", entries(vec![picture])).await;
    bench.publish(&message).await;
    let mut config = bench.config();
    config.grace = Duration::from_secs(1);
    let worker = bench.start_with(config);
    eventually("the engine decodes", async || bench.is_on("blocked").then_some(())).await;

    worker.end().await.unwrap();

    let mut consumer = bench.queue.consume(&queues::shards(&model()), 1).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(delivery.redeliveries, 0);
    let copy = ShardMessage::from_bytes(&delivery.message.body).unwrap();
    assert_eq!(copy, ShardMessage { attempt: 2, ..message });
}

#[tokio::test]
async fn a_shard_that_is_worked_on_when_its_run_is_stopped_ends_and_no_other_is_started() {
    use sightline_core::{StopDocument, Timestamp};
    let bench = Bench::new().await;
    let picture = bench.picture("p", "BLOCK").await;
    let message = bench.plan("cancelled", entries(vec![picture])).await;
    bench.publish(&message).await;
    let mut config = bench.config();
    // What was read just before the run was stopped must not count for the shard that comes just after.
    config.stop_cached = Duration::ZERO;
    let worker = bench.start_with(config);
    eventually("the engine decodes", async || bench.is_on("blocked").then_some(())).await;
    let (reason, run) = (StopReason::Cancelled, message.run.clone());
    let stop = StopDocument {
        run,
        reason,
        message: "enough".into(),
        stopped_at: Timestamp(1),
    };
    bench.state.stop_run(&stop).await.unwrap();
    let other = bench.picture("q", "picture").await;
    let later = bench.plan("cancelled", entries(vec![other])).await;
    assert_eq!(later.run, message.run);
    bench.publish(&later).await;
    bench.switch_on("released");
    let result = eventually("the shard has a result", async || {
        bench.state.result(&message.run, &message.shard).await.unwrap()
    })
    .await;
    assert_eq!(result.counts.indexed, 1);
    eventually("nothing is in hand or waits", async || {
        let waits = bench.queue.depth(&queues::shards(&model())).await.unwrap().ready;
        (waits == 0 && worker.service.status().shards.is_empty()).then_some(())
    })
    .await;
    worker.end().await.unwrap();
    assert!(!bench.state.has_result(&later.run, &later.shard).await.unwrap());
}

#[tokio::test]
async fn what_a_newer_worker_wrote_is_kept_for_it_and_what_is_no_message_goes_to_the_dead_letters() {
    let bench = Bench::new().await;
    let worker = bench.start();
    let newer = br#"{"version":999,"kind":"embed","run":"x"}"#.to_vec();
    bench.publish_bytes(newer.clone()).await;
    bench
        .publish_bytes(br#"{"version":1,"kind":"teleport"}"#.to_vec())
        .await;
    let more = br#"{"version":1,"kind":"embed","more":{"of":1}}"#.to_vec();
    bench.publish_bytes(more.clone()).await;
    bench.publish_bytes(b"no message".to_vec()).await;
    eventually("the last is dead", async || {
        (bench.dead_letters().await == 1).then_some(())
    })
    .await;
    worker.end().await.unwrap();
    let mut consumer = bench.queue.consume(&queues::shards(&model()), 3).await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(consumer.next().await.unwrap());
    }
    assert!(kept.iter().all(|kept| kept.redeliveries == 0), "{kept:?}");
    let bodies: Vec<_> = kept.iter().map(|kept| kept.message.body.clone()).collect();
    assert!(
        bodies.contains(&newer.into()) && bodies.contains(&more.into()),
        "{bodies:?}"
    );
}

#[tokio::test]
async fn a_shard_of_a_run_with_a_field_of_a_newer_coordinator_is_kept_for_a_worker_that_knows_it() {
    let mut bench = Bench::new().await;
    let picture = bench.picture("p", "picture").await;
    let message = bench.plan("newer", entries(vec![picture])).await;
    let document = bench.folder.path().join("state").join(run_document(&message.run));
    let known = std::fs::read_to_string(&document).unwrap();
    std::fs::write(&document, known.replacen('{', "{\"more\":1,", 1)).unwrap();
    bench.publish(&message).await;
    bench.publish_bytes(b"no message".to_vec()).await;
    let worker = bench.start();
    eventually("what came behind it is dead", async || {
        (bench.dead_letters().await > 0).then_some(())
    })
    .await;
    worker.end().await.unwrap();
    assert_eq!(bench.dead_letters().await, 1, "the shard is not");

    std::fs::write(&document, known).unwrap();
    let worker = bench.start();
    assert_eq!(bench.done().await, message.shard);
    assert_eq!(bench.result(&message).await.counts.indexed, 1);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_drained_worker_takes_nothing_more_and_says_when_it_is_empty() {
    let mut bench = Bench::new().await;
    let picture = bench.picture("p", "picture").await;
    let message = bench.plan("before", entries(vec![picture.clone()])).await;
    let worker = bench.start();
    bench.work(&message).await;
    assert_eq!(worker.service.status().state(), State::Serving);
    worker
        .service
        .drain(tonic::Request::new(v1::DrainRequest {}))
        .await
        .unwrap();
    eventually("it is drained", async || {
        (worker.service.status().state() == State::Drained).then_some(())
    })
    .await;
    let late = bench.plan("after", entries(vec![picture])).await;
    bench.publish(&late).await;
    // Another takes it, while the drained one still lives; no delivery was spent on it.
    let mut consumer = bench.queue.consume(&queues::shards(&model()), 1).await.unwrap();
    let taken = tokio::time::timeout(crate::bench::PATIENCE, consumer.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.redeliveries, 0);
    taken.receipt.ack().await.unwrap();
    worker.end().await.unwrap();
}
