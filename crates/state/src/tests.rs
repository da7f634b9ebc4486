use crate::{State, StateError};
use sightline_core::{
    FailureReason, ItemKey, ItemOutcome, Link, Outcome, OutcomeCounts, PlanNode, Range, RunId, ShardId, ShardResult,
    StopDocument, StopReason, Timestamp,
};
use sightline_objects::{LocalStore, ObjectError};
use std::sync::Arc;

async fn state(folder: &tempfile::TempDir) -> State {
    State::new(Arc::new(LocalStore::open(folder.path()).await.unwrap()))
}

fn run() -> RunId {
    RunId::of_request("caller", "request")
}

fn result(worker: &str, outcomes: [Outcome; 2]) -> ShardResult {
    let mut counts = OutcomeCounts::default();
    outcomes.iter().for_each(|outcome| counts.add(outcome));
    let keys = ["a", "b"].map(|key| ItemKey::new(key).unwrap());
    ShardResult {
        run: run(),
        shard: ShardId::of_manifest(b"shard"),
        worker: worker.into(),
        started_at: Timestamp(1),
        finished_at: Timestamp(2),
        stage_ms: Default::default(),
        counts,
        items: keys
            .into_iter()
            .zip(outcomes)
            .map(|(key, outcome)| ItemOutcome {
                key,
                line: None,
                outcome,
            })
            .collect(),
    }
}

#[tokio::test]
async fn of_two_nodes_of_one_link_the_smallest_digest_counts() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder).await;
    let link = Link::default();
    let node = |prefix: &str| PlanNode {
        run: run(),
        link: link.clone(),
        shards: Vec::new(),
        children: vec![Link {
            range: Range {
                prefix: prefix.into(),
                until: None,
            },
            ..Link::default()
        }],
        next: None,
    };
    state.put_plan_node(&node("x")).await.unwrap();
    let only = state.plan_nodes(&run(), &link).await.unwrap();
    state.put_plan_node(&node("y")).await.unwrap();
    state.put_plan_node(&node("z")).await.unwrap();
    let all = state.plan_nodes(&run(), &link).await.unwrap();
    assert_eq!((only.len(), all.len()), (1, 3));
    assert!(all.contains(&only[0]) && all.is_sorted_by(|(one, _), (other, _)| one < other));
    let counts = state.plan_node_digests(&run(), &link.id(&run())).await.unwrap();
    assert_eq!(counts, Some((all[0].0.clone(), true)));
}

#[tokio::test]
async fn of_two_results_of_one_shard_the_better_outcome_of_each_item_counts() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder).await;
    let (indexed, failed) = (
        Outcome::Indexed { digest: "d".into() },
        Outcome::failed(FailureReason::CorruptImage, "cut short"),
    );
    state
        .put_result(&result("w1", [indexed.clone(), failed.clone()]), "0001-w1")
        .await
        .unwrap();
    state
        .put_result(&result("w2", [failed, indexed]), "0002-w2")
        .await
        .unwrap();
    let merged = state
        .result(&run(), &ShardId::of_manifest(b"shard"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        merged.counts,
        OutcomeCounts {
            indexed: 2,
            ..OutcomeCounts::default()
        }
    );
}

#[tokio::test]
async fn the_first_reason_to_stop_counts() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder).await;
    let stop = |reason| StopDocument {
        run: run(),
        reason,
        message: "m".into(),
        stopped_at: Timestamp(1),
    };
    assert!(state.stop_run(&stop(StopReason::ModelMismatch)).await.unwrap());
    assert!(!state.stop_run(&stop(StopReason::Cancelled)).await.unwrap());
    assert_eq!(
        state.stop(&run()).await.unwrap().unwrap().reason,
        StopReason::ModelMismatch
    );
}

#[test]
fn what_the_store_does_not_allow_today_it_may_allow_tomorrow() {
    let denied = ObjectError::AccessDenied {
        action: "read",
        key: "runs/r/run.json".into(),
        message: "HTTP 403".into(),
    };
    assert!(!denied.is_retryable());
    assert!(StateError::from(denied).is_retryable());
}

#[tokio::test]
async fn a_damaged_document_is_an_error_that_names_it_and_one_of_a_newer_sightline_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("runs/{}", run()));
    std::fs::create_dir_all(&path).unwrap();
    let state = state(&folder).await;
    let refused = async |text: &str| {
        std::fs::write(path.join("run.json"), text).unwrap();
        state.run(&run()).await.unwrap_err()
    };
    let damaged = refused("{\"format\":\"sightline.run\",\"version\":1}").await;
    assert!(damaged.to_string().contains("run.json") && !damaged.is_retryable());
    for newer in ["\"version\":9", "\"version\":1,\"more\":{}"] {
        let newer = refused(&format!("{{\"format\":\"sightline.run\",{newer}}}")).await;
        assert!(
            newer.to_string().contains("run.json") && newer.is_retryable(),
            "{newer}"
        );
    }
}
