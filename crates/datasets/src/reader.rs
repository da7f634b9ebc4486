//! One page of a dataset.

use crate::embeddings::{self, Embeddings};
use crate::split::{self, Parts, Split};
use crate::table_folder::{Folder, folder_of};
use crate::{DatasetError, OpenTables, clip_retrieval, nih, prefix, table, webdataset};
use sightline_core::plan::Range;
use sightline_core::{ManifestEntry, Source, VectorField};
use sightline_objects::{ListHint, ObjectStore};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Bounds of what reading holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Longest row of a CSV or JSONL manifest in bytes. A longer one fails.
    pub max_row_bytes: usize,
    /// Largest boxes file in bytes; it is read whole.
    pub max_boxes_bytes: u64,
    /// Bytes of a manifest that are fetched at once.
    pub chunk_bytes: usize,
    /// Pictures of a manifest that are looked up at once.
    pub lookups: usize,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            max_row_bytes: 4 << 20,
            max_boxes_bytes: 64 << 20,
            chunk_bytes: 1 << 20,
            lookups: 32,
        }
    }
}

/// A part of a dataset, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Items, and what ended in planning. No two have one key, but failures of a key given twice in the page.
    pub entries: Vec<ManifestEntry>,
    /// Where the range goes on; none at its end.
    pub next: Option<String>,
}

/// Reads one dataset, page after page, and is not kept longer: of a prefix, it goes on with what it saw of folders. Cheap
/// to make: all that it needs to go on is in the cursor.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) source: Source,
    pub(crate) options: ReaderOptions,
    /// What the page of a prefix that was read last told of the next.
    pub(crate) hint: Arc<Mutex<ListHint>>,
    pub(crate) tables: Arc<OpenTables>,
}

impl Reader {
    /// A reader of what `store` (the dataset's root) holds.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, source: Source, options: ReaderOptions) -> Self {
        Self {
            store,
            source,
            options,
            hint: Arc::default(),
            tables: Arc::default(),
        }
    }

    /// The same reader, which goes on with tables that readers before it left open.
    #[must_use]
    pub fn with_tables(self, tables: Arc<OpenTables>) -> Self {
        Self { tables, ..self }
    }

    /// Reads at most `limit` entries (at least 1) of a range. The page may hold fewer, even none, and still have a
    /// `next`. A file has one range: the whole of it. Pages of ranges that do not overlap have no object in common.
    ///
    /// # Errors
    /// When the store fails, or the dataset cannot be read at all.
    pub async fn page(&self, range: &Range, start_after: Option<&str>, limit: usize) -> Result<Page, DatasetError> {
        let limit = limit.max(1);
        match &self.source {
            Source::Prefix {} => prefix::page(self, range, start_after, limit).await,
            Source::NihBoxes {
                boxes,
                images,
                descriptions,
            } => {
                let files = nih::Files {
                    boxes,
                    images,
                    descriptions,
                };
                nih::page(self, files, start_after, limit).await
            }
            Source::Manifest { path, format, columns } => {
                table::page(self, path, *format, columns, start_after, limit).await
            }
            Source::Embeddings {
                path,
                format,
                columns,
                vectors,
                normalize: _,
            } => {
                let table = Embeddings::new(path, *format, columns, vectors);
                match folder_of(path) {
                    Some(folder) => Folder::new(self, folder, table).page(start_after, limit).await,
                    None => embeddings::page(self, &table, start_after, limit).await,
                }
            }
            Source::ClipRetrieval { folder, fields, .. } => {
                clip_retrieval::page(self, folder, fields, start_after, limit).await
            }
            Source::Webdataset { prefix } => webdataset::page(self, prefix, range, start_after, limit).await,
        }
    }

    /// How long the vectors are that items bring, as far as the headers of arrays and the first rows of a table tell; of
    /// several parts, those of the first. Nothing more is read.
    ///
    /// # Errors
    /// When the store fails, or the dataset cannot be read at all.
    pub async fn dimensions(&self) -> Result<BTreeMap<VectorField, u32>, DatasetError> {
        match &self.source {
            Source::Embeddings {
                path,
                format,
                columns,
                vectors,
                normalize: _,
            } => {
                let table = Embeddings::new(path, *format, columns, vectors);
                match folder_of(path) {
                    Some(folder) => Folder::new(self, folder, table).dimensions().await,
                    None => embeddings::dimensions(self, &table).await,
                }
            }
            Source::ClipRetrieval { folder, fields, .. } => clip_retrieval::dimensions(self, folder, fields).await,
            Source::Prefix {} | Source::NihBoxes { .. } | Source::Manifest { .. } | Source::Webdataset { .. } => {
                Ok(BTreeMap::new())
            }
        }
    }

    /// Cuts what a range holds behind `after` (a page's `next`) into parts that can be read side by side; none where
    /// it has no folders or tars to cut at, or the dataset is a file. The parts and what is left of the range cover it, each
    /// key once. It costs a folded listing for each folder above `after`, and a short listing for each part.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn split(&self, range: &Range, after: &str, parts: Parts) -> Result<Option<Split>, DatasetError> {
        match &self.source {
            Source::Prefix {} => split::split(self, range, after, parts).await,
            Source::Webdataset { prefix } => webdataset::split(self, prefix, range, after, parts).await,
            Source::NihBoxes { .. }
            | Source::Manifest { .. }
            | Source::Embeddings { .. }
            | Source::ClipRetrieval { .. } => Ok(None),
        }
    }
}

/// Reads one page with the usual bounds; see [`Reader::page`].
///
/// # Errors
/// When the store fails, or the dataset cannot be read at all.
pub async fn read_page(
    store: Arc<dyn ObjectStore>,
    source: &Source,
    range: &Range,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    Reader::new(store, source.clone(), ReaderOptions::default())
        .page(range, start_after, limit)
        .await
}
