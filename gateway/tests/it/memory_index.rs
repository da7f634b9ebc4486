//! An index in memory that tells the truth slowly, or a part of it quickly: what an approximate index does.

use async_trait::async_trait;
use sightline_core::filter::Filter;
use sightline_core::vector::dot;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId, VectorField};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, ScoredId, VectorIndex};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Rows of one collection.
#[derive(Debug, Default)]
pub(crate) struct MemoryIndex {
    rows: Mutex<BTreeMap<RowId, Row>>,
    overlooks: Option<char>,
}

pub(crate) fn side(row: &Row, field: VectorField) -> Option<&[f32]> {
    match field {
        VectorField::Image => row.image_embedding.as_deref(),
        VectorField::Text => row.text_embedding.as_deref(),
    }
}

impl MemoryIndex {
    /// One whose searches leave out every row of which the id ends in this.
    pub(crate) fn overlooking(end: char) -> Self {
        Self {
            overlooks: Some(end),
            ..Self::default()
        }
    }

    fn filtered(&self, filter: Option<&Filter>) -> Vec<Row> {
        let rows = self.rows.lock().unwrap();
        rows.values()
            .filter(|row| filter.is_none_or(|filter| filter.matches(row)))
            .cloned()
            .collect()
    }
}

#[async_trait]
impl VectorIndex for MemoryIndex {
    async fn create(&self, _: &CollectionDescription) -> Result<(), IndexError> {
        Ok(())
    }

    async fn describe(&self, _: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        Ok(None)
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        Ok(Vec::new())
    }

    async fn drop_collection(&self, _: &CollectionName) -> Result<(), IndexError> {
        self.rows.lock().unwrap().clear();
        Ok(())
    }

    async fn upsert(&self, _: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        let mut all = self.rows.lock().unwrap();
        all.extend(rows.iter().map(|row| (row.id.clone(), row.clone())));
        Ok(())
    }

    async fn delete(&self, _: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        self.rows.lock().unwrap().retain(|id, _| !ids.contains(id));
        Ok(())
    }

    async fn get(&self, _: &CollectionName, ids: &[RowId], _: Projection) -> Result<Vec<Row>, IndexError> {
        let rows = self.rows.lock().unwrap();
        Ok(ids.iter().filter_map(|id| rows.get(id).cloned()).collect())
    }

    async fn scan(
        &self,
        _: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        _: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        let rows = self.filtered(filter).into_iter();
        Ok(rows
            .filter(|row| after.is_none_or(|after| row.id > *after))
            .take(limit)
            .collect())
    }

    async fn count(&self, _: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        Ok(self.filtered(filter).len() as u64)
    }

    async fn search(&self, _: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError> {
        let rows = self.filtered(search.filter.as_ref());
        let mut hits: Vec<ScoredId> = rows
            .iter()
            .filter(|row| self.overlooks.is_none_or(|end| !row.id.as_str().ends_with(end)))
            .filter_map(|row| {
                #[expect(clippy::cast_possible_truncation, reason = "as an index rounds")]
                let score = dot(side(row, search.field)?, &search.vector) as f32;
                Some(ScoredId {
                    id: row.id.clone(),
                    score,
                })
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        hits.truncate(search.limit);
        Ok(FieldHits {
            settled: hits.len(),
            hits,
            exact: self.overlooks.is_none(),
        })
    }
}
