//! The worker's engine around a model made of digests, for the integration tests. What a picture's bytes begin with
//! decides what happens to it; the model's folder holds files that switch faults on and note what was read.
//!
//! An example, so that it can use the tests' dependencies and is part of no build but the tests'.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a part of the tests; to die is what it is for"
)]

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sightline_core::filter::Filter;
use sightline_core::vector::{VectorError, normalize};
use sightline_core::{
    Canary, CollectionDescription, CollectionName, FailureReason, FieldDescription, ModelName, PreviewSpec, Row, RowId,
    VectorField, VectorSpace,
};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, VectorIndex};
use sightline_objects::{
    FileAccess, ListPage, ListRequest, ObjectError, ObjectMeta, ObjectStore, OpenOptions, Stores, Symptom,
};
use sightline_worker::config::EngineConfig;
use sightline_worker::engine::{Datasets, EngineParts, OpenParts};
use sightline_worker::model::{Embedding, EmbeddingModel, ForwardError, InputError, Pixels, Prepared, Reading};
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

const DIMENSION: usize = 8;

fn main() -> ExitCode {
    sightline_worker::engine::run(&TestParts)
}

struct TestParts;

#[async_trait]
impl OpenParts for TestParts {
    async fn open(&self, config: &EngineConfig) -> Result<EngineParts, String> {
        let folder = config.model.folder.clone().ok_or("model.folder is needed")?;
        let index = sightline_index::open(&config.index, &sightline_index::OpenOptions::default()).await;
        let index = index.map_err(|error| error.to_string())?;
        let options = OpenOptions {
            files: FileAccess::Allowed,
            ..OpenOptions::default()
        };
        Ok(EngineParts {
            encoder: None,
            model: Arc::new(DigestModel::new(config.model.name.clone(), folder.clone())),
            index: Arc::new(FaultyIndex {
                inner: index,
                folder: folder.clone(),
            }),
            datasets: Arc::new(RecordedDatasets {
                stores: Stores::new(options),
                folder,
            }),
        })
    }
}

/// A model whose vectors are digests of their inputs.
#[derive(Debug)]
struct DigestModel {
    name: ModelName,
    folder: PathBuf,
    fields: BTreeMap<VectorField, FieldDescription>,
}

impl DigestModel {
    fn new(name: ModelName, folder: PathBuf) -> Self {
        let field = |field: VectorField| {
            let space = VectorSpace {
                model: name.clone(),
                weights: "digests".into(),
                preprocessing: field.to_string(),
                decode: String::new(),
                pooling: "none".into(),
                prefix: String::new(),
                dimension: 8,
                normalized: true,
            };
            let vector = vector_of(field.as_str().as_bytes()).unwrap_or_default();
            (
                field,
                FieldDescription::new(
                    space,
                    vec![Canary {
                        input: "name".into(),
                        vector,
                    }],
                ),
            )
        };
        let fields = VectorField::ALL.into_iter().map(field).collect();
        Self { name, folder, fields }
    }
}

fn vector_of(bytes: &[u8]) -> Embedding {
    if bytes.starts_with(b"NAN") {
        return Err(VectorError::NotFinite);
    }
    let digest = Sha256::digest(bytes);
    let mut vector: Vec<f32> = digest
        .iter()
        .take(DIMENSION)
        .map(|byte| f32::from(*byte) + 1.0)
        .collect();
    normalize(&mut vector).map(|()| vector)
}

#[async_trait]
impl EmbeddingModel for DigestModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.fields
    }

    fn devices(&self) -> Vec<String> {
        vec!["digests".into()]
    }

    fn prepare(&self, bytes: &[u8], reading: &Reading) -> Result<Prepared, InputError> {
        if bytes.starts_with(b"ABORT") {
            std::process::abort();
        }
        if bytes.starts_with(b"KILL") {
            let mark = self.folder.join("killed");
            if !mark.exists() {
                std::fs::write(mark, "").expect("the folder is writable");
                let _killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            }
        }
        if bytes.starts_with(b"GROW") {
            grow();
        }
        if bytes.starts_with(b"BLOCK") {
            std::fs::write(self.folder.join("blocked"), "").expect("the folder is writable");
            while !self.folder.join("released").exists() {
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        }
        if bytes.starts_with(b"PANIC") {
            panic!("a mistake in a decoder");
        }
        if bytes.starts_with(b"BAD") || bytes.starts_with(b"BLOCK BAD") {
            return Err(InputError {
                reason: FailureReason::CorruptImage,
                message: "it is damaged".into(),
            });
        }
        let mut prepared = Prepared::from(Pixels::new(bytes.to_vec()));
        if bytes.starts_with(b"TAGS") {
            let tags = reading.dicom.tags.iter();
            prepared.tags = tags.map(|tag| (tag.clone(), "of the file".into())).collect();
        }
        let preview = |spec: &PreviewSpec| format!("{} wide: {}", spec.width, String::from_utf8_lossy(bytes));
        prepared.preview = reading.preview.as_ref().map(|spec| preview(spec).into_bytes());
        Ok(prepared)
    }

    async fn embed_images(&self, _: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        let bytes = batch
            .iter()
            .filter_map(|pixels| pixels.downcast::<Vec<u8>>())
            .collect::<Vec<_>>();
        if bytes.len() > 2 && bytes.iter().any(|bytes| bytes.starts_with(b"LARGE")) {
            return Err(ForwardError::OutOfMemory("two at most".into()));
        }
        Ok(bytes.into_iter().map(|bytes| vector_of(bytes)).collect())
    }

    async fn embed_texts(&self, _: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        Ok(batch.iter().map(|text| vector_of(text.as_bytes())).collect())
    }
}

/// Notes which objects are read.
#[derive(Debug)]
struct RecordedDatasets {
    stores: Stores,
    folder: PathBuf,
}

#[async_trait]
impl Datasets for RecordedDatasets {
    async fn open(&self, root: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        let inner = self.stores.open(root).await?;
        Ok(Arc::new(RecordedStore {
            inner,
            folder: self.folder.clone(),
        }))
    }

    /// The folder `previews` beside the model's, where none is named; away while the file `previews-away` is there, and not
    /// allowed while `previews-denied` is.
    async fn previews(&self, root: Option<&str>) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        if self.folder.join("previews-away").exists() {
            return Err(ObjectError::Unavailable {
                action: "open",
                key: String::new(),
                message: "switched off".into(),
                symptom: Symptom::Away,
            });
        }
        if self.folder.join("previews-denied").exists() {
            return Err(ObjectError::AccessDenied {
                action: "open",
                key: String::new(),
                message: "switched off".into(),
            });
        }
        let own = format!("file://{}", self.folder.with_file_name("previews").display());
        self.stores.open_or_create(root.unwrap_or(&own)).await
    }
}

/// A store that answers nothing but errors for keys that begin with `refused`, and when it is asked for `recovers` the first
/// eight times; for all keys while the file `reads-away` is there, and for listings while `lists-away` is.
#[derive(Debug)]
struct RecordedStore {
    inner: Arc<dyn ObjectStore>,
    folder: PathBuf,
}

impl RecordedStore {
    fn check(&self, action: &'static str, key: &str, fault: &str) -> Result<(), ObjectError> {
        let asked = || {
            let log = std::fs::read_to_string(self.folder.join("fetches.log")).unwrap_or_default();
            log.lines().filter(|line| *line == key).count()
        };
        let is_refused = key.starts_with("refused") || (key == "recovers" && asked() <= 8);
        if !is_refused && !self.folder.join(fault).exists() {
            return Ok(());
        }
        Err(ObjectError::Unavailable {
            action,
            key: key.to_owned(),
            message: "HTTP 503 SlowDown switched off".into(),
            symptom: Symptom::Answered,
        })
    }
}

#[async_trait]
impl ObjectStore for RecordedStore {
    fn root(&self) -> &str {
        self.inner.root()
    }

    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        note(&self.folder, "fetches.log", key);
        self.check("read", key, "reads-away")?;
        let body = self.inner.get(key, etag).await?;
        // The first answer is short, and says that it is whole.
        if body.starts_with(b"SHORT") && std::fs::File::create_new(self.folder.join("shortened")).is_ok() {
            return Ok(body.slice(..body.len() / 2));
        }
        // Every answer is.
        if body.starts_with(b"CUT") {
            return Ok(body.slice(..body.len() / 2));
        }
        Ok(body)
    }

    async fn get_range(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        note(
            &self.folder,
            "ranges.log",
            &format!("{key} {}-{}", range.start, range.end),
        );
        self.check("read", key, "reads-away")?;
        self.inner.get_range(key, range, etag).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        self.inner.head(key).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        self.inner.put(key, body).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        self.inner.delete(key).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        self.check("list", "", "lists-away")?;
        self.inner.list(request).await
    }
}

/// Adds a line to a file that the test reads.
fn note(folder: &Path, file: &str, line: &str) {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(file));
    writeln!(log.expect("the folder is writable"), "{line}").expect("the folder is writable");
}

/// An index that is away while the file `index-away` is there, and refuses rows whose text is `refuse me`.
#[derive(Debug)]
struct FaultyIndex {
    inner: Arc<dyn VectorIndex>,
    folder: PathBuf,
}

impl FaultyIndex {
    fn check(&self, action: &'static str) -> Result<(), IndexError> {
        if self.folder.join("index-away").exists() {
            return Err(IndexError::Unavailable {
                action,
                message: "switched off".into(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl VectorIndex for FaultyIndex {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        self.inner.create(description).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        self.inner.describe(collection).await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        self.inner.list().await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.inner.drop_collection(collection).await
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.check("upsert")?;
        if rows.iter().any(|row| row.report_text == "refuse me") {
            let message = "it does not like a row".to_owned();
            return Err(IndexError::Refused {
                action: "upsert",
                collection: collection.to_string(),
                message,
            });
        }
        self.inner.upsert(collection, rows).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        self.inner.delete(collection, ids).await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.check("get")?;
        let found = self.inner.get(collection, ids, projection).await;
        note(&self.folder, "lookups.log", &ids.len().to_string());
        found
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.inner.scan(collection, filter, after, limit, projection).await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.inner.count(collection, filter).await
    }

    async fn search(&self, collection: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError> {
        self.inner.search(collection, search).await
    }
}

/// Takes a gigabyte, and keeps it until it is killed.
fn grow() -> ! {
    let mut taken = Vec::new();
    for _ in 0..128 {
        taken.push(vec![1_u8; 8 << 20]);
    }
    loop {
        std::hint::black_box(&taken);
        std::thread::park();
    }
}
