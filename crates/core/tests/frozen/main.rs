//! Frozen samples of every durable format: what an older Sightline wrote must be read for ever, and what this one
//! writes must not change by accident. A sample is never edited; a new version adds a file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so and ends"
)]

mod manifests;
mod newer;

use sightline_core::document::{Document, DocumentError};
use sightline_core::message::Envelope;
use sightline_core::run::Columns;
use sightline_core::{
    BoundingBox, Canary, CollectionDescription, CollectionName, DatasetName, DatasetSpec, FailureReason,
    FieldDescription, IndexKind, Item, ItemKey, ItemOutcome, JobKind, Link, Manifest, ManifestEntry, ManifestFormat,
    MirrorDone, MirrorPlan, MirrorSpec, MirroredRow, MirroredRows, ModelName, NumberType, ObjectRef, Outcome,
    OutcomeCounts, PlanComplete, PlanMessage, PlanNode, PlannedShard, Range, RollUp, RollUpSums, RowId, RunDocument,
    RunId, RunSpec, ShardId, ShardMessage, ShardResult, ShardSplit, Share, SkipReason, Source, StopDocument,
    StopReason, StoredVector, TarMember, Timestamp, ToldPicture, VectorField, VectorSpace, VectorsAt,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/frozen")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_frozen<T: Document + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let frozen = sample(name);
    assert_eq!(
        T::from_bytes(&frozen).unwrap(),
        *value,
        "{name} is read as it was meant"
    );
    assert_eq!(
        String::from_utf8(value.to_bytes()).unwrap(),
        String::from_utf8(frozen).unwrap(),
        "{name}"
    );
}

fn run() -> RunId {
    RunId::of_request("anonymous", "2026-11-20")
}

fn shard() -> ShardId {
    ShardId::of_manifest(b"a shard")
}

fn link(cursor: Option<&str>) -> Link {
    Link {
        range: Range {
            prefix: "images/".into(),
            until: None,
        },
        start_after: cursor.map(Into::into),
        fan_out: None,
    }
}

/// A part of what a link left.
fn part() -> Link {
    Link {
        range: Range {
            prefix: "images/".into(),
            until: Some("images/b/\u{10FFFF}".into()),
        },
        start_after: Some("images/a/\u{10FFFF}".into()),
        fan_out: Some(7),
    }
}

fn key(text: &str) -> ItemKey {
    ItemKey::new(text).unwrap()
}

fn space() -> VectorSpace {
    VectorSpace {
        model: ModelName::new("sightline-demo").unwrap(),
        weights: "00ff".into(),
        preprocessing: "{\"size\":224}".into(),
        decode: "exact".into(),
        pooling: "class_mixture".into(),
        prefix: String::new(),
        dimension: 3,
        normalized: true,
    }
}

fn item() -> Item {
    let mut item = Item::new(key("images/가 \"1\".png"));
    item.image = Some(ObjectRef {
        key: "images/가 \"1\".png".into(),
        etag: "e-1".into(),
        size: 12,
    });
    item.text = Some("a red apple".into());
    item.uid = Some("patient 7".into());
    item.labels = vec!["Infiltrate".into(), "Mass".into()];
    item.boxes = vec![BoundingBox {
        label: "Mass".into(),
        x: 225.084_745_762_712,
        y: 1.0,
        width: 2.5,
        height: 3.0,
    }];
    item.attributes.insert("age".into(), 61.into());
    item.line = Some(2);
    item
}

#[test]
fn run_documents_are_frozen() {
    let source = Source::Manifest {
        path: "captions.csv".into(),
        format: ManifestFormat::Csv,
        columns: Columns {
            image: Some("image".into()),
            ..Columns::default()
        },
    };
    let document = RunDocument {
        run: run(),
        caller: "anonymous".into(),
        request_id: "2026-11-20".into(),
        spec: RunSpec {
            kind: JobKind::Embed,
            dataset: DatasetSpec {
                name: DatasetName::new("stamps").unwrap(),
                root: "s3://pictures/stamps".into(),
                source,
                dicom: None,
            },
            collection: CollectionName::new("stamps_v1").unwrap(),
            model: Some(ModelName::new("sightline-demo").unwrap()),
            fingerprints: BTreeMap::from([(VectorField::Image, space().fingerprint())]),
            fields: vec![VectorField::Image],
            index: Some(IndexKind::Hnsw {
                m: 16,
                ef_construction: 200,
            }),
            shard_items: 256,
            window_shards: 64,
            max_failures: Some(10),
            max_failure_share: None,
            mirror: None,
            previews: None,
            selection: None,
        },
        rows_before: None,
        created_at: Timestamp(1_795_000_000_000),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    };
    assert_frozen("run-v1.json", &document);
    let mut mirroring = document;
    mirroring.spec.max_failure_share = Share::new(0.05);
    let max_share = Share::new(0.5).unwrap();
    mirroring.spec.mirror = Some(MirrorSpec { max_share });
    assert_frozen("run-v1-mirror.json", &mirroring);
    mirroring.rows_before = Some(9);
    assert_frozen("run-v1-mirror-rows.json", &mirroring);
}

#[test]
fn what_a_mirroring_run_deletes_is_frozen() {
    let row = MirroredRow {
        id: RowId::of_item(&DatasetName::new("stamps").unwrap(), &key("gone.png")),
        key: "gone.png".into(),
    };
    let rows = MirroredRows {
        run: run(),
        rows: vec![row],
    };
    assert_frozen("mirrored-rows-v1.json", &rows);
    let plan = MirrorPlan {
        run: run(),
        rows: 1,
        of: 9,
    };
    assert_frozen("mirror-v1.json", &plan);
    let done = MirrorDone {
        run: run(),
        rows: 1,
        finished_at: Timestamp(7),
    };
    assert_frozen("mirrored-v1.json", &done);
}

fn import_of(source: Source) -> RunDocument {
    RunDocument {
        run: run(),
        caller: "anonymous".into(),
        request_id: "2026-11-20".into(),
        spec: RunSpec {
            kind: JobKind::Import,
            dataset: DatasetSpec {
                name: DatasetName::new("iu").unwrap(),
                root: "s3://bucket/iu".into(),
                source,
                dicom: None,
            },
            collection: CollectionName::new("medical_images_v1").unwrap(),
            model: None,
            fingerprints: BTreeMap::new(),
            fields: Vec::new(),
            index: None,
            shard_items: 256,
            window_shards: 16,
            max_failures: None,
            max_failure_share: None,
            mirror: None,
            previews: None,
            selection: None,
        },
        rows_before: None,
        created_at: Timestamp(1_795_000_000_000),
        traceparent: None,
    }
}

#[test]
fn run_documents_of_imports_are_frozen() {
    let embeddings = Source::Embeddings {
        path: "merged_df.csv".into(),
        format: ManifestFormat::Csv,
        columns: Columns {
            text: Some("report".into()),
            ..Columns::default()
        },
        vectors: BTreeMap::from([
            (VectorField::Image, VectorsAt::Array { path: "i.npy".into() }),
            (VectorField::Text, VectorsAt::Column { name: "t".into() }),
        ]),
        normalize: true,
    };
    assert_frozen("run-v1-import.json", &import_of(embeddings));
    let clip_retrieval = Source::ClipRetrieval {
        folder: "out".into(),
        fields: vec![VectorField::Image],
        normalize: false,
    };
    assert_frozen("run-v1-clip-retrieval.json", &import_of(clip_retrieval));
}

#[test]
fn run_documents_over_tars_are_frozen() {
    let mut document = import_of(Source::Webdataset {
        prefix: "train/".into(),
    });
    document.spec.kind = JobKind::Embed;
    assert_frozen("run-v1-webdataset.json", &document);
}

#[test]
fn stop_documents_are_frozen() {
    let stop = StopDocument {
        run: run(),
        reason: StopReason::ModelMismatch,
        message: "another model".into(),
        stopped_at: Timestamp(5),
    };
    assert_frozen("stop-v1.json", &stop);
}

#[test]
fn plan_nodes_are_frozen() {
    let node = PlanNode {
        run: run(),
        link: link(None),
        shards: vec![PlannedShard {
            id: shard(),
            items: 256,
            bytes: 4096,
        }],
        children: vec![link(None)],
        next: Some(link(Some("images/m.png"))),
    };
    assert_frozen("plan-v1.json", &node);
    let fanned_out = PlanNode {
        children: vec![part()],
        next: None,
        ..node
    };
    assert_frozen("plan-v1-fan-out.json", &fanned_out);
    let complete = PlanComplete {
        run: run(),
        nodes: vec![(link(None).id(&run()), "d1".into())],
        shards: 1,
        items: 256,
        bytes: 4096,
    };
    assert_frozen("plan-complete-v1.json", &complete);
}

#[test]
fn roll_ups_are_frozen() {
    let roll_up = RollUp {
        run: run(),
        nodes: vec![(link(None).id(&run()), "d1".into())],
        exits: vec![part()],
        sums: RollUpSums {
            shards: 1,
            items: 256,
            bytes: 4096,
            counts: OutcomeCounts {
                indexed: 254,
                skipped: 1,
                failed: 1,
                ..OutcomeCounts::default()
            },
            failures: BTreeMap::from([(FailureReason::CorruptImage, 1)]),
            skips: BTreeMap::from([(SkipReason::Gone, 1)]),
            finished_at: Timestamp(20),
        },
        shard_digits: RollUp::digits_of([shard()].iter()),
        repeated: BTreeMap::from([(shard(), 2)]),
        failed: vec![shard()],
    };
    assert_frozen("roll-up-v1.json", &roll_up);
}

#[test]
fn splits_are_frozen() {
    let part = |bytes: &[u8], items| PlannedShard {
        id: ShardId::of_manifest(bytes),
        items,
        bytes: 2048,
    };
    let split = ShardSplit {
        run: run(),
        shard: shard(),
        parts: vec![part(b"first", 128), part(b"second", 129)],
    };
    assert_frozen("split-v1.json", &split);
}

#[test]
fn results_are_frozen() {
    let outcomes = [
        Outcome::Indexed { digest: "d".into() },
        Outcome::Unchanged { digest: "d".into() },
        Outcome::skipped(SkipReason::Changed, "overwritten"),
        Outcome::Failed {
            reason: FailureReason::CorruptImage,
            message: "cut short".into(),
            stale: true,
        },
    ];
    let mut counts = OutcomeCounts::default();
    outcomes.iter().for_each(|outcome| counts.add(outcome));
    let items = outcomes.into_iter().enumerate();
    let result = ShardResult {
        run: run(),
        shard: shard(),
        worker: "w1".into(),
        started_at: Timestamp(10),
        finished_at: Timestamp(20),
        stage_ms: BTreeMap::from([("decode".into(), 7)]),
        counts,
        items: items
            .map(|(at, outcome)| ItemOutcome {
                key: key(&format!("k{at}")),
                line: None,
                outcome,
            })
            .collect(),
    };
    assert_frozen("result-v1.json", &result);
}

#[test]
fn collection_descriptions_are_frozen() {
    let canary = Canary {
        input: "picture-1".into(),
        vector: vec![1.0, 0.5, -0.25],
    };
    let description = CollectionDescription {
        name: CollectionName::new("stamps_v1").unwrap(),
        fields: BTreeMap::from([(VectorField::Image, FieldDescription::new(space(), vec![canary]))]),
        index: IndexKind::by_size(10),
    };
    assert_frozen("collection-v1.json", &description);
}

#[test]
fn messages_are_frozen() {
    let shard_message = ShardMessage {
        kind: JobKind::Embed,
        run: run(),
        shard: shard(),
        attempt: 2,
        traceparent: None,
    };
    let plan_message = PlanMessage {
        kind: JobKind::Embed,
        run: run(),
        link: link(Some("a")),
        watch: false,
        attempt: 1,
        traceparent: None,
    };
    let watch_message = PlanMessage {
        link: Link::default(),
        watch: true,
        ..plan_message.clone()
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(
        ShardMessage::from_bytes(&sample("shard-message-v1.json")).unwrap(),
        shard_message
    );
    assert_eq!(text(shard_message.to_bytes()), text(sample("shard-message-v1.json")));
    assert_eq!(
        PlanMessage::from_bytes(&sample("plan-message-v1.json")).unwrap(),
        plan_message
    );
    assert_eq!(text(plan_message.to_bytes()), text(sample("plan-message-v1.json")));
    let watch = sample("plan-message-v1-watch.json");
    assert_eq!(PlanMessage::from_bytes(&watch).unwrap(), watch_message);
    assert_eq!(text(watch_message.to_bytes()), text(watch));
}

#[test]
fn a_document_of_a_newer_version_or_another_kind_is_refused_by_name() {
    let text = String::from_utf8(sample("stop-v1.json")).unwrap();
    let newer = StopDocument::from_bytes(text.replace("\"version\":1", "\"version\":2").as_bytes()).unwrap_err();
    assert!(matches!(newer, DocumentError::NewerVersion { found: 2, known: 1, .. }));
    let other = RunDocument::from_bytes(text.as_bytes()).unwrap_err();
    assert!(other.to_string().contains("sightline.stop"), "{other}");
    let unknown = StopDocument::from_bytes(text.replace("\"reason\"", "\"why\"").as_bytes()).unwrap_err();
    assert!(
        matches!(&unknown, DocumentError::NewerContent { message, .. } if message.contains("why")),
        "{unknown}"
    );
}
