//! A table beside vectors that were made elsewhere: rows of numpy arrays, in the table's order, or columns of lists.
//!
//! That a row and its vector belong together, their place alone says. So the arrays and the table must have as many rows
//! as each other, which is seen before the first row is given, and none of them may change while the run is planned.

use crate::columns::Imported;
use crate::entry::Draft;
use crate::lengths::{self, Lengths};
use crate::pin::name_only;
use crate::table::Table;
use crate::{DatasetError, Page, Reader};
use serde::{Deserialize, Serialize};
use sightline_core::run::Columns;
use sightline_core::{ManifestFormat, NumberType, ObjectRef, StoredVector, VectorField, VectorsAt};
use sightline_npy::{FloatType, HEADER_BYTES, Matrix, read_header};
use std::collections::BTreeMap;

/// Longest vector.
const MAX_DIMENSION: u64 = 32_768;
/// Rows that are read to see how long the vectors of a column are.
const FIRST_ROWS: usize = 100;

/// A table and where its vectors lie.
#[derive(Clone, Copy)]
pub(crate) struct Embeddings<'a> {
    pub(crate) path: &'a str,
    pub(crate) format: ManifestFormat,
    pub(crate) columns: &'a Columns,
    pub(crate) vectors: &'a BTreeMap<VectorField, VectorsAt>,
    /// What stands before the line in the key of a row without a name.
    pub(crate) unnamed: &'a str,
}

impl<'a> Embeddings<'a> {
    /// A table whose rows without a name are called after their lines.
    pub(crate) fn new(
        path: &'a str,
        format: ManifestFormat,
        columns: &'a Columns,
        vectors: &'a BTreeMap<VectorField, VectorsAt>,
    ) -> Self {
        Self {
            path,
            format,
            columns,
            vectors,
            unnamed: "",
        }
    }
}

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The table's own cursor; none at its beginning and, once rows were read, at its end.
    pub(crate) table: Option<String>,
    /// Rows before it.
    rows: u64,
    /// The arrays' tags.
    arrays: BTreeMap<VectorField, String>,
    /// Length of the vectors that are in columns.
    pub(crate) dimensions: Lengths,
}

impl Place {
    /// Whether rows are left, once some were read.
    pub(crate) fn goes_on(&self) -> bool {
        self.table.is_some()
    }

    /// The beginning of the table behind one that was read to its end.
    pub(crate) fn of_next(self) -> Self {
        Self {
            dimensions: self.dimensions,
            ..Self::default()
        }
    }
}

/// An array that is in its version of the first page.
struct Array {
    object: ObjectRef,
    matrix: Matrix,
}

impl Array {
    fn dimension(&self) -> u32 {
        // Not more than MAX_DIMENSION.
        u32::try_from(self.matrix.columns).unwrap_or(u32::MAX)
    }
}

pub(crate) async fn page(
    reader: &Reader,
    embeddings: &Embeddings<'_>,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    let mut place = match start_after {
        None => Place::default(),
        Some(cursor) => serde_json::from_str(cursor).map_err(|_| DatasetError::Cursor { cursor: cursor.into() })?,
    };
    let mut drafts = read(reader, embeddings, &mut place, limit).await?;
    if lengths::lacks(embeddings, &place.dimensions) {
        if place.goes_on() {
            lengths::look_ahead(reader, embeddings, place.table.clone(), &mut place.dimensions).await?;
        }
        lengths::give_up(embeddings, &mut place.dimensions);
    }
    lengths::settle(embeddings, &place.dimensions, &mut drafts)?;
    // A struct of texts and whole numbers always serialises.
    let next = place
        .goes_on()
        .then(|| serde_json::to_string(&place).unwrap_or_default());
    Ok(Page {
        entries: name_only(drafts),
        next,
    })
}

/// The next rows of a table, with where their vectors lie, and the place behind them.
pub(crate) async fn read(
    reader: &Reader,
    embeddings: &Embeddings<'_>,
    place: &mut Place,
    limit: usize,
) -> Result<Vec<Draft>, DatasetError> {
    let arrays = arrays(reader, embeddings, &place.arrays).await?;
    let imported = imported(embeddings);
    let table = table(reader, embeddings, &imported);
    if place.table.is_none() && !arrays.is_empty() {
        same_rows(embeddings, table.count(embeddings.format).await?, &arrays)?;
    }
    place.arrays = arrays
        .iter()
        .map(|(field, array)| (*field, array.object.etag.clone()))
        .collect();
    let (mut drafts, next) = table.drafts(embeddings.format, place.table.as_deref(), limit).await?;
    for draft in &mut drafts {
        point_at(draft, place.rows, &arrays);
        place.rows += 1;
    }
    lengths::note(embeddings, &drafts, &mut place.dimensions);
    place.table = next;
    Ok(drafts)
}

/// Refuses a table and arrays that do not belong together, without reading their rows; how long the arrays' rows are.
pub(crate) async fn compare(reader: &Reader, embeddings: &Embeddings<'_>) -> Result<Lengths, DatasetError> {
    let arrays = arrays(reader, embeddings, &BTreeMap::new()).await?;
    let imported = imported(embeddings);
    let rows = table(reader, embeddings, &imported).count(embeddings.format).await?;
    same_rows(embeddings, rows, &arrays)?;
    Ok(lengths_of(&arrays))
}

/// Refuses a table that cannot be opened or lacks a column, without reading its rows.
pub(crate) async fn check_columns(reader: &Reader, embeddings: &Embeddings<'_>) -> Result<(), DatasetError> {
    let imported = imported(embeddings);
    let opened = table(reader, embeddings, &imported)
        .drafts(embeddings.format, None, 0)
        .await;
    opened.map(|_| ())
}

/// How long the vectors of each side are, as far as the arrays' headers and the table's first rows tell.
pub(crate) async fn dimensions(reader: &Reader, embeddings: &Embeddings<'_>) -> Result<Lengths, DatasetError> {
    let arrays = arrays(reader, embeddings, &BTreeMap::new()).await?;
    let mut lengths = lengths_of(&arrays);
    let imported = imported(embeddings);
    if !imported.vectors.is_empty() {
        let table = table(reader, embeddings, &imported);
        let (drafts, _) = table.drafts(embeddings.format, None, FIRST_ROWS).await?;
        lengths::note(embeddings, &drafts, &mut lengths);
    }
    Ok(lengths)
}

pub(crate) fn imported(embeddings: &Embeddings<'_>) -> Imported {
    let columns = embeddings.vectors.iter().filter_map(|(field, at)| match at {
        VectorsAt::Column { name } => Some((*field, name.clone())),
        VectorsAt::Array { .. } => None,
    });
    Imported {
        unnamed: embeddings.unnamed.to_owned(),
        vectors: columns.collect(),
    }
}

pub(crate) fn table<'a>(reader: &'a Reader, embeddings: &Embeddings<'a>, imported: &'a Imported) -> Table<'a> {
    Table {
        reader,
        path: embeddings.path,
        columns: embeddings.columns,
        imported: Some(imported),
    }
}

/// Opens the arrays, in the versions of `etags` where those are given.
async fn arrays(
    reader: &Reader,
    embeddings: &Embeddings<'_>,
    etags: &BTreeMap<VectorField, String>,
) -> Result<BTreeMap<VectorField, Array>, DatasetError> {
    let mut arrays = BTreeMap::new();
    for (field, at) in embeddings.vectors {
        if let VectorsAt::Array { path } = at {
            arrays.insert(*field, open(reader, path, etags.get(field)).await?);
        }
    }
    Ok(arrays)
}

fn lengths_of(arrays: &BTreeMap<VectorField, Array>) -> Lengths {
    arrays
        .iter()
        .map(|(field, array)| (*field, array.dimension()))
        .collect()
}

async fn open(reader: &Reader, path: &str, etag: Option<&String>) -> Result<Array, DatasetError> {
    let of_array = |error| DatasetError::of_manifest(path, error);
    let meta = reader.store.head(path).await.map_err(of_array)?;
    if etag.is_some_and(|etag| *etag != meta.etag) {
        return Err(DatasetError::Changed { path: path.into() });
    }
    let start = reader.store.get_range(path, 0..HEADER_BYTES, Some(&meta.etag)).await;
    let start = start.map_err(of_array)?;
    let matrix = read_header(&start).map_err(|error| DatasetError::unreadable(path, error.to_string()))?;
    if matrix.columns > MAX_DIMENSION {
        let message = format!("its rows have {} values, more than {MAX_DIMENSION}", matrix.columns);
        return Err(DatasetError::unreadable(path, message));
    }
    if matrix.file_bytes() != meta.size {
        let message = format!(
            "it has {} bytes and should have {}: it was cut short, or something was added to it",
            meta.size,
            matrix.file_bytes()
        );
        return Err(DatasetError::unreadable(path, message));
    }
    Ok(Array {
        object: ObjectRef {
            key: path.to_owned(),
            etag: meta.etag,
            size: meta.size,
        },
        matrix,
    })
}

fn same_rows(
    embeddings: &Embeddings<'_>,
    rows: u64,
    arrays: &BTreeMap<VectorField, Array>,
) -> Result<(), DatasetError> {
    match arrays.values().find(|array| array.matrix.rows != rows) {
        None => Ok(()),
        Some(array) => Err(DatasetError::unreadable(
            &array.object.key,
            format!(
                "it has {} rows and {:?} has {rows}: a row of the one belongs to the row of the other in the same place, \
                 so write both from one list",
                array.matrix.rows, embeddings.path
            ),
        )),
    }
}

/// Says where in the arrays a row's vectors are.
fn point_at(draft: &mut Draft, row: u64, arrays: &BTreeMap<VectorField, Array>) {
    let Draft::Wanted(wanted) = draft else { return };
    for (field, array) in arrays {
        let matrix = &array.matrix;
        let vector = StoredVector::Row {
            array: array.object.clone(),
            offset: matrix.offset + row * matrix.row_bytes(),
            dimension: array.dimension(),
            numbers: match matrix.element {
                FloatType::F16 => NumberType::F16,
                FloatType::F32 => NumberType::F32,
                FloatType::F64 => NumberType::F64,
            },
        };
        wanted.item.vectors.insert(*field, vector);
    }
}
