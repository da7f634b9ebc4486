//! Vectors that were made elsewhere.

use crate::bench::{Bench, collection, ends, entries, eventually};
use crate::room::waits_for_room;
use bytes::Bytes;
use sightline_core::run::Columns;
use sightline_core::{
    CollectionDescription, CollectionName, FailureReason, FieldDescription, Fingerprint, IndexKind, Item, ItemKey,
    ItemOutcome, JobKind, ManifestEntry, ManifestFormat, ModelName, NumberType, ObjectRef, Outcome, RunSpec, Source,
    StopReason, StoredVector, VectorField,
};
use sightline_objects::ObjectStore;
use std::collections::BTreeMap;

/// Stores rows of two values and points at each of them.
async fn array(bench: &Bench, key: &str, rows: &[[f32; 2]]) -> Vec<StoredVector> {
    let bytes: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    bench.pictures.put(key, Bytes::from(bytes)).await.unwrap();
    let meta = bench.pictures.head(key).await.unwrap();
    let array = ObjectRef {
        key: key.into(),
        etag: meta.etag,
        size: meta.size,
    };
    let row = |at: u64| StoredVector::Row {
        array: array.clone(),
        offset: at * 8,
        dimension: 2,
        numbers: NumberType::F32,
    };
    (0..rows.len() as u64).map(row).collect()
}

fn item(key: &str, vectors: impl IntoIterator<Item = (VectorField, StoredVector)>) -> Item {
    let mut item = Item::new(ItemKey::new(key).unwrap());
    item.vectors = vectors.into_iter().collect();
    item
}

fn import(normalize: bool) -> impl FnOnce(&mut RunSpec) {
    move |spec| {
        spec.kind = JobKind::Import;
        spec.model = None;
        spec.dataset.source = Source::Embeddings {
            path: "m.csv".into(),
            format: ManifestFormat::Csv,
            columns: Columns::default(),
            vectors: BTreeMap::new(),
            normalize,
        };
    }
}

#[tokio::test]
async fn vectors_are_loaded_as_they_are_and_the_bad_ones_fail_alone() {
    let mut bench = Bench::new().await;
    let stored = [[0.6, 0.8], [1.0, 0.0], [3.0, 4.0], [f32::NAN, 0.0], [0.0, 0.0]];
    let images = array(&bench, "i.npy", &stored).await;
    let names = ["good", "other", "long", "nan", "zeros"];
    let mut items: Vec<Item> = names
        .iter()
        .zip(&images)
        .map(|(key, vector)| item(key, [(VectorField::Image, vector.clone())]))
        .collect();
    items[1]
        .vectors
        .insert(VectorField::Text, StoredVector::inline(&[0.0, 1.0]));
    items[0]
        .vectors
        .insert(VectorField::Text, StoredVector::Missing { dimension: 2 });
    items[0].text = Some("a report".into());
    let gone = array(&bench, "gone.npy", &[[1.0, 0.0]]).await;
    bench.pictures.delete("gone.npy").await.unwrap();
    items.push(item("gone", [(VectorField::Image, gone[0].clone())]));
    let message = bench.plan_as("import", entries(items.clone()), import(false)).await;
    let worker = bench.start();
    let result = bench.work(&message).await;
    let expected = [
        ("good", "indexed"),
        ("other", "indexed"),
        ("long", "failed invalid_vector"),
        ("nan", "failed invalid_vector"),
        ("zeros", "failed nothing_to_embed"),
        ("gone", "skipped gone"),
    ];
    let expected: BTreeMap<String, String> = expected.map(|(key, end)| (key.into(), end.into())).into();
    assert_eq!(ends(&result), expected);
    let rows = bench.rows().await;
    let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
    assert_eq!(row("good").image_embedding.as_deref(), Some(&[0.6, 0.8][..]));
    assert_eq!(
        (&row("good").text_embedding, row("good").report_text.as_str()),
        (&None, "a report")
    );
    assert_eq!(row("other").text_embedding.as_deref(), Some(&[0.0, 1.0][..]));
    assert_eq!(bench.ranges(), 2, "one read of each array");

    let again = bench.plan_as("again", entries(items), import(true)).await;
    let ends = ends(&bench.work(&again).await);
    assert_eq!((ends["good"].as_str(), ends["long"].as_str()), ("unchanged", "indexed"));
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_block_of_an_array_is_read_when_there_is_room_in_the_budget() {
    let mut bench = Bench::new().await;
    let vectors = array(&bench, "i.npy", &[[0.6, 0.8]]).await;
    let imported = |spec: &mut RunSpec| {
        import(false)(spec);
        spec.collection = CollectionName::new("imported").unwrap();
    };
    let row = item("row", [(VectorField::Image, vectors[0].clone())]);
    let message = bench.plan_as("importing", entries(vec![row]), imported).await;
    waits_for_room(&mut bench, &message).await;
    assert_eq!(bench.result(&message).await.counts.indexed, 1);
}

#[tokio::test]
async fn an_import_of_which_no_row_can_be_read_ends_where_its_collection_was_never_made() {
    let mut bench = Bench::new().await;
    let ended = ["a", "b"].map(|key| {
        ManifestEntry::Ended(ItemOutcome {
            key: ItemKey::new(key).unwrap(),
            line: Some(2),
            outcome: Outcome::failed(FailureReason::InvalidRow, "its vector is no list of numbers"),
        })
    });
    let message = bench.plan_as("unreadable", ended.into(), import(false)).await;
    let worker = bench.start();
    let result = bench.work(&message).await;
    assert_eq!(
        ends(&result).into_values().collect::<Vec<_>>(),
        ["failed invalid_row"; 2]
    );
    assert_eq!(bench.index.describe(&collection()).await.unwrap(), None);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_import_into_another_model_s_collection_stops_and_one_that_declares_its_fingerprint_does_not() {
    let mut bench = Bench::new().await;
    let model = ModelName::new("medsiglip").unwrap();
    let declared = Fingerprint::new("ab".repeat(32)).unwrap();
    let field = FieldDescription::imported(model, 2, Some(declared.clone()));
    let description = CollectionDescription {
        name: collection(),
        fields: [(VectorField::Image, field)].into(),
        index: IndexKind::Flat,
    };
    bench.index.create(&description).await.unwrap();
    let worker = bench.start();
    for (request, values, expected) in [
        ("nameless", &[1.0_f32, 0.0][..], StopReason::ModelMismatch),
        ("long", &[1.0, 0.0, 0.0][..], StopReason::CollectionMismatch),
    ] {
        let items = vec![item("a", [(VectorField::Image, StoredVector::inline(values))])];
        let message = bench.plan_as(request, entries(items), import(false)).await;
        bench.publish(&message).await;
        let state = bench.state.clone();
        let stop = eventually("it stops", || async { state.stop(&message.run).await.unwrap() }).await;
        assert_eq!(stop.reason, expected, "{}", stop.message);
    }
    let items = vec![item("a", [(VectorField::Image, StoredVector::inline(&[1.0, 0.0]))])];
    let declaring = |spec: &mut RunSpec| {
        import(false)(spec);
        spec.fingerprints = [(VectorField::Image, declared.clone())].into();
    };
    let message = bench.plan_as("declared", entries(items), declaring).await;
    assert_eq!(ends(&bench.work(&message).await)["a"], "indexed");
    worker.end().await.unwrap();
}
