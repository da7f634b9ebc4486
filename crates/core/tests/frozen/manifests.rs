//! Shards' manifests.

use super::*;

#[test]
fn manifests_are_frozen() {
    let manifest = Manifest {
        run: run(),
        kind: JobKind::Embed,
        entries: vec![
            ManifestEntry::Item(item()),
            ManifestEntry::ended(
                key("notes.txt"),
                None,
                Outcome::skipped(SkipReason::UnsupportedType, "no picture"),
            ),
        ],
    };
    let id = ShardId::new("0eea78c26dd998d8fbe4ce8838d5e8a44c99ea995f50d0ff9c61f206e3218f87").unwrap();
    assert_eq!(
        manifest.encode().0,
        id,
        "the bytes before compression, and so the id, never change"
    );
    assert_eq!(
        Manifest::decode(&id, &sample("manifest-v1.jsonl.gz")).unwrap(),
        manifest
    );
}

#[test]
fn manifests_of_imports_are_frozen() {
    let mut first = Item::new(key("1000_IM-0003-1001.dcm.png"));
    first.image = Some(ObjectRef {
        key: "1000_IM-0003-1001.dcm.png".into(),
        etag: String::new(),
        size: 0,
    });
    (first.text, first.uid, first.line) = (Some("Normal.".into()), Some("1000".into()), Some(2));
    let row = StoredVector::Row {
        array: ObjectRef {
            key: "i.npy".into(),
            etag: "e-1".into(),
            size: 34_403_328,
        },
        offset: 128,
        dimension: 1152,
        numbers: NumberType::F32,
    };
    first.vectors = BTreeMap::from([
        (VectorField::Image, row),
        (VectorField::Text, StoredVector::Missing { dimension: 2 }),
    ]);
    let mut second = Item::new(key("line:3"));
    second.line = Some(3);
    second.vectors = BTreeMap::from([(VectorField::Text, StoredVector::inline(&[0.6, 0.8]))]);
    let manifest = Manifest {
        run: run(),
        kind: JobKind::Import,
        entries: vec![ManifestEntry::Item(first), ManifestEntry::Item(second)],
    };
    let id = ShardId::new("954bb506a07bf19d1904102ebb691837288329372cd068f1e9af7d338c4674cd").unwrap();
    assert_eq!(manifest.encode().0, id);
    assert_eq!(
        Manifest::decode(&id, &sample("manifest-v1-import.jsonl.gz")).unwrap(),
        manifest
    );
}

#[test]
fn manifests_of_imports_of_exports_are_frozen() {
    let mut item = Item::new(key("a/1.png"));
    item.told = Some(Box::new(ToldPicture {
        url: Some("s3://other/root/a/1.png".into()),
        content_hash: Some("ab".repeat(32)),
    }));
    (item.image_id, item.line) = (Some("1.png".into()), Some(1));
    item.vectors = BTreeMap::from([(VectorField::Image, StoredVector::inline(&[0.6, 0.8]))]);
    let manifest = Manifest {
        run: run(),
        kind: JobKind::Import,
        entries: vec![ManifestEntry::Item(item)],
    };
    let id = ShardId::new("f4dc9999966848890c02e2aeb77951872519ad1703b4dc11af247af939a08f0d").unwrap();
    assert_eq!(manifest.encode().0, id);
    assert_eq!(
        Manifest::decode(&id, &sample("manifest-v1-export.jsonl.gz")).unwrap(),
        manifest
    );
}

#[test]
fn manifests_of_tars_are_frozen() {
    let mut item = Item::new(key("train/0.tar/000.jpg"));
    item.image = Some(ObjectRef {
        key: "train/0.tar".into(),
        etag: "e-1".into(),
        size: 10_240,
    });
    item.member = Some(Box::new(TarMember {
        path: "000.jpg".into(),
        offset: 1536,
        size: 5,
    }));
    (item.text, item.uid) = (Some("a red apple".into()), Some("000".into()));
    item.labels = vec!["7".into()];
    item.attributes.insert("width".into(), 3.into());
    let damaged = Outcome::failed(FailureReason::UnreadableTar, "cut short");
    let manifest = Manifest {
        run: run(),
        kind: JobKind::Embed,
        entries: vec![
            ManifestEntry::Item(item),
            ManifestEntry::ended(key("train/1.tar"), None, damaged),
        ],
    };
    let id = ShardId::new("ac8c2072c9641e0119cbc1cf4c9fd01ebb6e1ca39c960c9d2aeb163460245a1c").unwrap();
    assert_eq!(manifest.encode().0, id);
    assert_eq!(
        Manifest::decode(&id, &sample("manifest-v1-webdataset.jsonl.gz")).unwrap(),
        manifest
    );
}

#[test]
fn a_manifest_that_is_not_the_one_its_id_names_is_refused() {
    let bytes = sample("manifest-v1.jsonl.gz");
    let error = Manifest::decode(&shard(), &bytes).unwrap_err();
    assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
    let (id, _) = Manifest {
        run: run(),
        kind: JobKind::Embed,
        entries: Vec::new(),
    }
    .encode();
    assert!(Manifest::decode(&id, &bytes[..bytes.len() / 2]).is_err(), "cut short");
}
