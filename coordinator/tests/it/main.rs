//! The coordinator over the embedded seams, with a worker that only writes results.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so and ends"
)]

mod between;
mod contested;
mod dead_letters;
mod fan_out;
mod fixture;
mod imports;
mod just_ended;
mod limits;
mod lost_links;
mod mirror;
mod preview;
mod reading;
mod retry;
mod rollups;
mod run_meters;
mod silent_broker;
mod state_root;
mod stops;
mod tars;
mod verify;
mod window;

use bytes::Bytes;
use fixture::{Fixture, LIMIT, id, planning, work};
use sightline_core::message::{Envelope, queues};
use sightline_core::{Link, ModelName, ShardMessage};
use sightline_objects::{LocalStore, ObjectStore};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use sightline_queue::{Message, QueueOptions};
use std::collections::BTreeSet;
use tonic::{Code, Request};

#[tokio::test]
async fn every_object_is_in_exactly_one_shard_and_the_run_ends_when_each_has_a_result() {
    let fixture = Fixture::new(45).await;
    std::fs::write(fixture.folder.path().join("dataset/notes.txt"), "no picture").unwrap();
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let mut consumer = fixture.consumer().await;
    let mut keys = Vec::new();
    while keys.len() < 46 {
        keys.extend(work(&fixture, consumer.as_mut(), &["0007.png"]).await);
    }
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 46, "each once");
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(ended.state(), v1::run::State::PartiallySucceeded);
    let counts = ended.counts.unwrap();
    assert_eq!((counts.indexed, counts.skipped, counts.failed), (44, 1, 1));
    assert_eq!(
        (ended.planned_items, ended.planned_shards, ended.done_shards),
        (46, 5, 5)
    );
    assert_eq!(
        ended.failures,
        [v1::run::ReasonCount {
            reason: "corrupt_image".into(),
            count: 1
        }]
    );
    assert_eq!(
        ended.skips,
        [v1::run::ReasonCount {
            reason: "unsupported_type".into(),
            count: 1
        }]
    );
    let request = v1::ListFailuresRequest {
        parent: run.name,
        page_size: 10,
        page_token: String::new(),
    };
    let failures = fixture
        .api()
        .list_failures(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(failures.failures.len(), 1);
    assert_eq!(failures.failures[0].key, "0007.png");
    assert_eq!(failures.next_page_token, "");
}

#[tokio::test]
async fn a_repeated_link_follows_its_node_and_does_not_list_again() {
    let fixture = Fixture::new(15).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    // Listed again, these would be in a shard of the repeated link.
    for at in 0..15 {
        std::fs::write(fixture.folder.path().join(format!("dataset/a{at}.png")), "late").unwrap();
    }
    let id = id(&run);
    let mut nodes_before = list(&fixture, &format!("runs/{id}/plan/")).await;
    fixture.create("r", fixture.spec()).await.unwrap();
    let root = planning(&id, Link::default(), false);
    fixture.queue.publish(queues::PLAN, root).await.unwrap();
    let mut consumer = fixture.consumer().await;
    // Two shards, each at least twice: from the first and from the repeated link.
    let mut shards = Vec::new();
    for _ in 0..4 {
        let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().unwrap();
        shards.push(ShardMessage::from_bytes(&delivery.message.body).unwrap().shard);
        delivery.receipt.ack().await.unwrap();
    }
    assert_eq!(shards.iter().collect::<BTreeSet<_>>().len(), 2);
    nodes_before.sort_unstable();
    assert_eq!(list(&fixture, &format!("runs/{id}/plan/")).await, nodes_before);
}

async fn list(fixture: &Fixture, prefix: &str) -> Vec<String> {
    let store = LocalStore::open(fixture.folder.path().join("state")).await.unwrap();
    let page = store.list(&sightline_objects::ListRequest::all(prefix)).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

#[tokio::test]
async fn a_run_has_no_more_shards_outstanding_than_its_window_and_one_link() {
    let fixture = Fixture::new(100).await;
    let spec = v1::RunSpec {
        window_shards: 2,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let stalled = fixture.until(&run.name, |run| run.planned_shards >= 2).await;
    assert_eq!(stalled.planned_shards, 2);
    let mut consumer = fixture.consumer().await;
    let mut keys = 0;
    while keys < 100 {
        keys += work(&fixture, consumer.as_mut(), &[]).await.len();
        let request = v1::GetRunRequest { name: run.name.clone() };
        let now = fixture.api().get_run(Request::new(request)).await.unwrap().into_inner();
        // Four for the one worker, where the window is less.
        assert!(now.planned_shards - now.done_shards <= 4, "{now:?}");
    }
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(ended.state(), v1::run::State::Succeeded);
}

#[tokio::test]
async fn a_repeated_request_finds_its_run_and_another_specification_is_refused() {
    let fixture = Fixture::new(3).await;
    let first = fixture.create("daily", fixture.spec()).await.unwrap();
    assert_eq!(fixture.create("daily", fixture.spec()).await.unwrap().name, first.name);
    let other = v1::RunSpec {
        shard_items: 11,
        ..fixture.spec()
    };
    assert_eq!(
        fixture.create("daily", other).await.unwrap_err().code(),
        Code::AlreadyExists
    );
}

#[tokio::test]
async fn every_mistake_of_a_request_is_told_with_its_field() {
    use tonic_types::StatusExt;
    let fixture = Fixture::new(0).await;
    let spec = v1::RunSpec {
        collection: "pictures".into(),
        model: String::new(),
        shard_items: 10_001,
        fields: vec!["image".into()],
        ..fixture.spec()
    };
    let status = fixture.create("", spec).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: BTreeSet<String> = status
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|wrong| wrong.field)
        .collect();
    let expected = [
        "request_id",
        "spec.collection",
        "spec.model",
        "spec.shard_items",
        "spec.fields",
    ];
    assert_eq!(fields, expected.map(String::from).into());
}

#[tokio::test]
async fn a_cancelled_run_reports_what_it_did_not_process_and_an_ended_one_is_not_cancelled() {
    let fixture = Fixture::new(20).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let mut consumer = fixture.consumer().await;
    let processed = work(&fixture, consumer.as_mut(), &[]).await.len();
    let cancel = |name: &str| Request::new(v1::CancelRunRequest { name: name.into() });
    fixture.until(&run.name, |run| run.done_shards == 1).await;
    let cancelled = fixture.api().cancel_run(cancel(&run.name)).await.unwrap().into_inner();
    assert_eq!(cancelled.state(), v1::run::State::Cancelled);
    assert_eq!(cancelled.unprocessed_items, 20 - i64::try_from(processed).unwrap());

    let ended = fixture
        .create(
            "r2",
            v1::RunSpec {
                model: "other".into(),
                ..fixture.spec()
            },
        )
        .await
        .unwrap();
    let queue = queues::shards(&ModelName::new("other").unwrap());
    fixture.queue.declare(&queue).await.unwrap();
    let mut consumer = fixture.queue.consume(&queue, 10).await.unwrap();
    work(&fixture, consumer.as_mut(), &[]).await;
    work(&fixture, consumer.as_mut(), &[]).await;
    fixture.until(&ended.name, |run| run.end_time.is_some()).await;
    let still = fixture
        .api()
        .cancel_run(cancel(&ended.name))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(still.state(), v1::run::State::Succeeded);
}

#[tokio::test]
async fn a_run_without_a_worker_for_its_model_says_that_it_waits() {
    let fixture = Fixture::new(3).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let waiting = fixture
        .until(&run.name, |run| run.state() == v1::run::State::Waiting)
        .await;
    assert_eq!(waiting.state_message, "no worker serves model test-model");
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    fixture
        .until(&run.name, |run| run.state() == v1::run::State::Succeeded)
        .await;
}

#[tokio::test]
async fn a_dataset_that_cannot_be_read_fails_its_run_with_the_reason() {
    let fixture = Fixture::new(3).await;
    let run = fixture.create("r", fixture.spec_of_table("missing.csv")).await.unwrap();
    let failed = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(failed.state(), v1::run::State::Failed);
    assert!(failed.state_message.contains("missing.csv"), "{}", failed.state_message);
    let mut spec = fixture.spec();
    spec.dataset.as_mut().unwrap().root = "file:///no/such/folder".into();
    assert_eq!(
        fixture.create("r2", spec).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_run_of_an_empty_dataset_succeeds_with_nothing() {
    let fixture = Fixture::new(0).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.planned_items), (v1::run::State::Succeeded, 0));
    assert!(ended.state_message.contains("no items"), "{}", ended.state_message);
}

#[tokio::test]
async fn a_second_live_run_over_one_dataset_and_collection_is_refused_by_the_first_one_s_name() {
    let fixture = Fixture::new(3).await;
    let first = fixture.create("r1", fixture.spec()).await.unwrap();
    let refused = fixture.create("r2", fixture.spec()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(&first.name), "{refused}");
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    fixture.until(&first.name, |run| run.end_time.is_some()).await;
    fixture.create("r2", fixture.spec()).await.unwrap();
    let again = fixture.create("r1", fixture.spec()).await.unwrap();
    assert_eq!(
        again.name, first.name,
        "a repeated request finds its run, whatever else goes on"
    );
}

#[tokio::test]
async fn a_shard_that_ends_after_the_run_was_cancelled_still_counts() {
    let fixture = Fixture::new(20).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let request = v1::CancelRunRequest { name: run.name.clone() };
    fixture.api().cancel_run(Request::new(request)).await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    let counted = async {
        loop {
            let request = v1::GetRunRequest { name: run.name.clone() };
            let now = fixture.api().get_run(Request::new(request)).await.unwrap().into_inner();
            if now.done_shards == 1 {
                return now;
            }
        }
    };
    let now = tokio::time::timeout(LIMIT, counted).await.unwrap();
    assert_eq!((now.state(), now.unprocessed_items), (v1::run::State::Cancelled, 10));
}

#[tokio::test]
async fn paths_that_leave_the_root_and_indexes_that_no_engine_takes_are_refused() {
    use tonic_types::StatusExt;
    let fixture = Fixture::new(0).await;
    let mut spec = fixture.spec_of_table("../other.csv");
    spec.index = Some(v1::IndexSpec {
        r#type: "HNSW".into(),
        m: Some(1_000_000),
        ..v1::IndexSpec::default()
    });
    let status = fixture.create("r", spec).await.unwrap_err();
    let wrong = status.get_details_bad_request().unwrap().field_violations;
    let fields: BTreeSet<&str> = wrong.iter().map(|wrong| wrong.field.as_str()).collect();
    assert_eq!(fields, ["spec.dataset.manifest.path", "spec.index.m"].into());
}

#[test]
fn the_coordinator_s_program_does_not_link_libtorch() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_sightline-coordinator")).unwrap();
    let holds = |text: &[u8]| program.windows(text.len()).any(|window| window == text);
    assert!(holds(b"libc.so.6"), "the names of libraries are found this way");
    assert!(!holds(b"libtorch_cpu.so") && !holds(b"libtorch.so"));
}

#[tokio::test]
async fn a_run_stops_itself_after_too_many_failures() {
    let fixture = Fixture::new(20).await;
    let spec = v1::RunSpec {
        max_failures: 1,
        shard_items: 1,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let mut consumer = fixture.consumer().await;
    for fails in ["0000.png", "0001.png"] {
        let keys = work(&fixture, consumer.as_mut(), &[fails]).await;
        assert_eq!(keys, [fails]);
    }
    let stopped = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(stopped.state(), v1::run::State::Failed);
    assert!(
        stopped.state_message.contains("2 items failed"),
        "{}",
        stopped.state_message
    );
}

#[tokio::test]
async fn when_the_queue_is_lost_every_message_is_rebuilt_from_the_objects() {
    let mut fixture = Fixture::new(35).await;
    let spec = v1::RunSpec {
        window_shards: 2,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    fixture.until(&run.name, |run| run.planned_shards == 2).await;
    let mut consumer = fixture.consumer().await;
    let mut keys = work(&fixture, consumer.as_mut(), &[]).await;
    fixture.shutdown.cancel();

    let folder = std::mem::replace(&mut fixture.folder, tempfile::tempdir().unwrap());
    let mut after = Fixture::over(
        folder,
        sightline_queue::open("memory:", QueueOptions::default()).unwrap(),
    )
    .await;
    after.coordinator.resume().await.unwrap();
    after.start();
    let mut consumer = after.consumer().await;
    while keys.len() < 35 {
        keys.extend(work(&after, consumer.as_mut(), &[]).await);
    }
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 35, "each once");
    let ended = after.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(ended.state(), v1::run::State::Succeeded);
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_page_by_page() {
    let fixture = Fixture::new(1).await;
    let mut created = Vec::new();
    for at in 0..5 {
        let spec = v1::RunSpec {
            collection: format!("collections/pictures_{at}"),
            ..fixture.spec()
        };
        created.push(fixture.create(&format!("r{at}"), spec).await.unwrap().name);
    }
    let mut listed: Vec<v1::Run> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListRunsRequest {
            page_size: 2,
            page_token,
        };
        let page = fixture
            .api()
            .list_runs(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        assert!(page.runs.len() <= 2);
        listed.extend(page.runs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let times: Vec<_> = listed
        .iter()
        .map(|run| run.create_time.unwrap())
        .map(|at| (at.seconds, at.nanos))
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    assert_eq!(
        listed.into_iter().map(|run| run.name).collect::<BTreeSet<_>>(),
        created.into_iter().collect()
    );
}

#[tokio::test]
async fn messages_that_nobody_can_take_are_dead_lettered_and_newer_ones_are_handed_back() {
    let fixture = Fixture::new(1).await;
    let publish = |id: &str, body: &str| {
        let message = Message {
            id: id.into(),
            body: Bytes::from(body.to_owned()),
            traceparent: None,
        };
        fixture.queue.publish(queues::PLAN, message)
    };
    fixture.queue.declare(queues::PLAN).await.unwrap();
    publish("broken", "{\"version\":1,\"kind\":\"embed\",\"attempt\":-1}")
        .await
        .unwrap();
    publish("newer", "{\"version\":99,\"kind\":\"embed\"}").await.unwrap();
    let dead = sightline_queue::dead_letters(queues::PLAN);
    let mut consumer = fixture.queue.consume(&dead, 1).await.unwrap();
    let letter = tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().unwrap();
    assert_eq!(letter.message.id, "broken");
    letter.receipt.ack().await.unwrap();
    assert_eq!(
        fixture.queue.depth(&dead).await.unwrap().ready,
        0,
        "the newer one is not lost there"
    );
}
