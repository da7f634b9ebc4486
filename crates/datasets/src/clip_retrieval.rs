//! What clip-retrieval writes: parts of a table and of arrays, named alike.
//!
//! Nothing but their names says which parts there are, so all of them are compared before the first row is given: a part
//! that lost its table would otherwise be left out without a word, and one that lost its array be found when the parts
//! before it are written already.

use crate::embeddings::{self, Embeddings};
use crate::lengths::Lengths;
use crate::parts::Named;
use crate::{DatasetError, Page, Reader};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use sightline_core::run::Columns;
use sightline_core::{ManifestFormat, VectorField, VectorsAt};
use std::collections::BTreeMap;
use std::pin::pin;

/// A place in one of the parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Path of the part's table.
    part: String,
    /// Where in it; its beginning where not given.
    at: Option<String>,
}

pub(crate) async fn page(
    reader: &Reader,
    folder: &str,
    fields: &[VectorField],
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    let folder = Folder { reader, path: folder };
    let place = match start_after {
        Some(cursor) => serde_json::from_str(cursor).map_err(|_| DatasetError::Cursor { cursor: cursor.into() })?,
        None => {
            let part = folder.first().await?;
            folder.compare(fields).await?;
            Place { part, at: None }
        }
    };
    let part = Part::new(&folder, folder.name_of(&place.part).unwrap_or_default(), fields);
    let page = embeddings::page(reader, &part.table(), place.at.as_deref(), limit).await?;
    let next = match page.next {
        Some(at) => Some(Place { at: Some(at), ..place }),
        None => {
            let part = folder.part_after(Some(&place.part)).await?;
            part.map(|part| Place { part, at: None })
        }
    };
    Ok(Page {
        entries: page.entries,
        // A struct of texts always serialises.
        next: next.map(|place| serde_json::to_string(&place).unwrap_or_default()),
    })
}

/// How long the vectors of each side are, as the first part's arrays say.
pub(crate) async fn dimensions(reader: &Reader, folder: &str, fields: &[VectorField]) -> Result<Lengths, DatasetError> {
    let folder = Folder { reader, path: folder };
    let first = folder.first().await?;
    let part = Part::new(&folder, folder.name_of(&first).unwrap_or_default(), fields);
    embeddings::dimensions(reader, &part.table()).await
}

/// A part's table and arrays.
struct Part {
    path: String,
    columns: Columns,
    vectors: BTreeMap<VectorField, VectorsAt>,
    unnamed: String,
}

impl Part {
    fn new(folder: &Folder<'_>, name: &str, fields: &[VectorField]) -> Self {
        let array = |field: &VectorField| {
            let path = format!("{}{name}{ARRAY}", folder.arrays(*field));
            (*field, VectorsAt::Array { path })
        };
        Self {
            path: format!("{}{name}{TABLE}", folder.tables()),
            columns: Columns::default(),
            vectors: fields.iter().map(array).collect(),
            unnamed: format!("metadata_{name}/"),
        }
    }

    fn table(&self) -> Embeddings<'_> {
        Embeddings {
            path: &self.path,
            format: ManifestFormat::Parquet,
            columns: &self.columns,
            vectors: &self.vectors,
            unnamed: &self.unnamed,
        }
    }
}

/// How the names of tables and arrays end.
const TABLE: &str = ".parquet";
const ARRAY: &str = ".npy";

/// All files of one kind.
fn named<'a>(before: &'a str, behind: &'a str) -> Named<'a> {
    Named {
        before,
        behind,
        deep: true,
    }
}

struct Folder<'a> {
    reader: &'a Reader,
    path: &'a str,
}

impl Folder<'_> {
    fn below(&self, path: &str) -> String {
        match self.path.trim_end_matches('/') {
            "" => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }

    /// How the keys of all tables begin.
    fn tables(&self) -> String {
        self.below("metadata/metadata_")
    }

    /// How the keys of a side's arrays begin.
    fn arrays(&self, field: VectorField) -> String {
        self.below(match field {
            VectorField::Image => "img_emb/img_emb_",
            VectorField::Text => "text_emb/text_emb_",
        })
    }

    /// What stands for a part in the names of its files.
    fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        named(&self.tables(), TABLE).name_of(key)
    }

    /// The first part's table.
    async fn first(&self) -> Result<String, DatasetError> {
        self.part_after(None).await?.ok_or_else(|| {
            let message = "it holds no metadata_N.parquet: name the folder that clip-retrieval inference wrote";
            DatasetError::unreadable(&self.below("metadata"), message)
        })
    }

    /// The next part's table, in the order of keys.
    async fn part_after(&self, part: Option<&str>) -> Result<Option<String>, DatasetError> {
        named(&self.tables(), TABLE).after(self.reader, part).await
    }

    /// Sees to it that every array has its table, and every table its arrays with as many rows, which are as long as those
    /// of the first part.
    async fn compare(&self, fields: &[VectorField]) -> Result<(), DatasetError> {
        // A name for each file of, usually, many thousands of rows.
        let tables = named(&self.tables(), TABLE).all(self.reader).await?;
        for field in fields {
            let before = self.arrays(*field);
            let arrays = named(&before, ARRAY).all(self.reader).await?;
            if arrays.is_empty() {
                return Err(self.without(*field).await?);
            }
            if let Some(name) = arrays.difference(&tables).next() {
                let message = format!(
                    "its table {}{name}{TABLE} is not there, so nothing says whose vectors it holds: put the table back, or \
                     take the array away",
                    self.tables()
                );
                return Err(DatasetError::unreadable(&format!("{before}{name}{ARRAY}"), message));
            }
        }
        let compared = stream::iter(tables)
            .map(|name| self.compare_part(name, fields))
            .buffered(self.reader.options.lookups);
        let mut compared = pin!(compared);
        let mut first: Option<(String, Lengths)> = None;
        while let Some((name, lengths)) = compared.try_next().await? {
            match &first {
                Some((before, expected)) => self.same_lengths(&name, &lengths, before, expected)?,
                None => first = Some((name, lengths)),
            }
        }
        Ok(())
    }

    /// What is to be said of a side that has no arrays: whether the other has some is looked at, so that nobody is sent from
    /// one to the other and back.
    async fn without(&self, field: VectorField) -> Result<DatasetError, DatasetError> {
        let (other, flag) = match field {
            VectorField::Image => (VectorField::Text, "text"),
            VectorField::Text => (VectorField::Image, "image"),
        };
        let of_other = self.arrays(other);
        let message = match named(&of_other, ARRAY).after(self.reader, None).await? {
            Some(_) => format!(
                "there is no such file: where the folder has no vectors for {field}, import the other side alone \
                 (--fields {flag})"
            ),
            None => format!(
                "there is no such file, and no {of_other}N{ARRAY} either, so the folder holds no vectors: name the \
                 one that clip-retrieval inference wrote, or bring its arrays there"
            ),
        };
        Ok(DatasetError::unreadable(
            &format!("{}N{ARRAY}", self.arrays(field)),
            message,
        ))
    }

    async fn compare_part(&self, name: String, fields: &[VectorField]) -> Result<(String, Lengths), DatasetError> {
        let lengths = embeddings::compare(self.reader, &Part::new(self, &name, fields).table()).await?;
        Ok((name, lengths))
    }

    /// Rows of another length would fail one by one, when those of the parts before are written already.
    fn same_lengths(
        &self,
        name: &str,
        lengths: &Lengths,
        before: &str,
        expected: &Lengths,
    ) -> Result<(), DatasetError> {
        let Some((field, length)) = lengths
            .iter()
            .find(|(field, length)| expected.get(*field) != Some(*length))
        else {
            return Ok(());
        };
        let folder = self.arrays(*field);
        let message = format!(
            "its rows have {length} values, those of {folder}{before}{ARRAY} {}: the parts are of different models, so import \
             each into a collection of its own",
            expected.get(field).copied().unwrap_or_default()
        );
        Err(DatasetError::unreadable(&format!("{folder}{name}{ARRAY}"), message))
    }
}
