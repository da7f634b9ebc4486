//! A folder of Parquet tables with vectors in columns, read as one: what an export writes in several parts.
//!
//! Nothing but their names says which tables there are. That each has the columns is seen before the first row is given.

use crate::embeddings::{self, Embeddings};
use crate::lengths;
use crate::parts::Named;
use crate::pin::name_only;
use crate::{DatasetError, Page, Reader};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

/// A place in one of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The table's path.
    part: String,
    /// Where in it, with what is known of all tables.
    at: embeddings::Place,
}

/// How the keys of a folder's tables begin, where a path names a folder: it has a slash at its end, and `./` is the root.
pub(crate) fn folder_of(path: &str) -> Option<&str> {
    path.ends_with('/').then(|| path.strip_prefix("./").unwrap_or(path))
}

/// The tables of a folder. What is said of one of them, `tables` says of each.
#[derive(Clone, Copy)]
pub(crate) struct Folder<'a> {
    reader: &'a Reader,
    tables: Embeddings<'a>,
    names: Named<'a>,
}

impl<'a> Folder<'a> {
    /// `folder` is how the tables' keys begin.
    pub(crate) fn new(reader: &'a Reader, folder: &'a str, tables: Embeddings<'a>) -> Self {
        let names = Named {
            before: folder,
            behind: ".parquet",
            deep: false,
        };
        Self { reader, tables, names }
    }

    pub(crate) async fn page(&self, start_after: Option<&str>, limit: usize) -> Result<Page, DatasetError> {
        let reader = self.reader;
        let mut place = match start_after {
            Some(cursor) => serde_json::from_str(cursor).map_err(|_| DatasetError::Cursor { cursor: cursor.into() })?,
            None => {
                self.check().await?;
                Place {
                    part: self.first().await?,
                    at: embeddings::Place::default(),
                }
            }
        };
        let unnamed = self.unnamed(&place.part);
        let table = self.table(&place.part, &unnamed);
        let mut drafts = embeddings::read(reader, &table, &mut place.at, limit).await?;
        if lengths::lacks(&table, &place.at.dimensions) {
            if place.at.goes_on() {
                lengths::look_ahead(reader, &table, place.at.table.clone(), &mut place.at.dimensions).await?;
            }
            self.look_behind(&place.part, &mut place.at.dimensions).await?;
            lengths::give_up(&table, &mut place.at.dimensions);
        }
        lengths::settle(&table, &place.at.dimensions, &mut drafts)?;
        let next = match place.at.goes_on() {
            true => Some(place),
            false => self.names.after(reader, Some(&place.part)).await?.map(|part| Place {
                part,
                at: embeddings::Place::of_next(place.at),
            }),
        };
        Ok(Page {
            entries: name_only(drafts),
            // A struct of texts and whole numbers always serialises.
            next: next.map(|place| serde_json::to_string(&place).unwrap_or_default()),
        })
    }

    /// The first table, as far as its vectors are told by its first rows.
    pub(crate) async fn dimensions(&self) -> Result<lengths::Lengths, DatasetError> {
        let part = self.first().await?;
        embeddings::dimensions(self.reader, &self.table(&part, "")).await
    }

    async fn first(&self) -> Result<String, DatasetError> {
        let first = self.names.after(self.reader, None).await?;
        first.ok_or_else(|| {
            let message =
                "no .parquet file lies in it: name the folder that the tables lie in, with a slash at its end";
            DatasetError::unreadable(self.tables.path, message)
        })
    }

    fn table<'t>(&'t self, part: &'t str, unnamed: &'t str) -> Embeddings<'t> {
        Embeddings {
            path: part,
            unnamed,
            ..self.tables
        }
    }

    /// Rows of different tables have the same lines.
    fn unnamed(&self, part: &str) -> String {
        format!("{}/", self.names.name_of(part).unwrap_or(part))
    }

    /// Looks into the tables behind one for the columns whose lengths are not known.
    async fn look_behind(&self, part: &str, lengths: &mut lengths::Lengths) -> Result<(), DatasetError> {
        let mut part = part.to_owned();
        while lengths::lacks(&self.tables, lengths) {
            let Some(next) = self.names.after(self.reader, Some(&part)).await? else {
                break;
            };
            part = next;
            lengths::look_ahead(self.reader, &self.table(&part, ""), None, lengths).await?;
        }
        Ok(())
    }

    /// Sees to it that every table can be opened and has the columns.
    async fn check(&self) -> Result<(), DatasetError> {
        // A name for each file of, usually, many thousands of rows.
        stream::iter(self.names.all(self.reader).await?)
            .map(|name| self.check_part(name))
            .buffered(self.reader.options.lookups)
            .try_collect()
            .await
    }

    async fn check_part(&self, name: String) -> Result<(), DatasetError> {
        let part = self.names.key_of(&name);
        embeddings::check_columns(self.reader, &self.table(&part, "")).await
    }
}
