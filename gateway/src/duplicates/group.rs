//! The rows of one picture.

use crate::error::GatewayError;
use crate::query::names::of_item;
use sightline_core::digest::sha256_hex;
use sightline_core::{CollectionName, Row, RowId};
use sightline_index::{Projection, VectorIndex};
use sightline_proto::v1;
use std::collections::HashMap;

/// Rows that are read, and deleted, at a time.
const CHUNK: usize = 1000;
/// Rows of a group that are listed one by one.
const LISTED: usize = 100;

/// What is told of a row, in the order in which rows come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: String,
    dataset: String,
    id: RowId,
}

impl Place {
    fn of(row: &Row) -> Self {
        Self {
            key: row.key.clone(),
            dataset: row.dataset.to_string(),
            id: row.id.clone(),
        }
    }
}

/// The rows of one picture as they are read anew: what was found by a scan may have changed.
pub(super) struct Group {
    content_hash: String,
    rows: u64,
    /// The first of them, in order.
    first: Vec<Place>,
    /// Rows of which the text is another than the first's.
    pub(super) other_texts: u64,
}

impl Group {
    /// Reads the rows with these ids; none where fewer than two of them still share a picture.
    pub(super) async fn of(
        index: &dyn VectorIndex,
        collection: &CollectionName,
        ids: &[RowId],
    ) -> Result<Option<Self>, GatewayError> {
        let mut group: Option<Self> = None;
        // How many rows have each text, and the text of the row that is first so far.
        let mut texts: HashMap<String, u64> = HashMap::new();
        let mut first_text = String::new();
        for some in ids.chunks(CHUNK) {
            for row in index.get(collection, some, Projection::Metadata).await? {
                let group = group.get_or_insert_with(|| Self {
                    content_hash: row.content_hash.clone(),
                    rows: 0,
                    first: Vec::new(),
                    other_texts: 0,
                });
                if group.content_hash != row.content_hash {
                    continue;
                }
                group.rows += 1;
                let text = sha256_hex(row.report_text.as_bytes());
                if group.put(Place::of(&row)) == 0 {
                    first_text.clone_from(&text);
                }
                *texts.entry(text).or_default() += 1;
            }
        }
        let same = texts.get(&first_text).copied().unwrap_or_default();
        Ok(group.filter(|group| group.rows > 1).map(|group| Self {
            other_texts: group.rows.saturating_sub(same),
            ..group
        }))
    }

    /// Puts a row where it belongs, and says where that is.
    fn put(&mut self, place: Place) -> usize {
        let at = self.first.partition_point(|other| *other < place);
        if at < LISTED {
            self.first.insert(at, place);
            self.first.truncate(LISTED);
        }
        at
    }

    /// Its rows but the first.
    pub(super) fn surplus(&self) -> u64 {
        self.rows - 1
    }

    /// Deletes all of these rows that still have the picture, but the first, which still has it too; says how many.
    pub(super) async fn drop_surplus(
        &self,
        index: &dyn VectorIndex,
        collection: &CollectionName,
        ids: &[RowId],
    ) -> Result<u64, GatewayError> {
        let Some(first) = self.first.first() else { return Ok(0) };
        let mut deleted = 0;
        for some in ids.chunks(CHUNK) {
            let mut asked = vec![first.id.clone()];
            asked.extend(some.iter().filter(|id| **id != first.id).cloned());
            let rows = index.get(collection, &asked, Projection::Metadata).await?;
            let mut same = rows
                .into_iter()
                .filter(|row| row.content_hash == self.content_hash)
                .map(|row| row.id)
                .peekable();
            // What was to stay is gone or another picture now: none of the others is surplus for certain.
            if same.next_if_eq(&first.id).is_none() {
                break;
            }
            let surplus: Vec<RowId> = same.collect();
            if !surplus.is_empty() {
                index.delete(collection, &surplus).await?;
                deleted += surplus.len() as u64;
            }
        }
        Ok(deleted)
    }

    /// The group as the API has it.
    pub(super) fn to_api(&self, collection: &CollectionName) -> v1::DuplicateGroup {
        let item = |place: &Place| v1::DuplicateItem {
            name: of_item(collection, &place.id),
            key: place.key.clone(),
            dataset: place.dataset.clone(),
        };
        v1::DuplicateGroup {
            content_hash: self.content_hash.clone(),
            rows: i64::try_from(self.rows).unwrap_or(i64::MAX),
            items: self.first.iter().map(item).collect(),
        }
    }
}
