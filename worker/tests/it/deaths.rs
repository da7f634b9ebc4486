//! Engines that die.

use crate::bench::{Bench, ends, entries, eventually};
use sightline_core::{FailureReason, Item, ItemKey, ManifestEntry, Outcome, ShardResult};
use sightline_worker::config::SupervisorConfig;
use std::time::Duration;

#[tokio::test]
async fn an_item_that_kills_the_engine_fails_alone_with_its_reason_and_no_delivery_is_spent() {
    let mut bench = Bench::new().await;
    let mut items = Vec::new();
    for at in 0..30 {
        let body = if at == 7 || at == 8 {
            format!("ABORT {at}")
        } else {
            format!("picture {at}")
        };
        items.push(bench.picture(&format!("p{at}"), &body).await);
    }
    let message = bench.plan("poison", entries(items)).await;
    let worker = bench.start();

    let result = bench.work(&message).await;

    assert_eq!((result.counts.indexed, result.counts.failed), (28, 2));
    for poison in [7, 8] {
        let Outcome::Failed { reason, message, stale } = &result.items[poison].outcome else {
            panic!("{:?}", result.items[poison]);
        };
        assert_eq!(reason.as_str(), "engine_killed");
        assert_eq!(message, "killed by SIGABRT while decoding");
        assert!(!stale);
    }
    assert_eq!(bench.rows().await.len(), 28);
    assert_eq!(bench.dead_letters().await, 0);
    let status = worker.service.status();
    assert!(status.engine_restarts >= 5, "{status:?}");
    assert_eq!(status.last_engine_death, "SIGABRT");
    assert_eq!(
        status.last_suspects.len(),
        1,
        "it was alone when it was condemned: {status:?}"
    );
    worker.end().await.unwrap();
}

/// So many pictures, of which one does something else to the engine.
async fn pictures(bench: &Bench, count: usize, which: usize, does: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for at in 0..count {
        let picture = format!("picture {at}");
        let body = if at == which { does } else { &picture };
        items.push(bench.picture(&format!("p{at}"), body).await);
    }
    items
}

/// That all items were indexed but this one, with which the engine was killed.
fn assert_killed_alone(result: &ShardResult, which: usize, how: &str) {
    let others = result.items.len() - 1;
    assert_eq!(
        (result.counts.indexed, result.counts.failed),
        (others as u64, 1),
        "{:?}",
        ends(result)
    );
    let Outcome::Failed { reason, message, .. } = &result.items[which].outcome else {
        panic!("{:?}", result.items[which]);
    };
    assert_eq!((reason.as_str(), message.as_str()), ("engine_killed", how));
}

#[tokio::test]
async fn an_item_that_hangs_the_engine_fails_alone_with_how_long_and_where() {
    let mut bench = Bench::new().await;
    let items = pictures(&bench, 12, 4, "BLOCK").await;
    let message = bench.plan("hang", entries(items)).await;
    let worker = bench.start_with(SupervisorConfig {
        stall: Duration::from_secs(2),
        ..bench.config()
    });

    let result = bench.work(&message).await;

    assert_killed_alone(&result, 4, "no progress for 2 s while decoding");
    assert_eq!(worker.service.status().last_engine_death, "no progress for 2 s");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_item_with_which_the_engine_outgrows_its_memory_fails_alone_and_the_worker_lives() {
    let mut bench = Bench::new().await;
    let items = pictures(&bench, 12, 4, "GROW").await;
    let message = bench.plan("memory", entries(items)).await;
    let worker = bench.start_engine(bench.config(), Bench::command(Some(256 << 20)));

    let result = bench.work(&message).await;

    assert_killed_alone(&result, 4, "killed by the memory limit (SIGKILL) while decoding");
    assert_eq!(bench.dead_letters().await, 0);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_kill_from_outside_condemns_nobody() {
    let mut bench = Bench::new().await;
    let items = pictures(&bench, 10, 5, "KILL once").await;
    let message = bench.plan("kill", entries(items)).await;
    let worker = bench.start();

    let result = bench.work(&message).await;

    assert!(bench.is_on("killed"));
    assert_eq!(result.counts.indexed, 10, "{:?}", ends(&result));
    let status = worker.service.status();
    assert_eq!(
        (status.engine_restarts, status.last_engine_death.as_str()),
        (1, "SIGKILL")
    );
    assert!(status.last_suspects.contains(&"p5".to_owned()), "{status:?}");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_item_that_is_condemned_keeps_its_older_row_and_is_counted_stale() {
    let mut bench = Bench::new().await;
    let good = bench.picture("p", "a picture").await;
    let first = bench.plan("good", entries(vec![good])).await;
    let worker = bench.start();
    bench.work(&first).await;
    let poison = bench.picture("p", "ABORT").await;
    let second = bench.plan("poison", entries(vec![poison])).await;

    let result = bench.work(&second).await;

    assert_eq!(ends(&result)["p"], "failed engine_killed stale");
    assert_eq!(bench.rows().await.len(), 1);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_item_that_failed_in_planning_keeps_its_older_row_and_is_counted_stale() {
    let mut bench = Bench::new().await;
    let good = bench.picture("p", "a picture").await;
    let first = bench.plan("good", entries(vec![good])).await;
    let worker = bench.start();
    bench.work(&first).await;
    let failed = |key: &str| {
        let outcome = Outcome::failed(FailureReason::NotFound, "the table names a picture that is not there");
        ManifestEntry::ended(ItemKey::new(key).unwrap(), Some(2), outcome)
    };
    let second = bench.plan("absent", vec![failed("p"), failed("never-there")]).await;

    let result = bench.work(&second).await;

    assert_eq!(ends(&result)["p"], "failed not_found stale");
    assert_eq!(ends(&result)["never-there"], "failed not_found");
    assert_eq!((result.counts.failed, result.counts.stale), (2, 1));
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_engine_that_can_never_start_ends_the_worker_with_the_reason() {
    let bench = Bench::new().await;
    let mut config = bench.config();
    config.engine.index = "nonsense:".into();
    let worker = bench.start_with(config);
    let ended = worker.shutdown.clone();
    let error = worker.ended().await.unwrap_err().to_string();
    assert!(
        error.contains("the engine cannot start") && error.contains("nonsense"),
        "{error}"
    );
    assert!(!ended.is_cancelled());
}

#[tokio::test]
async fn memory_that_is_too_little_for_the_other_sizes_ends_the_worker_with_the_numbers() {
    let bench = Bench::new().await;
    let mut config = bench.config();
    config.engine.pipeline.memory_bytes = 140 << 20;
    let error = bench.start_with(config).ended().await.unwrap_err().to_string();
    for part in [
        "pipeline.memory_bytes is 146800640",
        "rows 208",
        "give at least 352321536",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn an_engine_ends_when_its_supervisor_is_gone() {
    let bench = Bench::new().await;
    let picture = bench.picture("p", "BLOCK").await;
    let message = bench.plan("orphan", entries(vec![picture])).await;
    bench.publish(&message).await;
    let worker = bench.start();
    eventually("the engine decodes", async || bench.is_on("blocked").then_some(())).await;
    let engines = || engines_of(std::process::id(), bench.folder.path());
    assert_eq!(engines().len(), 1);

    // Without a word: the task and all it holds are dropped.
    worker.vanish().await;

    eventually("the engine is gone", async || engines().is_empty().then_some(())).await;
}

/// Engines among the children of a process that have a journal open in this test's folder.
fn engines_of(parent: u32, folder: &std::path::Path) -> Vec<u32> {
    let index = folder.join("index.db");
    let mut engines = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else {
            continue;
        };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let [state, ppid, ..] = fields.as_slice() else { continue };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let has_index = files
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|path| path == index));
        if *state != "Z" && *ppid == parent.to_string() && has_index {
            engines.push(pid);
        }
    }
    engines
}
