//! Previews that are written beside the rows.

use crate::bench::{Bench, ends, entries, eventually};
use sightline_core::digest::sha256_hex;
use sightline_core::preview::PREVIEW_ATTRIBUTE;
use sightline_core::row::MAX_JSON_BYTES;
use sightline_core::{PreviewFormat, PreviewSpec, RunSpec, StopReason};
use std::path::{Path, PathBuf};

fn wide(width: u32) -> impl Fn(&mut RunSpec) {
    move |spec| {
        spec.previews = Some(PreviewSpec {
            width,
            height: 100,
            format: PreviewFormat::Png,
            root: None,
        });
    }
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_preview_lies_where_its_row_says_and_is_written_under_one_name_however_often() {
    let mut bench = Bench::new().await;
    let items = vec![bench.picture("a", "one").await, bench.picture("b", "one").await];
    let plain = bench.plan("plain", entries(items.clone())).await;
    let small = bench.plan_as("small", entries(items.clone()), wide(20)).await;
    let again = bench.plan_as("again", entries(items.clone()), wide(20)).await;
    let large = bench.plan_as("large", entries(items), wide(200)).await;
    let folder = bench.folder.path().join("previews");

    let worker = bench.start();
    bench.work(&plain).await;
    assert!(files(&folder).is_empty());
    assert_eq!(bench.rows().await[0].attributes.get(PREVIEW_ATTRIBUTE), None);
    assert_eq!(ends(&bench.work(&small).await)["a"], "indexed");
    let hash = sha256_hex(b"one");
    let uris: Vec<_> = bench
        .rows()
        .await
        .into_iter()
        .map(|row| row.attributes[PREVIEW_ATTRIBUTE].clone())
        .collect();
    assert_eq!(uris[0], uris[1]);
    let place = folder.join(format!("previews/20x100-png/{}/{hash}.png", &hash[..3]));
    assert_eq!(uris[0], format!("file://{}", place.display()));
    assert_eq!(std::fs::read(&place).unwrap(), b"20 wide: one");
    assert_eq!(files(&folder), [place]);
    assert_eq!(ends(&bench.work(&again).await)["a"], "unchanged");
    assert_eq!(ends(&bench.work(&large).await)["a"], "indexed");
    assert_eq!(files(&folder).len(), 2);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn the_preview_that_was_written_is_the_one_that_a_row_names_or_there_is_no_row() {
    let mut bench = Bench::new().await;
    let mut exported = bench.picture("exported", "TAGS one").await;
    let old = "s3://elsewhere/previews/old.jpg";
    exported.attributes.insert(PREVIEW_ATTRIBUTE.into(), old.into());
    let mut full = bench.picture("full", "two").await;
    let room = MAX_JSON_BYTES - r#"{"big":""}"#.len();
    full.attributes.insert("big".into(), "x".repeat(room).into());
    let items = entries(vec![exported, full]);
    let plain = bench.plan("plain", items.clone()).await;
    let small = bench.plan_as("small", items, wide(20)).await;

    let worker = bench.start();
    assert_eq!(ends(&bench.work(&plain).await)["full"], "indexed");
    let own = async |bench: &Bench| {
        let mut rows = bench.rows().await.into_iter();
        rows.find(|row| row.key == "exported").unwrap().attributes
    };
    assert_eq!(own(&bench).await[PREVIEW_ATTRIBUTE], old, "no other was written");

    let ends = ends(&bench.work(&small).await);
    assert_eq!(ends["exported"], "indexed");
    assert_eq!(ends["full"], "failed row_too_large stale");
    let attributes = own(&bench).await;
    let uri = attributes[PREVIEW_ATTRIBUTE].as_str().unwrap();
    assert!(uri.ends_with(&format!("{}.png", sha256_hex(b"TAGS one"))), "{uri}");
    assert_eq!(attributes["Modality"], "of the file");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for_and_no_row_is_written_before_its_preview() {
    let mut bench = Bench::new().await;
    bench.switch_on("previews-away");
    let items = vec![bench.picture("a", "one").await];
    let message = bench.plan_as("r", entries(items), wide(20)).await;
    let worker = bench.start();
    bench.publish(&message).await;
    eventually("the worker waits for previews", async || {
        let waits = worker.service.status().waiting_for;
        waits.contains("a preview cannot be written").then_some(())
    })
    .await;
    assert!(bench.rows().await.is_empty());
    bench.switch_off("previews-away");
    bench.done().await;
    assert_eq!(bench.rows().await.len(), 1);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_run_whose_previews_can_never_be_written_stops_with_the_root_and_no_other_run_waits() {
    let mut bench = Bench::new().await;
    bench.switch_on("previews-denied");
    let items = vec![bench.picture("a", "one").await];
    let elsewhere = |spec: &mut RunSpec| {
        wide(20)(spec);
        spec.previews.as_mut().unwrap().root = Some("s3://pages/previews".into());
    };
    let refused = bench.plan_as("refused", entries(items.clone()), elsewhere).await;
    let plain = bench.plan("plain", entries(items)).await;
    let worker = bench.start();
    bench.publish(&refused).await;
    let stop = eventually("the run is stopped", async || {
        bench.state.stop(&refused.run).await.unwrap()
    })
    .await;
    assert_eq!(stop.reason, StopReason::PreviewsUnwritable);
    assert!(stop.message.contains("s3://pages/previews"), "{}", stop.message);
    assert!(bench.rows().await.is_empty());
    assert_eq!(ends(&bench.work(&plain).await)["a"], "indexed");
    assert_eq!(worker.service.status().waiting_for, "");
    worker.end().await.unwrap();
}
