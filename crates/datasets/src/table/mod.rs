//! Manifests: tables with a row an item.

mod csv_rows;
mod jsonl_rows;
mod parquet_rows;
mod window;

use crate::cursor::{FileCursor, TextPlace};
use crate::entry::Draft;
use crate::pin::pin;
use crate::{DatasetError, Page, Reader};
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
    let table = Table { reader, path, columns };
    let (drafts, next) = match format {
        ManifestFormat::Csv => table.text(start_after, limit, Text::Csv).await?,
        ManifestFormat::Jsonl => table.text(start_after, limit, Text::Jsonl).await?,
        ManifestFormat::Parquet => parquet_rows::rows(&table, start_after, limit).await?,
    };
    Ok(Page {
        entries: pin(reader, drafts).await?,
        next,
    })
}

/// A manifest that is read.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    reader: &'a Reader,
    path: &'a str,
    columns: &'a Columns,
}

#[derive(Clone, Copy)]
enum Text {
    Csv,
    Jsonl,
}

impl Table<'_> {
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
