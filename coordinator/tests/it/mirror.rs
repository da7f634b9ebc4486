//! Runs that delete what their dataset holds no more.

use crate::fixture::{Fixture, LIMIT, id, planning, work};
use crate::state_root::cancelling;
use sightline_core::document::Document;
use sightline_core::message::{Envelope, queues};
use sightline_core::{
    CollectionName, DatasetName, IndexKind, Item, ItemKey, Link, MirrorPlan, MirroredRow, MirroredRows, Row, RowId,
    RunId, StopDocument, StopReason, Timestamp, VectorField,
};
use sightline_index::Projection;
use sightline_index::conformance::fixture::{description, unit_vector};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use sightline_queue::QueueOptions;
use std::collections::BTreeSet;
use tokio_stream::StreamExt;
use tonic::Request;

fn collection() -> CollectionName {
    CollectionName::new("pictures").unwrap()
}

/// A row of an earlier run.
fn row(dataset: &str, key: &str, run: &str, indexed_at: u64) -> Row {
    let item = Item::new(ItemKey::new(key).unwrap());
    let dataset = DatasetName::new(dataset).unwrap();
    let run = RunId::new(run.trim_start_matches("runs/")).unwrap();
    let mut row = Row::of_item(&item, &dataset, "file:///", &run, "d".into(), Timestamp(indexed_at)).unwrap();
    row.image_embedding = Some(unit_vector(3, 4));
    row
}

fn older(dataset: &str, key: &str) -> Row {
    row(dataset, key, &"0".repeat(32), 1)
}

async fn fill(fixture: &Fixture, rows: &[Row]) {
    let description = description(&collection(), &[VectorField::Image], 4, IndexKind::Flat);
    fixture.index.create(&description).await.unwrap();
    fixture.index.upsert(&collection(), rows).await.unwrap();
}

async fn keys(fixture: &Fixture) -> BTreeSet<String> {
    let rows = fixture
        .index
        .scan(&collection(), None, None, 10_000, Projection::Metadata)
        .await;
    let name = |row: Row| format!("{}/{}", row.dataset, row.key);
    rows.unwrap().into_iter().map(name).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn mirroring(fixture: &Fixture, max_share: f64) -> v1::RunSpec {
    v1::RunSpec {
        mirror: Some(v1::run_spec::Mirror { max_share }),
        ..fixture.spec()
    }
}

/// Works on all shards of a run of so many.
async fn done(fixture: &Fixture, run: &v1::Run, shards: usize) -> v1::Run {
    let mut consumer = fixture.consumer().await;
    for _ in 0..shards {
        work(fixture, consumer.as_mut(), &["0002.png"]).await;
    }
    fixture.until(&run.name, |run| run.end_time.is_some()).await
}

#[tokio::test]
async fn a_mirroring_run_deletes_the_rows_that_its_dataset_has_no_item_for_and_no_others() {
    let fixture = Fixture::new(5).await;
    let later = row("pictures", "written-meanwhile.png", &"f".repeat(32), u64::MAX / 4);
    let rows = [
        older("pictures", "0000.png"),
        older("pictures", "0002.png"),
        older("pictures", "gone.png"),
        older("pictures", "z/gone.png"),
        older("others", "gone.png"),
        later,
    ];
    fill(&fixture, &rows).await;
    let run = fixture.create("r", mirroring(&fixture, 0.0)).await.unwrap();
    assert!((run.spec.as_ref().unwrap().mirror.unwrap().max_share - 0.5).abs() < 1e-9);
    let ended = done(&fixture, &run, 1).await;
    assert_eq!(
        (ended.state(), ended.deleted_rows),
        (v1::run::State::PartiallySucceeded, 2)
    );
    let left = [
        "others/gone.png",
        "pictures/0000.png",
        "pictures/0002.png",
        "pictures/written-meanwhile.png",
    ];
    assert_eq!(
        keys(&fixture).await,
        names(&left),
        "the item that failed keeps its row, too"
    );
}

#[tokio::test]
async fn a_run_mirrors_only_where_it_is_asked_to_and_after_its_last_shard() {
    let fixture = Fixture::new(15).await;
    fill(
        &fixture,
        &[older("pictures", "gone.png"), older("pictures", "0001.png")],
    )
    .await;
    let run = fixture.create("plain", fixture.spec()).await.unwrap();
    let ended = done(&fixture, &run, 2).await;
    assert_eq!((ended.deleted_rows, keys(&fixture).await.len()), (0, 2));

    let run = fixture.create("mirror", mirroring(&fixture, 0.0)).await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &[]).await;
    let half = fixture
        .until(&run.name, |run| run.done_shards == 1 && run.plan_complete)
        .await;
    assert_eq!((half.state(), keys(&fixture).await.len()), (v1::run::State::Running, 2));
    work(&fixture, consumer.as_mut(), &[]).await;
    let ended = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.deleted_rows), (v1::run::State::Succeeded, 1));
    assert_eq!(keys(&fixture).await, names(&["pictures/0001.png"]));
}

#[tokio::test]
async fn an_empty_dataset_and_one_that_lost_too_much_are_not_mirrored_and_say_so() {
    let fixture = Fixture::new(0).await;
    fill(
        &fixture,
        &[
            older("pictures", "a.png"),
            older("pictures", "b.png"),
            older("pictures", "c.png"),
        ],
    )
    .await;
    let run = fixture.create("empty", mirroring(&fixture, 1.0)).await.unwrap();
    let refused = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((refused.state(), refused.deleted_rows), (v1::run::State::Failed, 0));
    assert!(
        refused.state_message.contains("holds no item at all"),
        "{}",
        refused.state_message
    );
    assert!(
        refused.state_message.contains("3 of the 3 rows"),
        "{}",
        refused.state_message
    );

    std::fs::write(fixture.folder.path().join("dataset/a.png"), "a picture").unwrap();
    let run = fixture.create("few", mirroring(&fixture, 0.0)).await.unwrap();
    let refused = done(&fixture, &run, 1).await;
    assert_eq!(refused.state(), v1::run::State::Failed);
    assert!(
        refused.state_message.contains("more than 50% of them"),
        "{}",
        refused.state_message
    );
    assert_eq!(keys(&fixture).await.len(), 3);

    let run = fixture.create("meant", mirroring(&fixture, 0.7)).await.unwrap();
    let ended = done(&fixture, &run, 1).await;
    assert_eq!((ended.state(), ended.deleted_rows), (v1::run::State::Succeeded, 2));
    assert_eq!(keys(&fixture).await, names(&["pictures/a.png"]));
}

#[tokio::test]
async fn a_wrong_root_that_holds_enough_items_is_not_mirrored_for_the_rows_that_it_adds() {
    let fixture = Fixture::new(4).await;
    let rows = ["a.png", "b.png", "c.png"].map(|key| older("pictures", key));
    fill(&fixture, &rows).await;
    let run = fixture.create("r", mirroring(&fixture, 0.0)).await.unwrap();
    let added =
        ["0000.png", "0001.png", "0002.png", "0003.png"].map(|key| row("pictures", key, &run.name, u64::MAX / 4));
    fixture.index.upsert(&collection(), &added).await.unwrap();
    let refused = done(&fixture, &run, 1).await;
    assert_eq!((refused.state(), refused.deleted_rows), (v1::run::State::Failed, 0));
    assert!(
        refused.state_message.contains("3 of the 3 rows"),
        "{}",
        refused.state_message
    );
    assert_eq!(keys(&fixture).await.len(), 7);
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_rows_are_looked_for_deletes_none() {
    let dataset = Fixture::new(5).await;
    dataset.shutdown.cancel();
    let stop = |run| StopDocument {
        run,
        reason: StopReason::Cancelled,
        message: "cancelled by a caller".into(),
        stopped_at: Timestamp(1),
    };
    let mut fixture = cancelling(&dataset, "/mirror/rows/", move |run| stop(run).to_bytes()).await;
    fixture.start();
    let rows = [older("pictures", "gone.png"), older("pictures", "0001.png")];
    fill(&fixture, &rows).await;
    let run = fixture.create("r", mirroring(&dataset, 0.0)).await.unwrap();
    let ended = done(&fixture, &run, 1).await;
    assert_eq!((ended.state(), ended.deleted_rows), (v1::run::State::Cancelled, 0));
    // Behind the messages of that run.
    let other = fixture.create("other", dataset.spec()).await.unwrap();
    done(&fixture, &other, 1).await;
    assert!(fixture.state.mirror_plan(&id(&run)).await.unwrap().is_none());
    assert_eq!(keys(&fixture).await, names(&["pictures/0001.png", "pictures/gone.png"]));
}

#[tokio::test]
async fn a_preview_says_what_a_mirroring_run_would_delete_and_why_it_would_not() {
    let fixture = Fixture::new(1).await;
    let rows = ["0000.png", "a.png", "b.png", "c.png"].map(|key| older("pictures", key));
    fill(&fixture, &rows).await;
    let preview = async |max_share| {
        let spec = Some(mirroring(&fixture, max_share));
        let told = fixture
            .api()
            .preview_run(Request::new(v1::PreviewRunRequest { spec }))
            .await;
        let mut told = told.unwrap().into_inner();
        let mut last = None;
        while let Some(message) = told.next().await {
            last = Some(message.unwrap());
        }
        last.unwrap()
    };
    let refused = preview(0.5).await;
    assert_eq!(refused.deleted_rows, Some(3));
    assert!(refused.mirror_refusal().contains("more than 50%"), "{refused:?}");
    assert_eq!(preview(1.0).await.mirror_refusal, None);
    std::fs::remove_file(fixture.folder.path().join("dataset/0000.png")).unwrap();
    let empty = preview(1.0).await;
    assert!(empty.mirror_refusal().contains("holds no item at all"), "{empty:?}");
}

#[tokio::test]
async fn a_table_with_rows_that_cannot_be_understood_is_not_mirrored() {
    let fixture = Fixture::new(2).await;
    let table = "image,text\n0000.png,one\n,\n0001.png,three\n";
    std::fs::write(fixture.folder.path().join("dataset/items.csv"), table).unwrap();
    fill(
        &fixture,
        &[older("pictures", "gone.png"), older("pictures", "0000.png")],
    )
    .await;
    let mut spec = mirroring(&fixture, 1.0);
    if let Some(dataset) = &mut spec.dataset {
        dataset.source = Some(v1::dataset::Source::Manifest(v1::ManifestSource {
            path: "items.csv".into(),
            columns: Some(v1::manifest_source::Columns {
                key: "image".into(),
                image: "image".into(),
                text: "text".into(),
                ..v1::manifest_source::Columns::default()
            }),
            ..v1::ManifestSource::default()
        }));
    }
    let run = fixture.create("r", spec).await.unwrap();
    let refused = done(&fixture, &run, 1).await;
    assert_eq!(refused.state(), v1::run::State::Failed);
    assert!(
        refused
            .state_message
            .contains("1 rows of the table cannot be understood"),
        "{}",
        refused.state_message
    );
    assert_eq!(keys(&fixture).await.len(), 2);
}

#[tokio::test]
async fn messages_that_come_twice_or_after_the_end_delete_nothing_more() {
    let fixture = Fixture::new(5).await;
    fill(
        &fixture,
        &[older("pictures", "gone.png"), older("pictures", "0001.png")],
    )
    .await;
    let run = fixture.create("r", mirroring(&fixture, 0.0)).await.unwrap();
    let ended = done(&fixture, &run, 1).await;
    assert_eq!(ended.deleted_rows, 1);
    // The item comes back, with a later run.
    let back = row("pictures", "gone.png", &"f".repeat(32), u64::MAX / 4);
    fixture.index.upsert(&collection(), &[back]).await.unwrap();
    let id = id(&run);
    for cursor in [None, Some("find:0/1"), Some("delete:"), Some("delete:nowhere")] {
        let link = Link {
            start_after: cursor.map(Into::into),
            ..Link::default()
        };
        let message = planning(&id, link, true);
        fixture.queue.publish(queues::PLAN, message).await.unwrap();
    }
    // Planned behind those messages.
    let other = fixture.create("other", fixture.spec()).await.unwrap();
    done(&fixture, &other, 1).await;
    let dataset = DatasetName::new("pictures").unwrap();
    let id = RowId::of_item(&dataset, &ItemKey::new("gone.png").unwrap());
    let there = fixture
        .index
        .get(&collection(), &[id], Projection::Metadata)
        .await
        .unwrap();
    assert_eq!(there.len(), 1);
    let again = fixture.until(&run.name, |_| true).await;
    assert_eq!((again.state(), again.deleted_rows), (ended.state(), 1));
}

#[tokio::test]
async fn a_cancelled_run_and_a_retry_of_a_mirroring_one_delete_nothing() {
    let fixture = Fixture::new(25).await;
    fill(
        &fixture,
        &[older("pictures", "gone.png"), older("pictures", "0001.png")],
    )
    .await;
    let run = fixture.create("r", mirroring(&fixture, 0.0)).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    let cancel = v1::CancelRunRequest { name: run.name.clone() };
    fixture.api().cancel_run(Request::new(cancel)).await.unwrap();
    let cancelled = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert_eq!((cancelled.deleted_rows, keys(&fixture).await.len()), (0, 2));

    // The shards of the cancelled run are still in the queue: nobody works on them.
    let mirror = fixture.create("again", mirroring(&fixture, 0.0)).await.unwrap();
    let mut consumer = fixture.consumer().await;
    let mut mine = 0;
    while mine < 3 {
        let delivery = consumer.next().await.unwrap();
        let message = sightline_core::ShardMessage::from_bytes(&delivery.message.body).unwrap();
        if format!("runs/{}", message.run) == mirror.name {
            crate::fixture::finish(&fixture, delivery, &["0002.png"]).await;
            mine += 1;
        } else {
            delivery.receipt.ack().await.unwrap();
        }
    }
    let ended = fixture.until(&mirror.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.deleted_rows, ended.counts.unwrap().failed), (1, 1));
    let retry = v1::RetryFailedRequest {
        name: mirror.name,
        request_id: "retry".into(),
    };
    let child = fixture
        .api()
        .retry_failed(Request::new(retry))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(child.spec.as_ref().unwrap().mirror, None);
    work(&fixture, consumer.as_mut(), &[]).await;
    let ended = fixture.until(&child.name, |run| run.end_time.is_some()).await;
    assert_eq!((ended.state(), ended.deleted_rows), (v1::run::State::Succeeded, 0));
    assert_eq!(keys(&fixture).await, names(&["pictures/0001.png"]));
}

#[tokio::test]
async fn what_a_cancelled_run_had_written_down_is_deleted_though_the_broker_was_lost() {
    let mut fixture = Fixture::new(5).await;
    let gone = older("pictures", "gone.png");
    fill(&fixture, &[gone.clone(), older("pictures", "0001.png")]).await;
    let run = fixture.create("r", mirroring(&fixture, 0.0)).await.unwrap();
    fixture.until(&run.name, |run| run.plan_complete).await;
    fixture.shutdown.cancel();
    let folder = std::mem::replace(&mut fixture.folder, tempfile::tempdir().unwrap());
    let queue = sightline_queue::open("memory:", QueueOptions::default()).unwrap();
    let mut after = Fixture::over(folder, queue).await;
    let id = id(&run);
    let rows = MirroredRows {
        run: id.clone(),
        rows: vec![MirroredRow {
            id: gone.id,
            key: gone.key,
        }],
    };
    after.state.put_mirrored_rows(&rows).await.unwrap();
    let plan = MirrorPlan {
        run: id,
        rows: 1,
        of: 2,
    };
    after.state.plan_mirror(&plan).await.unwrap();
    let cancel = v1::CancelRunRequest { name: run.name.clone() };
    after.api().cancel_run(Request::new(cancel)).await.unwrap();
    after.start();

    let resume = v1::ResumeRunRequest { name: run.name.clone() };
    after.api().resume_run(Request::new(resume)).await.unwrap();

    let told = async {
        loop {
            let get = v1::GetRunRequest { name: run.name.clone() };
            let told = after.api().get_run(Request::new(get)).await.unwrap().into_inner();
            if told.deleted_rows == 1 {
                return told;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(LIMIT, told).await.unwrap();
    assert_eq!(told.state(), v1::run::State::Cancelled);
    assert_eq!(keys(&after).await, names(&["pictures/0001.png"]));
}
