//! A store with files in it, and reading it.

use bytes::Bytes;
use sightline_core::plan::Range;
use sightline_core::run::Columns;
use sightline_core::{ManifestEntry, ManifestFormat, Outcome, Source};
use sightline_datasets::{DatasetError, Page, Reader, ReaderOptions};
use sightline_objects::{ListPage, ListRequest, LocalStore, ObjectError, ObjectMeta, ObjectStore, Symptom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// A store in which looking at some keys fails, and which counts the ranges that are read.
#[derive(Debug)]
pub(crate) struct Store {
    inner: LocalStore,
    ranges: AtomicUsize,
    _dir: TempDir,
}

impl Store {
    pub(crate) async fn with(files: &[(&str, &[u8])]) -> Arc<dyn ObjectStore> {
        Self::counting(files).await
    }

    /// Ranges that were read since the last call.
    pub(crate) fn ranges(&self) -> usize {
        self.ranges.swap(0, Ordering::Relaxed)
    }

    pub(crate) async fn counting(files: &[(&str, &[u8])]) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let inner = LocalStore::open(dir.path()).await.unwrap();
        for (key, body) in files {
            let path = dir.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, body).unwrap();
        }
        Arc::new(Self {
            inner,
            ranges: AtomicUsize::new(0),
            _dir: dir,
        })
    }
}

#[async_trait::async_trait]
impl ObjectStore for Store {
    fn root(&self) -> &str {
        self.inner.root()
    }
    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        self.inner.get(key, etag).await
    }
    async fn get_range(
        &self,
        key: &str,
        range: std::ops::Range<u64>,
        etag: Option<&str>,
    ) -> Result<Bytes, ObjectError> {
        self.ranges.fetch_add(1, Ordering::Relaxed);
        self.inner.get_range(key, range, etag).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        let (action, key, message) = ("look at", key.to_owned(), "test".to_owned());
        match key.as_str() {
            "denied.png" => Err(ObjectError::AccessDenied { action, key, message }),
            "away.png" => Err(ObjectError::Unavailable {
                action,
                key,
                message,
                symptom: Symptom::Away,
            }),
            _ => self.inner.head(&key).await,
        }
    }
    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        self.inner.put(key, body).await
    }
    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        self.inner.delete(key).await
    }
    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        self.inner.list(request).await
    }
}

pub(crate) fn manifest(path: &str, format: ManifestFormat) -> Source {
    Source::Manifest {
        path: path.into(),
        format,
        columns: Columns::default(),
    }
}

/// All pages of a dataset, each read by a reader of its own.
pub(crate) async fn all(
    store: &Arc<dyn ObjectStore>,
    source: &Source,
    options: ReaderOptions,
    limit: usize,
) -> Result<Vec<ManifestEntry>, DatasetError> {
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let reader = Reader::new(Arc::clone(store), source.clone(), options);
        let page: Page = reader.page(&Range::default(), cursor.as_deref(), limit).await?;
        assert!(page.entries.len() <= limit);
        entries.extend(page.entries);
        let Some(next) = page.next else { return Ok(entries) };
        assert_ne!(Some(&next), cursor.as_ref(), "no progress");
        cursor = Some(next);
    }
}

/// An entry in a line: its key, its line, and how it ended or its text.
pub(crate) fn short(entry: &ManifestEntry) -> String {
    match entry {
        ManifestEntry::Item(item) => {
            let line = item.line.map_or_else(String::new, |line| format!("@{line}"));
            let size = item
                .image
                .as_ref()
                .map_or_else(|| "-".into(), |image| image.size.to_string());
            format!("{}{line} item {size} {}", item.key, item.text.as_deref().unwrap_or("-"))
        }
        ManifestEntry::Ended(ended) => {
            let line = ended.line.map_or_else(String::new, |line| format!("@{line}"));
            match &ended.outcome {
                Outcome::Skipped { reason, .. } => format!("{}{line} skipped {reason}", ended.key),
                Outcome::Failed { reason, .. } => format!("{}{line} failed {reason}", ended.key),
                other => format!("{other:?}"),
            }
        }
    }
}

pub(crate) fn shorts(entries: &[ManifestEntry]) -> Vec<String> {
    entries.iter().map(short).collect()
}
