//! Parquet tables that stay open between two pages, so that pages that follow each other decode a row group once.

use super::remote::RemoteFile;
use crate::DatasetError;
use crate::cursor::ParquetPlace;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::record::Row;
use parquet::record::reader::{ReaderIter, RowIter, TreeBuilder};
use parquet::schema::types::Type;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Parquet tables that were read up to some row, for whoever reads on from there. A page whose table is not among them is
/// the same page: it costs reading the table's footer and decoding what lies before it in its row group.
#[derive(Debug)]
pub struct OpenTables {
    /// Those that were used last are at the end.
    kept: Mutex<VecDeque<OpenTable>>,
    most: usize,
    bytes: usize,
}

impl Default for OpenTables {
    fn default() -> Self {
        Self::new(8, 64 << 20)
    }
}

impl OpenTables {
    /// Keeps no more than `most` tables, and no more than `bytes` of footers and decoded pages of them.
    #[must_use]
    pub fn new(most: usize, bytes: usize) -> Self {
        Self {
            kept: Mutex::default(),
            most,
            bytes,
        }
    }

    /// Of those that are open in this version of the file and not behind a place, the one that is nearest to it.
    pub(super) fn take(&self, file: &RemoteFile, place: ParquetPlace) -> Option<OpenTable> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |table: &OpenTable| table.file.is_same(file) && table.at.rows <= place.rows;
        let places = kept.iter().enumerate().filter(|(_, table)| fits(table));
        let (nearest, _) = places.max_by_key(|(_, table)| table.at.rows)?;
        kept.remove(nearest)
    }

    pub(super) fn keep(&self, table: OpenTable) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(table);
        while kept.len() > self.most || kept.iter().map(OpenTable::bytes).sum::<usize>() > self.bytes {
            kept.pop_front();
        }
    }
}

/// A table that is read up to a row.
pub(super) struct OpenTable {
    file: RemoteFile,
    reader: SerializedFileReader<RemoteFile>,
    /// Where [`Self::next`] goes on, as far as its row group is open.
    at: ParquetPlace,
    group: Option<OpenGroup>,
}

struct OpenGroup {
    rows: ReaderIter,
    /// Bytes of decoded pages that its columns hold.
    held: Arc<AtomicUsize>,
}

impl fmt::Debug for OpenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.file.path();
        f.debug_struct("OpenTable")
            .field("path", &path)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl OpenTable {
    /// Reads the file's footer.
    pub(super) fn open(file: RemoteFile) -> Result<Self, DatasetError> {
        let reader = SerializedFileReader::new(file.clone()).map_err(|error| file.broken(&error))?;
        Ok(Self {
            file,
            reader,
            at: ParquetPlace::default(),
            group: None,
        })
    }

    pub(super) fn file(&self) -> &RemoteFile {
        &self.file
    }

    /// Names of its columns.
    pub(super) fn header(&self) -> Vec<String> {
        let fields = self.reader.metadata().file_metadata().schema().get_fields();
        fields.iter().map(|field| field.name().to_owned()).collect()
    }

    /// Rows of the whole file.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Row groups.
    pub(super) fn groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// Goes to a row that is in a row group, and says how many rows that has. Rows behind it in an open group are read
    /// over; in any other case the group is decoded from its beginning.
    pub(super) fn go_to(&mut self, place: ParquetPlace) -> Result<usize, DatasetError> {
        let is_before = self.at.group == place.group && self.at.row <= place.row;
        if self.group.is_none() || !is_before {
            let held = Arc::new(AtomicUsize::new(0));
            let opened = self.reader.get_row_group(place.group).and_then(|group| {
                let counted = Counted {
                    inner: &*group,
                    held: &held,
                };
                let schema = self.reader.metadata().file_metadata().schema_descr_ptr();
                TreeBuilder::new().as_iter(schema, &counted)
            });
            self.group = Some(OpenGroup {
                rows: opened.map_err(|error| self.file.broken(&error))?,
                held,
            });
            self.at = ParquetPlace {
                row: 0,
                rows: place.rows - place.row as u64,
                ..place
            };
        }
        while self.at.row < place.row && self.next()?.is_some() {}
        let rows = self.reader.metadata().row_group(place.group).num_rows();
        Ok(usize::try_from(rows).unwrap_or(0))
    }

    /// The next row of the open group; none at its end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, DatasetError> {
        let Some(group) = &mut self.group else { return Ok(None) };
        let row = group
            .rows
            .next()
            .transpose()
            .map_err(|error| self.file.broken(&error))?;
        self.at.row += usize::from(row.is_some());
        self.at.rows += u64::from(row.is_some());
        Ok(row)
    }

    fn bytes(&self) -> usize {
        let pages = self
            .group
            .as_ref()
            .map_or(0, |group| group.held.load(Ordering::Relaxed));
        self.reader.metadata().memory_size() + pages
    }
}

/// A row group whose columns say how many bytes of decoded pages they hold.
struct Counted<'a> {
    inner: &'a dyn RowGroupReader,
    held: &'a Arc<AtomicUsize>,
}

impl RowGroupReader for Counted<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.inner.metadata()
    }

    fn num_columns(&self) -> usize {
        self.inner.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> ParquetResult<Box<dyn PageReader>> {
        Ok(Box::new(CountedPages {
            inner: self.inner.get_column_page_reader(column)?,
            held: Arc::clone(self.held),
            dictionary: 0,
            last: [0; 2],
        }))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.inner.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> ParquetResult<RowIter<'_>> {
        self.inner.get_row_iter(projection)
    }
}

struct CountedPages {
    inner: Box<dyn PageReader>,
    held: Arc<AtomicUsize>,
    dictionary: usize,
    /// Values that are still to be given may be of the page before.
    last: [usize; 2],
}

impl CountedPages {
    fn count(&mut self, page: &Page) {
        let before = self.dictionary + self.last[0] + self.last[1];
        match page {
            Page::DictionaryPage { .. } => self.dictionary = page.buffer().len(),
            Page::DataPage { .. } | Page::DataPageV2 { .. } => self.last = [page.buffer().len(), self.last[0]],
        }
        let now = self.dictionary + self.last[0] + self.last[1];
        self.held.fetch_add(now, Ordering::Relaxed);
        self.held.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Iterator for CountedPages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CountedPages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.inner.get_next_page()?;
        if let Some(page) = &page {
            self.count(page);
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.inner.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.inner.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> ParquetResult<Option<Page>> {
        self.inner.take_deferred_dictionary()
    }
}
