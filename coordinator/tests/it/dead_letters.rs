//! Shards that no worker survives, and planning links that no coordinator does.

use crate::fixture::{Fixture, LIMIT, finish, id, planning, work};
use bytes::Bytes;
use sightline_core::message::{Envelope, queues};
use sightline_core::{Link, ModelName, ShardMessage};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use sightline_queue::{Consumer, JobQueue, Message, QueueOptions, dead_letters};
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;

const POISONS: [&str; 2] = ["0003.png", "0017.png"];

fn brief() -> Arc<dyn JobQueue> {
    let options = QueueOptions {
        delivery_limit: 1,
        ..QueueOptions::default()
    };
    sightline_queue::open("memory:", options).unwrap()
}

async fn dataset(files: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("dataset")).unwrap();
    std::fs::create_dir(folder.path().join("state")).unwrap();
    for at in 0..files {
        let name = format!("dataset/{at:04}.png");
        std::fs::write(folder.path().join(name), format!("picture {at}")).unwrap();
    }
    folder
}

fn dead() -> String {
    dead_letters(&queues::shards(&ModelName::new("test-model").unwrap()))
}

/// Works like a worker that dies of the poisons, until nothing comes. Answers how many shards it took.
async fn work_or_die(fixture: &Fixture, consumer: &mut dyn Consumer) -> usize {
    let mut taken = 0;
    while let Ok(delivery) = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await {
        let delivery = delivery.unwrap();
        taken += 1;
        let message = ShardMessage::from_bytes(&delivery.message.body).unwrap();
        let manifest = fixture.state.manifest(&message.run, &message.shard).await.unwrap();
        let fatal = manifest
            .entries
            .iter()
            .any(|entry| POISONS.contains(&entry.key().as_str()));
        if fatal {
            drop(delivery);
        } else {
            finish(fixture, delivery, &[]).await;
        }
    }
    taken
}

async fn failed_keys(fixture: &Fixture, run: &str) -> Vec<(String, String)> {
    let request = v1::ListFailuresRequest {
        parent: run.into(),
        ..v1::ListFailuresRequest::default()
    };
    let answer = fixture.api().list_failures(Request::new(request)).await.unwrap();
    let mut failed: Vec<_> = answer
        .into_inner()
        .failures
        .into_iter()
        .map(|item| (item.key, item.reason))
        .collect();
    failed.sort_unstable();
    failed
}

/// Works, and looks through the dead letters, until a run has ended.
async fn until_ended(coordinators: &[&Fixture], consumer: &mut dyn Consumer, run: &str) -> v1::Run {
    let request = v1::GetRunRequest { name: run.into() };
    let ended = tokio::time::timeout(LIMIT, async {
        loop {
            work_or_die(coordinators[0], consumer).await;
            let passes = coordinators
                .iter()
                .map(|one| one.coordinator.look_through_dead_letters());
            for passed in futures::future::join_all(passes).await {
                passed.unwrap();
            }
            let answer = coordinators[0].api().get_run(Request::new(request.clone())).await;
            let run = answer.unwrap().into_inner();
            if run.end_time.is_some() {
                return run;
            }
        }
    });
    ended.await.unwrap()
}

fn assert_only_the_poisons_failed(run: &v1::Run, failed: &[(String, String)]) {
    let counts = run.counts.unwrap();
    assert_eq!((counts.indexed, counts.failed, run.planned_items), (28, 2, 30));
    let expected = POISONS.map(|key| (key.to_owned(), "engine_killed".to_owned()));
    assert_eq!(failed, expected);
}

#[tokio::test]
async fn a_shard_that_no_worker_survives_is_split_until_the_killer_is_alone_and_only_that_fails() {
    let mut fixture = Fixture::over(dataset(30).await, brief()).await;
    fixture.start();
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let mut consumer = fixture.consumer().await;
    let foreign = Message {
        id: "theirs".into(),
        body: Bytes::from_static(b"not ours"),
        traceparent: None,
    };
    fixture.queue.publish(&dead(), foreign).await.unwrap();

    let ended = until_ended(&[&fixture], consumer.as_mut(), &run.name).await;
    assert_eq!(ended.state(), v1::run::State::PartiallySucceeded);
    assert_only_the_poisons_failed(&ended, &failed_keys(&fixture, &run.name).await);
    fixture.coordinator.look_through_dead_letters().await.unwrap();
    let left = fixture.queue.depth(&dead()).await.unwrap().ready;
    assert_eq!(left, 1, "what is none of ours stays, and nothing else");
}

#[tokio::test]
async fn two_coordinators_that_split_at_once_make_one_split() {
    let mut fixture = Fixture::over(dataset(30).await, brief()).await;
    fixture.start();
    let other = Fixture::beside(&fixture).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let mut consumer = fixture.consumer().await;
    let ended = until_ended(&[&fixture, &other], consumer.as_mut(), &run.name).await;
    assert_only_the_poisons_failed(&ended, &failed_keys(&fixture, &run.name).await);
    // Of ten items the killer is alone after three or four cuts, and a shard has one node however often it was cut.
    let split = fixture.state.split_shards(&id(&run)).await.unwrap().len();
    assert!((6..=8).contains(&split), "{split}");
}

#[tokio::test]
async fn a_split_goes_on_from_the_objects_when_the_broker_is_lost() {
    let mut fixture = Fixture::over(dataset(30).await, brief()).await;
    fixture.start();
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let mut consumer = fixture.consumer().await;
    for _ in 0..2 {
        work_or_die(&fixture, consumer.as_mut()).await;
        fixture.coordinator.look_through_dead_letters().await.unwrap();
    }
    fixture.shutdown.cancel();
    let folder = std::mem::replace(&mut fixture.folder, tempfile::tempdir().unwrap());

    let mut after = Fixture::over(folder, brief()).await;
    after.start();
    let request = v1::ResumeRunRequest { name: run.name.clone() };
    after.api().resume_run(Request::new(request)).await.unwrap();
    let mut consumer = after.consumer().await;
    let ended = until_ended(&[&after], consumer.as_mut(), &run.name).await;
    assert_only_the_poisons_failed(&ended, &failed_keys(&after, &run.name).await);
}

fn root_of(run: &v1::Run, watch: bool) -> Message {
    planning(&id(run), Link::default(), watch)
}

#[tokio::test]
async fn a_planning_link_stays_in_the_dead_letters_until_its_run_has_ended() {
    let fixture = Fixture::new(10).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let dead = dead_letters(queues::PLAN);
    fixture.queue.publish(&dead, root_of(&run, false)).await.unwrap();
    let letters = async || {
        fixture.coordinator.look_through_dead_letters().await.unwrap();
        fixture.queue.depth(&dead).await.unwrap().ready
    };
    assert_eq!(letters().await, 1);
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!(letters().await, 0);
}

#[tokio::test]
async fn what_watches_a_run_is_published_again_from_the_dead_letters() {
    let fixture = Fixture::over(dataset(10).await, brief()).await;
    let spec = v1::RunSpec {
        max_failures: 1,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    let waiting = async || fixture.queue.depth(queues::PLAN).await.unwrap().ready;
    let before = waiting().await;
    let dead = dead_letters(queues::PLAN);
    fixture.queue.publish(&dead, root_of(&run, true)).await.unwrap();
    fixture.coordinator.look_through_dead_letters().await.unwrap();
    assert_eq!(waiting().await, before + 1);
    assert_eq!(fixture.queue.depth(&dead).await.unwrap().ready, 0);
}
