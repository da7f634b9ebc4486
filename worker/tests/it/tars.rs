//! Pictures that lie in tars.

use crate::bench::{Bench, ends, entries};
use crate::room::waits_for_room;
use bytes::Bytes;
use sightline_core::{Item, ItemKey, ObjectRef, PreviewFormat, PreviewSpec, RunSpec, TarMember};
use sightline_objects::ObjectStore;

const BLOCK: usize = 512;

/// Stores an object with pictures as a tar has them, each behind a block that nobody reads, and makes items of them.
pub(crate) async fn tar(bench: &Bench, key: &str, pictures: &[String]) -> Vec<Item> {
    let (mut bytes, mut members) = (Vec::new(), Vec::new());
    for (at, picture) in pictures.iter().enumerate() {
        bytes.resize(bytes.len().next_multiple_of(BLOCK) + BLOCK, 0);
        members.push(TarMember {
            path: format!("{at:03}.jpg"),
            offset: bytes.len() as u64,
            size: picture.len() as u64,
        });
        bytes.extend_from_slice(picture.as_bytes());
    }
    bench.pictures.put(key, Bytes::from(bytes)).await.unwrap();
    let meta = bench.pictures.head(key).await.unwrap();
    let item = |member: TarMember| {
        let mut item = Item::new(ItemKey::new(format!("{key}/{}", member.path)).unwrap());
        item.image = Some(ObjectRef {
            key: key.into(),
            etag: meta.etag.clone(),
            size: meta.size,
        });
        item.member = Some(Box::new(member));
        item
    };
    members.into_iter().map(item).collect()
}

pub(crate) fn pictures(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("picture {at}")).collect()
}

#[tokio::test]
async fn pictures_of_a_tar_are_read_together_and_each_is_its_own_item() {
    let mut bench = Bench::new().await;
    let mut bodies = pictures(40);
    (bodies[3], bodies[7], bodies[9]) = ("BAD".into(), String::new(), "x".repeat(1001));
    let mut items = tar(&bench, "t/0.tar", &bodies).await;
    items[5].text = Some("a report".into());
    let message = bench.plan("first", entries(items.clone())).await;
    let worker = bench.start();
    let ended = ends(&bench.work(&message).await);
    assert_eq!(ended["t/0.tar/003.jpg"], "failed corrupt_image");
    assert_eq!(ended["t/0.tar/007.jpg"], "failed empty_object");
    assert_eq!(ended["t/0.tar/009.jpg"], "failed object_too_large");
    assert_eq!(ended.values().filter(|end| *end == "indexed").count(), 37);
    // Four items a span, since sixteen are in the pipeline at once; the end of a frame ends one, too.
    let ranges = bench.ranges();
    assert!((10..=20).contains(&ranges) && bench.fetches() == 0, "{ranges}");

    let rows = bench.rows().await;
    for row in &rows {
        let at: usize = row.filename.trim_end_matches(".jpg").parse().unwrap();
        assert_eq!(
            row.content_hash,
            sightline_core::digest::sha256_hex(bodies[at].as_bytes())
        );
        let (tar, bytes) = sightline_core::tar_path::read(&row.image_path).unwrap();
        assert!(tar.ends_with("/t/0.tar"), "{tar}");
        assert_eq!(bytes.end - bytes.start, bodies[at].len() as u64);
    }
    let both = rows.iter().find(|row| row.key == "t/0.tar/005.jpg").unwrap();
    assert!(both.image_embedding.is_some() && both.text_embedding.is_some());

    let again = bench.plan("again", entries(items)).await;
    let result = bench.work(&again).await;
    assert_eq!((result.counts.unchanged, result.counts.failed), (37, 3));
    assert!(bench.ranges() <= ranges + 3, "only what failed is read again");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_tar_that_is_gone_or_replaced_is_asked_for_once_a_span_and_touches_no_other() {
    let mut bench = Bench::new().await;
    let gone = tar(&bench, "gone.tar", &pictures(4)).await;
    let changed = tar(&bench, "changed.tar", &pictures(4)).await;
    let good = tar(&bench, "good.tar", &pictures(4)).await;
    bench.pictures.delete("gone.tar").await.unwrap();
    bench.pictures.put("changed.tar", Bytes::from("another")).await.unwrap();
    let message = bench.plan("all", entries([gone, changed, good].concat())).await;
    let worker = bench.start();
    let ended = ends(&bench.work(&message).await);
    worker.end().await.unwrap();
    for (tar, end) in [
        ("gone", "skipped gone"),
        ("changed", "skipped changed"),
        ("good", "indexed"),
    ] {
        let of_tar: Vec<_> = ended.iter().filter(|(key, _)| key.starts_with(tar)).collect();
        assert!(
            of_tar.len() == 4 && of_tar.iter().all(|(_, found)| *found == end),
            "{of_tar:?}"
        );
    }
    assert_eq!(bench.ranges(), 3);
}

#[tokio::test]
async fn a_part_of_a_tar_that_waits_for_room_in_the_budget_counts_as_waiting() {
    let mut bench = Bench::new().await;
    let items = tar(&bench, "t.tar", &pictures(2)).await;
    let message = bench.plan("tar", entries(items)).await;
    waits_for_room(&mut bench, &message).await;
    assert_eq!(bench.result(&message).await.counts.indexed, 2);
}

#[tokio::test]
async fn many_shards_of_spans_share_a_small_pipeline_and_a_small_budget() {
    let mut bench = Bench::new().await;
    let mut messages = Vec::new();
    for shard in 0..6 {
        let items = tar(&bench, &format!("{shard}.tar"), &pictures(40)).await;
        let previewed = |spec: &mut RunSpec| {
            spec.previews = Some(PreviewSpec {
                width: 512,
                height: 512,
                format: PreviewFormat::Png,
                root: None,
            });
        };
        let request = format!("run {shard}");
        messages.push(bench.plan_as(&request, entries(items), previewed).await);
    }
    let mut config = bench.config();
    // Beside what is set aside for rows and arrays 16 MiB may be read: whoever holds some of it has to be able to end.
    config.engine.pipeline.memory_bytes = 336 << 20;
    let worker = bench.start_with(config);
    for message in &messages {
        bench.publish(message).await;
    }
    for _ in &messages {
        bench.done().await;
    }
    for message in &messages {
        assert_eq!(bench.result(message).await.counts.indexed, 40);
    }
    // A preview may take 1 MiB, and those of a span an eighth of what may be read; four pictures would enter together.
    let ranges = bench.ranges();
    assert!(ranges >= 6 * 40 / 2, "{ranges}");
    worker.end().await.unwrap();
}
