//! How items end.

use crate::bench::{Bench, collection, ends, entries, model};
use bytes::Bytes;
use sightline_core::message::queues;
use sightline_core::{DicomSpec, FrameChoice, Item, ItemKey, ManifestEntry, Outcome, SkipReason};
use sightline_objects::ObjectStore;
use std::collections::HashSet;

fn text_item(key: &str, text: &str) -> Item {
    let mut item = Item::new(ItemKey::new(key).unwrap());
    item.text = Some(text.into());
    item
}

#[tokio::test]
async fn every_item_ends_exactly_once_and_the_bad_ones_leave_the_others_alone() {
    let mut bench = Bench::new().await;
    let mut items = Vec::new();
    for at in 0..20 {
        items.push(bench.picture(&format!("good-{at}"), &format!("picture {at}")).await);
    }
    let mut both = bench.picture("both", "with a text").await;
    both.text = Some("a report".into());
    let mut bad_but_text = bench.picture("bad", "BAD picture").await;
    bad_but_text.text = Some("a text alone is no item".into());
    let refused = text_item("refused", "refuse me");
    items.extend([
        both,
        bad_but_text,
        refused,
        text_item("text", "only a text"),
        text_item("blank", "  "),
    ]);
    for (key, body) in [
        ("empty", ""),
        ("nan", "NAN"),
        ("panic", "PANIC"),
        ("gone", "x"),
        ("changed", "x"),
    ] {
        items.push(bench.picture(key, body).await);
    }
    items.push(bench.picture("large", &"x".repeat(1001)).await);
    bench.pictures.delete("gone").await.unwrap();
    bench
        .pictures
        .put("changed", Bytes::from("another picture"))
        .await
        .unwrap();
    let mut entries = entries(items);
    let ended = Outcome::skipped(SkipReason::UnsupportedType, "a text file");
    entries.push(ManifestEntry::ended(ItemKey::new("notes.txt").unwrap(), None, ended));
    let message = bench.plan("all", entries).await;

    let worker = bench.start();
    let result = bench.work(&message).await;

    let ends = ends(&result);
    for (key, end) in [
        ("both", "indexed"),
        ("text", "indexed"),
        ("bad", "failed corrupt_image"),
        ("refused", "failed index_refused"),
        ("blank", "failed nothing_to_embed"),
        ("empty", "failed empty_object"),
        ("nan", "failed invalid_vector"),
        ("panic", "failed internal"),
        ("gone", "skipped gone"),
        ("changed", "skipped changed"),
        ("large", "failed object_too_large"),
        ("notes.txt", "skipped unsupported_type"),
    ] {
        assert_eq!(ends[key], end, "{key}");
    }
    assert!((0..20).all(|at| ends[&format!("good-{at}")] == "indexed"));
    assert_eq!(result.items.len(), 32);
    assert_eq!(
        (result.counts.indexed, result.counts.skipped, result.counts.failed),
        (22, 3, 7)
    );
    assert!(result.stage_ms.contains_key("fetch") && result.stage_ms.contains_key("upsert"));
    let rows = bench.rows().await;
    assert_eq!(rows.len(), 22);
    let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
    assert!(row("both").image_embedding.is_some() && row("both").text_embedding.is_some());
    assert!(row("text").image_embedding.is_none() && row("text").content_hash.is_empty());
    assert_eq!(
        row("good-0").content_hash,
        sightline_core::digest::sha256_hex(b"picture 0")
    );
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_shard_that_was_worked_on_is_counted_as_a_message_of_its_queue() {
    let mut bench = Bench::new().await;
    let item = bench.picture("one", "a picture").await;
    let message = bench.plan("counted", entries(vec![item])).await;
    let worker = bench.start();
    bench.work(&message).await;
    let metrics = worker.metrics.clone();
    worker.end().await.unwrap();
    let operation = r#"messaging_system="in_process",messaging_operation_name="process""#;
    let queue = queues::shards(&model());
    let of = format!(r#"{operation},messaging_destination_name="{queue}""#);
    let line = format!("messaging_process_duration_seconds_count{{{of}}} 1\n");
    assert!(metrics.encode().contains(&line), "{}", metrics.encode());
}

#[tokio::test]
async fn a_body_that_is_shorter_than_planned_is_read_again_and_never_embedded() {
    let mut bench = Bench::new().await;
    let item = bench.picture("short", "SHORT at first").await;
    let message = bench.plan("short", entries(vec![item])).await;
    let worker = bench.start();
    let result = bench.work(&message).await;
    worker.end().await.unwrap();
    assert!(bench.is_on("shortened"));
    assert_eq!(ends(&result)["short"], "indexed");
    let hash = sightline_core::digest::sha256_hex(b"SHORT at first");
    assert_eq!(bench.rows().await[0].content_hash, hash);
}

#[tokio::test]
async fn a_shard_that_is_delivered_again_writes_nothing_twice() {
    let mut bench = Bench::new().await;
    let item = bench.picture("a", "picture").await;
    let message = bench.plan("again", entries(vec![item])).await;
    let worker = bench.start();
    let first = bench.work(&message).await;
    let rows = bench.rows().await;

    // The next shard is done after the repeated one, since there is one worker.
    let other = bench.picture("b", "another").await;
    let next = bench.plan("next", entries(vec![other])).await;
    bench.publish(&message).await;
    bench.work(&next).await;
    worker.end().await.unwrap();

    assert_eq!(bench.result(&message).await, first);
    let after: Vec<_> = bench.rows().await.into_iter().filter(|row| row.key == "a").collect();
    assert_eq!(after, rows);
}

#[tokio::test]
async fn rows_of_a_worker_that_died_before_its_result_count_as_indexed_and_are_not_read_again() {
    let mut bench = Bench::new().await;
    let items = vec![bench.picture("a", "picture").await, bench.picture("b", "another").await];
    let message = bench.plan("crash", entries(items)).await;
    let worker = bench.start();
    bench.work(&message).await;
    let results = bench.folder.path().join(format!("state/runs/{}/results", message.run));
    std::fs::remove_dir_all(results).unwrap();
    let fetches = bench.fetches();

    let again = bench.work(&message).await;

    assert_eq!(again.counts.indexed, 2);
    assert_eq!(bench.fetches(), fetches);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_second_run_over_an_unchanged_dataset_reads_no_object_and_a_third_only_what_changed() {
    let mut bench = Bench::new().await;
    let mut items = Vec::new();
    for at in 0..10 {
        items.push(bench.picture(&format!("p{at}"), &format!("picture {at}")).await);
    }
    let first = bench.plan("first", entries(items.clone())).await;
    let second = bench.plan("second", entries(items.clone())).await;
    let worker = bench.start();
    bench.work(&first).await;
    assert_eq!(bench.fetches(), 10);

    assert_eq!(bench.work(&second).await.counts.unchanged, 10);
    assert_eq!(bench.fetches(), 10);

    items[3] = bench.picture("p3", "BAD now").await;
    items[4].labels = vec!["new".into()];
    let third = bench.plan("third", entries(items)).await;
    let result = bench.work(&third).await;
    assert_eq!(
        (result.counts.unchanged, result.counts.indexed, result.counts.stale),
        (8, 1, 1)
    );
    assert_eq!(ends(&result)["p3"], "failed corrupt_image stale");
    assert_eq!(bench.fetches(), 12);
    assert_eq!(bench.index.count(&collection(), None).await.unwrap(), 10);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn tags_of_a_file_become_attributes_beside_the_items_own_and_another_choice_makes_the_row_anew() {
    let mut bench = Bench::new().await;
    let mut item = bench.picture("a.dcm", "TAGS").await;
    item.attributes.insert("Modality".into(), "of the dataset".into());
    let usual = bench.plan("usual", entries(vec![item.clone()])).await;
    let again = bench.plan("again", entries(vec![item.clone()])).await;
    let asked = DicomSpec::of_words(["usual", "PatientID"], FrameChoice::First);
    let asking = bench
        .plan_as("asking", entries(vec![item]), |spec| spec.dataset.dicom = asked.ok())
        .await;

    let worker = bench.start();
    assert_eq!(ends(&bench.work(&usual).await)["a.dcm"], "indexed");
    let attributes = bench.rows().await.remove(0).attributes;
    assert_eq!(attributes["Modality"], "of the dataset");
    assert_eq!(attributes["Rows"], "of the file");
    assert_eq!(attributes.get("PatientID"), None);
    assert_eq!(ends(&bench.work(&again).await)["a.dcm"], "unchanged");
    assert_eq!(ends(&bench.work(&asking).await)["a.dcm"], "indexed");
    let attributes = bench.rows().await.remove(0).attributes;
    assert_eq!(attributes["PatientID"], "of the file");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn many_shards_share_a_small_pipeline_and_lose_nothing() {
    let mut bench = Bench::new().await;
    let mut messages = Vec::new();
    for shard in 0..4 {
        let mut items = Vec::new();
        for at in 0..40 {
            // Some need a smaller batch than the model is given at first.
            items.push(
                bench
                    .picture(&format!("{shard}/{at}"), &format!("LARGE {shard} {at}"))
                    .await,
            );
        }
        messages.push(bench.plan(&format!("run {shard}"), entries(items)).await);
    }
    let worker = bench.start();
    for message in &messages {
        bench.publish(message).await;
    }
    let mut done = HashSet::new();
    while done.len() < messages.len() {
        done.insert(bench.done().await);
    }
    for message in &messages {
        assert_eq!(bench.result(message).await.counts.indexed, 40);
    }
    assert_eq!(bench.rows().await.len(), 160);
    worker.end().await.unwrap();
}
