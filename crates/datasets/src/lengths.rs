//! How long the lists of numbers in a column are: as long as the first one, in whichever row it stands.
//!
//! Every item of a run has an entry for each side that the run loads, so it has to be known before the first row is given
//! which sides these are.

use crate::embeddings::{Embeddings, imported, table};
use crate::entry::Draft;
use crate::{DatasetError, Reader};
use sightline_core::{FailureReason, ManifestFormat, StoredVector, VectorField, VectorsAt};
use std::collections::BTreeMap;

/// The length of each side; 0 where no row has a list.
pub(crate) type Lengths = BTreeMap<VectorField, u32>;

/// Rows that are looked at at once.
const ROWS: usize = 1000;

/// The sides that lie in columns, with these columns' names.
fn columns<'a>(embeddings: &Embeddings<'a>) -> impl Iterator<Item = (VectorField, &'a str)> {
    embeddings.vectors.iter().filter_map(|(field, at)| match at {
        VectorsAt::Column { name } => Some((*field, name.as_str())),
        VectorsAt::Array { .. } => None,
    })
}

/// Whether the length of a column is not known yet.
pub(crate) fn lacks(embeddings: &Embeddings<'_>, lengths: &Lengths) -> bool {
    columns(embeddings).any(|(field, _)| !lengths.contains_key(&field))
}

/// Notes the lengths that some rows tell and that were not known.
pub(crate) fn note(embeddings: &Embeddings<'_>, drafts: &[Draft], lengths: &mut Lengths) {
    for (field, _) in columns(embeddings) {
        let length = |draft: &Draft| match draft {
            Draft::Wanted(wanted) => wanted.item.vectors.get(&field).map(StoredVector::dimension),
            Draft::Ended(_) => None,
        };
        if !lengths.contains_key(&field) {
            lengths.extend(drafts.iter().find_map(length).map(|length| (field, length)));
        }
    }
}

/// Reads on in a table, from its beginning where `from` is not given, until every column has shown its length.
pub(crate) async fn look_ahead(
    reader: &Reader,
    embeddings: &Embeddings<'_>,
    mut from: Option<String>,
    lengths: &mut Lengths,
) -> Result<(), DatasetError> {
    let imported = imported(embeddings);
    let table = table(reader, embeddings, &imported);
    while lacks(embeddings, lengths) {
        let (drafts, next) = table.drafts(embeddings.format, from.as_deref(), ROWS).await?;
        note(embeddings, &drafts, lengths);
        if next.is_none() {
            break;
        }
        from = next;
    }
    Ok(())
}

/// Notes that the columns whose length no row told hold nothing.
pub(crate) fn give_up(embeddings: &Embeddings<'_>, lengths: &mut Lengths) {
    for (field, _) in columns(embeddings) {
        lengths.entry(field).or_insert(0);
    }
}

/// Sees to it that every item has an entry for each side of which there are vectors, and that the lists of a column are
/// as long as its first.
pub(crate) fn settle(embeddings: &Embeddings<'_>, lengths: &Lengths, drafts: &mut [Draft]) -> Result<(), DatasetError> {
    if drafts.iter().any(|draft| matches!(draft, Draft::Wanted(_))) {
        refuse_empty(embeddings, lengths)?;
    }
    for (field, name) in columns(embeddings) {
        let dimension = lengths.get(&field).copied().unwrap_or_default();
        for draft in drafts.iter_mut() {
            let Draft::Wanted(wanted) = draft else { continue };
            let found = match wanted.item.vectors.get(&field) {
                Some(vector) => vector.dimension(),
                None => {
                    let missing = (dimension > 0).then_some((field, StoredVector::Missing { dimension }));
                    wanted.item.vectors.extend(missing);
                    continue;
                }
            };
            if found != dimension {
                let message = format!("its {name:?} has {found} values; those before have {dimension}");
                let (key, line) = (wanted.item.key.clone(), wanted.item.line);
                *draft = Draft::failed(key, line, FailureReason::InvalidVector, message);
            }
        }
    }
    Ok(())
}

/// Refuses a table without vectors. One of two columns may be empty where a header says that it is there: in JSONL it may
/// be misspelt as well.
fn refuse_empty(embeddings: &Embeddings<'_>, lengths: &Lengths) -> Result<(), DatasetError> {
    let mut empty = columns(embeddings).filter(|(field, _)| lengths.get(field) == Some(&0));
    let Some((_, name)) = empty.next() else { return Ok(()) };
    let all = empty.count() + 1 == embeddings.vectors.len();
    if !all && embeddings.format == ManifestFormat::Parquet {
        return Ok(());
    }
    let message =
        format!("its column {name:?} has no list of numbers in any row: name the column that has, or leave it out");
    Err(DatasetError::unreadable(embeddings.path, message))
}
