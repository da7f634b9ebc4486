//! What clip-retrieval writes: parts of a table and of arrays, named alike.

use crate::embeddings::{self, Embeddings};
use crate::{DatasetError, Page, Reader};
use serde::{Deserialize, Serialize};
use sightline_core::run::Columns;
use sightline_core::{ManifestFormat, VectorField, VectorsAt};
use sightline_objects::ListRequest;
use std::collections::BTreeMap;

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
        None => match folder.part_after(None).await? {
            Some(part) => Place { part, at: None },
            None => {
                let message = "it holds no metadata_N.parquet: name the folder that clip-retrieval inference wrote";
                return Err(DatasetError::unreadable(&folder.below("metadata"), message));
            }
        },
    };
    let name = folder.name_of(&place.part).unwrap_or_default();
    let array = |field: &VectorField| {
        let side = match field {
            VectorField::Image => "img_emb",
            VectorField::Text => "text_emb",
        };
        let path = folder.below(&format!("{side}/{side}_{name}.npy"));
        (*field, VectorsAt::Array { path })
    };
    let vectors: BTreeMap<VectorField, VectorsAt> = fields.iter().map(array).collect();
    let columns = Columns::default();
    let unnamed = format!("metadata_{name}/");
    let table = Embeddings {
        path: &place.part,
        format: ManifestFormat::Parquet,
        columns: &columns,
        vectors: &vectors,
        unnamed: &unnamed,
    };
    let page = embeddings::page(reader, &table, place.at.as_deref(), limit).await?;
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

    fn prefix(&self) -> String {
        self.below("metadata/metadata_")
    }

    /// What stands for a part in the names of its files.
    fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.prefix())?.strip_suffix(".parquet")
    }

    /// The next part's table, in the order of keys.
    async fn part_after(&self, part: Option<&str>) -> Result<Option<String>, DatasetError> {
        let mut request = ListRequest {
            start_after: part.map(Into::into),
            ..ListRequest::all(self.prefix())
        };
        loop {
            let listed = self.reader.store.list(&request).await;
            let listed = listed.map_err(|source| DatasetError::Store {
                what: format!("folder {:?}", self.below("metadata")),
                source,
            })?;
            let found = listed
                .objects
                .into_iter()
                .find(|object| self.name_of(&object.key).is_some());
            match (found, listed.next) {
                (Some(object), _) => return Ok(Some(object.key)),
                (None, None) => return Ok(None),
                (None, next) => request.start_after = next,
            }
        }
    }
}
