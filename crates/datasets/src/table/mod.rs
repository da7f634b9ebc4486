//! Manifests: tables with a row an item.

mod csv_rows;
mod jsonl_rows;
mod open_tables;
mod parquet_rows;
mod remote;
mod window;

use crate::columns::{Imported, Mapping};
use crate::cursor::{FileCursor, TextPlace};
use crate::entry::Draft;
use crate::pin::pin;
use crate::{DatasetError, Page, Reader};
pub use open_tables::OpenTables;
use sightline_core::ManifestFormat;
use sightline_core::run::Columns;
use window::Window;

pub(crate) async fn page(
    reader: &Reader,
    path: &str,
    format: ManifestFormat,
    columns: &Columns,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    let table = Table {
        reader,
        path,
        columns,
        imported: None,
    };
    let (drafts, next) = table.drafts(format, start_after, limit).await?;
    Ok(Page {
        entries: pin(reader, drafts).await?,
        next,
    })
}

/// A manifest that is read.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) path: &'a str,
    pub(crate) columns: &'a Columns,
    /// Given where its items bring vectors that were made elsewhere.
    pub(crate) imported: Option<&'a Imported>,
}

#[derive(Clone, Copy)]
enum Text {
    Csv,
    Jsonl,
}

/// Rows that are counted at once.
const COUNTED_ROWS: usize = 10_000;

impl Table<'_> {
    /// At most `limit` rows, a draft each, and where the next are.
    pub(crate) async fn drafts(
        &self,
        format: ManifestFormat,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Draft>, Option<String>), DatasetError> {
        match format {
            ManifestFormat::Csv => self.text(start_after, limit, Text::Csv).await,
            ManifestFormat::Jsonl => self.text(start_after, limit, Text::Jsonl).await,
            ManifestFormat::Parquet => parquet_rows::rows(self, start_after, limit).await,
        }
    }

    /// How many rows there are. Reads all of a text.
    pub(crate) async fn count(&self, format: ManifestFormat) -> Result<u64, DatasetError> {
        if format == ManifestFormat::Parquet {
            return parquet_rows::count(self).await;
        }
        let (mut rows, mut from) = (0, None);
        loop {
            let (drafts, next) = self.drafts(format, from.as_deref(), COUNTED_ROWS).await?;
            rows += drafts.len() as u64;
            if next.is_none() {
                return Ok(rows);
            }
            from = next;
        }
    }

    fn mapping(&self, header: &[String], partial: bool) -> Result<Mapping, String> {
        resolve(self.columns, self.imported, header, partial)
    }

    fn columns_error(&self, message: String, found: &[String]) -> DatasetError {
        DatasetError::Columns {
            path: self.path.into(),
            message,
            found: found.to_vec(),
        }
    }

    async fn text(
        &self,
        start_after: Option<&str>,
        limit: usize,
        kind: Text,
    ) -> Result<(Vec<Draft>, Option<String>), DatasetError> {
        let from = start_after.map(FileCursor::<TextPlace>::read).transpose()?;
        let mut window = Window::open(self.reader, self.path, from.as_ref().map(|cursor| cursor.etag.clone())).await?;
        let drafts = match kind {
            Text::Csv => csv_rows::rows(self, &mut window, from.map(|cursor| cursor.at), limit).await?,
            Text::Jsonl => jsonl_rows::rows(self, &mut window, from.map(|cursor| cursor.at), limit).await?,
        };
        // What is left may be line ends only.
        let more = window.skip_line_ends().await?;
        let next = more.then(|| {
            let at = window.place();
            FileCursor {
                etag: window.etag().to_owned(),
                at,
            }
            .write()
        });
        Ok((drafts, next))
    }
}

fn resolve(
    columns: &Columns,
    imported: Option<&Imported>,
    header: &[String],
    partial: bool,
) -> Result<Mapping, String> {
    match imported {
        None => Mapping::resolve(columns, header, partial),
        Some(imported) => Mapping::resolve_imported(columns, imported, header, partial),
    }
}
