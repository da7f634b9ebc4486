//! Audits and repairs, over an index whose rows are spoiled in each way that an audit is for.

use crate::fixture::{Fixture, LIMIT, id, work};
use sightline_core::{
    CollectionName, DatasetName, IndexKind, Item, ItemKey, JobKind, Link, Manifest, ManifestEntry, PlanNode,
    PlannedShard, Row, RunId, Timestamp, VectorField,
};
use sightline_index::conformance::fixture::{description, unit_vector};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

const ITEMS: usize = 25;

fn collection() -> CollectionName {
    CollectionName::new("pictures").unwrap()
}

fn row(number: usize, run: &str, digest: &str, indexed_at: u64) -> Row {
    let item = Item::new(ItemKey::new(format!("{number:04}.png")).unwrap());
    let run = RunId::new(run.trim_start_matches("runs/")).unwrap();
    let dataset = DatasetName::new("pictures").unwrap();
    let mut row = Row::of_item(&item, &dataset, "file:///", &run, digest.into(), Timestamp(indexed_at)).unwrap();
    row.image_embedding = Some(unit_vector(number as u64, 4));
    row
}

/// A run into a collection that is there.
async fn created(fixture: &Fixture) -> v1::Run {
    let description = description(&collection(), &[VectorField::Image], 4, IndexKind::Flat);
    fixture.index.create(&description).await.unwrap();
    fixture.create("r", fixture.spec()).await.unwrap()
}

/// A run that was cancelled when all of it was planned and none of it worked on.
async fn cancelled(fixture: &Fixture) -> v1::Run {
    let run = created(fixture).await;
    fixture.until(&run.name, |run| run.plan_complete).await;
    let cancel = v1::CancelRunRequest { name: run.name.clone() };
    fixture.api().cancel_run(Request::new(cancel)).await.unwrap();
    run
}

/// A run whose items are all indexed, and their rows.
async fn indexed(fixture: &Fixture) -> v1::Run {
    let run = created(fixture).await;
    let rows: Vec<_> = (0..ITEMS).map(|number| row(number, &run.name, "d", 1)).collect();
    fixture.index.upsert(&collection(), &rows).await.unwrap();
    let mut consumer = fixture.consumer().await;
    for _ in 0..3 {
        work(fixture, consumer.as_mut(), &[]).await;
    }
    fixture.until(&run.name, |run| run.end_time.is_some()).await
}

async fn verify(fixture: &Fixture, run: &str) -> v1::RunAudit {
    let request = v1::VerifyRunRequest { name: run.into() };
    let mut told = fixture
        .api()
        .verify_run(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    let mut last = None;
    while let Some(message) = tokio::time::timeout(LIMIT, told.next()).await.unwrap() {
        last = Some(message.unwrap());
    }
    let last = last.unwrap();
    assert_eq!(last.checked_shards, last.total_shards);
    last.audit.unwrap()
}

async fn repair(fixture: &Fixture, run: &str) -> v1::Run {
    let request = v1::RepairRunRequest {
        name: run.into(),
        request_id: "repair".into(),
    };
    fixture
        .api()
        .repair_run(Request::new(request))
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn a_run_whose_rows_are_all_there_is_verified() {
    let fixture = Fixture::new(ITEMS).await;
    let run = indexed(&fixture).await;
    let audit = verify(&fixture, &run.name).await;
    assert!(audit.verified, "{audit:?}");
    assert_eq!((audit.items, audit.counts.unwrap().indexed), (25, 25));
    assert!(audit.plan_complete && audit.problems.is_empty());
}

#[tokio::test]
async fn a_missing_row_and_a_row_of_an_older_run_are_found_and_repaired_by_a_run_of_just_those() {
    let fixture = Fixture::new(ITEMS).await;
    let run = indexed(&fixture).await;
    let gone = row(7, &run.name, "d", 1);
    fixture.index.delete(&collection(), &[gone.id]).await.unwrap();
    // A worker of an older run that woke late: its row is older than the run's result.
    let older = format!("runs/{}", "0".repeat(32));
    fixture
        .index
        .upsert(&collection(), &[row(3, &older, "older", 1)])
        .await
        .unwrap();

    let audit = verify(&fixture, &run.name).await;
    assert!(!audit.verified);
    assert_eq!((audit.missing_rows, audit.wrong_rows), (1, 1));
    let mut problems: Vec<_> = audit
        .problems
        .iter()
        .map(|problem| (problem.key.as_str(), problem.problem.as_str()))
        .collect();
    problems.sort_unstable();
    assert_eq!(problems, [("0003.png", "wrong_row"), ("0007.png", "missing_row")]);

    let child = repair(&fixture, &run.name).await;
    assert_eq!(child.spec.as_ref().unwrap().parent_run, run.name);
    let mut consumer = fixture.consumer().await;
    let mut keys = work(&fixture, consumer.as_mut(), &[]).await;
    keys.sort_unstable();
    assert_eq!(keys, ["0003.png", "0007.png"]);
    let mended = [row(3, &child.name, "d", 3), row(7, &child.name, "d", 3)];
    fixture.index.upsert(&collection(), &mended).await.unwrap();
    fixture.until(&child.name, |run| run.end_time.is_some()).await;
    assert!(verify(&fixture, &child.name).await.verified);
    assert!(verify(&fixture, &run.name).await.verified);
}

#[tokio::test]
async fn the_audit_of_a_run_that_was_cancelled_while_it_listed_says_so() {
    let fixture = Fixture::new(100).await;
    let spec = v1::RunSpec {
        window_shards: 2,
        ..fixture.spec()
    };
    let run = fixture.create("r", spec).await.unwrap();
    fixture.until(&run.name, |run| run.planned_shards >= 2).await;
    let request = v1::CancelRunRequest { name: run.name.clone() };
    fixture.api().cancel_run(Request::new(request)).await.unwrap();
    let audit = verify(&fixture, &run.name).await;
    assert!(!audit.plan_complete && audit.items < 100, "{audit:?}");
    assert_eq!(audit.unprocessed_items, audit.items);
}

#[tokio::test]
async fn a_row_that_a_later_run_wrote_anew_is_no_problem() {
    let fixture = Fixture::new(ITEMS).await;
    let run = indexed(&fixture).await;
    let later = format!("runs/{}", "f".repeat(32));
    fixture
        .index
        .upsert(&collection(), &[row(3, &later, "newer", 9)])
        .await
        .unwrap();
    let audit = verify(&fixture, &run.name).await;
    assert!(audit.verified, "{audit:?}");
    assert_eq!(audit.superseded_rows, 1);
}

#[tokio::test]
async fn a_row_of_the_run_that_no_item_of_it_has_is_told() {
    let fixture = Fixture::new(ITEMS).await;
    let run = indexed(&fixture).await;
    fixture
        .index
        .upsert(&collection(), &[row(99, &run.name, "d", 1)])
        .await
        .unwrap();
    let audit = verify(&fixture, &run.name).await;
    assert!(!audit.verified);
    assert_eq!(audit.surplus_rows, 1);
}

#[tokio::test]
async fn rows_of_a_node_that_does_not_count_are_no_problem() {
    let fixture = Fixture::new(ITEMS).await;
    let run = indexed(&fixture).await;
    let id = id(&run);
    let items = [3, 99].map(|number| Item::new(ItemKey::new(format!("{number:04}.png")).unwrap()));
    let manifest = Manifest {
        run: id.clone(),
        kind: JobKind::Embed,
        entries: items.into_iter().map(ManifestEntry::Item).collect(),
    };
    let shard = fixture.state.put_manifest(&manifest).await.unwrap();
    let beside = PlanNode {
        run: id,
        link: Link::default(),
        shards: vec![PlannedShard {
            id: shard,
            items: 2,
            bytes: 2,
        }],
        children: vec![],
        next: None,
    };
    fixture.state.put_plan_node(&beside).await.unwrap();
    let rows = [row(3, &run.name, "another version", 1), row(99, &run.name, "d", 1)];
    fixture.index.upsert(&collection(), &rows).await.unwrap();
    let audit = verify(&fixture, &run.name).await;
    assert!(audit.verified, "{audit:?}");
    assert_eq!((audit.superseded_rows, audit.surplus_rows, audit.items), (1, 0, 25));
}

#[tokio::test]
async fn rows_that_a_killed_worker_left_of_a_cancelled_run_are_no_problem() {
    let fixture = Fixture::new(ITEMS).await;
    let run = cancelled(&fixture).await;
    let left = [row(0, &run.name, "d", 1), row(24, &run.name, "d", 1)];
    fixture.index.upsert(&collection(), &left).await.unwrap();
    let audit = verify(&fixture, &run.name).await;
    assert!(audit.verified, "{audit:?}");
    assert_eq!((audit.unprocessed_items, audit.surplus_rows), (25, 0));
}

#[tokio::test]
async fn what_a_cancelled_run_did_not_process_is_told_and_a_repair_does_it() {
    let fixture = Fixture::new(ITEMS).await;
    let run = cancelled(&fixture).await;
    let audit = verify(&fixture, &run.name).await;
    assert!(audit.verified, "{audit:?}");
    assert_eq!(audit.unprocessed_items, 25);

    let child = repair(&fixture, &run.name).await;
    let ended = fixture.until(&child.name, |run| run.plan_complete).await;
    assert_eq!(ended.planned_items, 25);
}

#[tokio::test]
async fn a_dropped_collection_is_an_audit_of_missing_rows() {
    let fixture = Fixture::new(ITEMS).await;
    let run = indexed(&fixture).await;
    fixture.index.drop_collection(&collection()).await.unwrap();
    let audit = verify(&fixture, &run.name).await;
    assert_eq!((audit.verified, audit.missing_rows), (false, 25));
}

#[tokio::test]
async fn a_run_that_has_not_ended_is_not_audited() {
    let fixture = Fixture::new(ITEMS).await;
    let run = fixture.create("r", fixture.spec()).await.unwrap();
    let request = v1::VerifyRunRequest { name: run.name };
    let refused = fixture.api().verify_run(Request::new(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("has not ended"), "{refused}");
}
