//! Runs over tars.

use crate::fan_out::{keys, nodes};
use crate::fixture::{Fixture, id, work};
use sightline_core::{ManifestEntry, SkipReason};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::path::Path;
use tonic::Request;

fn write_tar(path: &Path, pictures: usize) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for at in 0..pictures {
        let content = format!("picture {at}");
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, format!("{at:03}.jpg"), content.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap();
}

fn over_tars(fixture: &Fixture, prefix: &str) -> v1::RunSpec {
    let mut spec = fixture.spec();
    let source = v1::WebdatasetSource { prefix: prefix.into() };
    spec.dataset.as_mut().unwrap().source = Some(v1::dataset::Source::Webdataset(source));
    spec
}

#[tokio::test]
async fn tars_are_planned_side_by_side_and_each_picture_is_in_one_shard() {
    let fixture = Fixture::new(0).await;
    let folder = fixture.folder.path().join("dataset/train");
    std::fs::create_dir(&folder).unwrap();
    for tar in 0..12 {
        write_tar(&folder.join(format!("{tar:02}.tar")), 30);
    }
    let cut = std::fs::read(folder.join("00.tar")).unwrap();
    std::fs::write(folder.join("12.tar"), &cut[..5000]).unwrap();
    std::fs::write(folder.join("00.json"), "{}").unwrap();
    let spec = v1::RunSpec {
        shard_items: 4,
        window_shards: 1000,
        ..over_tars(&fixture, "train/")
    };
    let run = fixture.create("r", spec).await.unwrap();
    let planned = fixture.until(&run.name, |run| run.plan_complete).await;
    let found = keys(&fixture, &id(&run)).await;
    // Of the tar that is cut short: five pictures, and what says where it ends.
    assert_eq!(found.len(), 12 * 30 + 1 + 5 + 1);
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    assert!(found.contains_key("train/07.tar/029.jpg") && found.contains_key("train/12.tar"));
    assert_eq!(planned.planned_items, i64::try_from(found.len()).unwrap());
    let parts: usize = nodes(&fixture, &id(&run))
        .await
        .iter()
        .map(|node| node.children.len())
        .sum();
    assert!(parts >= 4, "{parts} parts were planned apart");
    let api = v1::dataset::Source::Webdataset(v1::WebdatasetSource {
        prefix: "train/".into(),
    });
    assert_eq!(planned.spec.unwrap().dataset.unwrap().source, Some(api));
}

#[tokio::test]
async fn failed_pictures_are_tried_again_where_they_lie_unless_their_tar_was_replaced() {
    let fixture = Fixture::new(0).await;
    let (kept, replaced) = (
        fixture.folder.path().join("dataset/0.tar"),
        fixture.folder.path().join("dataset/1.tar"),
    );
    write_tar(&kept, 3);
    write_tar(&replaced, 3);
    let run = fixture.create("r", over_tars(&fixture, "")).await.unwrap();
    let mut consumer = fixture.consumer().await;
    work(&fixture, consumer.as_mut(), &["0.tar/001.jpg", "1.tar/001.jpg"]).await;
    fixture.until(&run.name, |run| run.end_time.is_some()).await;
    write_tar(&replaced, 4);
    let retry = v1::RetryFailedRequest {
        name: run.name,
        request_id: "retry".into(),
    };
    let child = fixture
        .api()
        .retry_failed(Request::new(retry))
        .await
        .unwrap()
        .into_inner();
    fixture.until(&child.name, |run| run.plan_complete).await;
    let shard = nodes(&fixture, &id(&child)).await.remove(0).shards.remove(0);
    let entries = fixture.state.manifest(&id(&child), &shard.id).await.unwrap().entries;
    let [ManifestEntry::Item(item), ManifestEntry::Ended(ended)] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!((item.key.as_str(), item.picture_path()), ("0.tar/001.jpg", "001.jpg"));
    assert_eq!(ended.key.as_str(), "1.tar/001.jpg");
    let changed = |outcome: &_| matches!(outcome, sightline_core::Outcome::Skipped { reason, .. } if *reason == SkipReason::Changed);
    assert!(changed(&ended.outcome), "{ended:?}");
}
