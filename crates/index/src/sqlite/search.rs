//! Exact search: every vector of a field that the filter leaves.

use super::collections::Tables;
use super::error::Failure;
use super::filter::Condition;
use super::functions::vector_bytes;
use crate::{FieldSearch, ScoredId};
use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};
use sightline_core::{RowId, VectorField};

/// Vectors lie apart from the rows, with a copy of the id, so that a search without a filter reads nothing else.
pub(super) fn create_table(tables: &Tables, field: VectorField) -> String {
    format!(
        "CREATE TABLE {} (number INTEGER PRIMARY KEY, id TEXT NOT NULL, vector BLOB NOT NULL) STRICT",
        tables.vectors(field)
    )
}

pub(super) fn search(
    transaction: &Transaction<'_>,
    tables: &Tables,
    search: &FieldSearch,
) -> Result<Vec<ScoredId>, Failure> {
    let vectors = tables.vectors(search.field);
    let limit = Value::Integer(i64::try_from(search.limit).unwrap_or(i64::MAX));
    let mut values = vec![Value::Blob(vector_bytes(&search.vector)), limit];
    let restriction = match &search.filter {
        None => String::new(),
        Some(filter) => {
            let condition = Condition::of(filter, &mut values);
            format!("JOIN {} r ON r.number = v.number WHERE {condition}", tables.rows)
        }
    };
    let sql = format!(
        "SELECT v.id, sightline_dot(v.vector, ?1) AS score FROM {vectors} v {restriction}
         ORDER BY score DESC, v.id LIMIT ?2"
    );
    let mut statement = transaction.prepare(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut hits = Vec::new();
    while let Some(row) = found.next()? {
        hits.push(ScoredId {
            id: super::rows::identifier(row, 0, RowId::new)?,
            #[expect(clippy::cast_possible_truncation, reason = "the function rounds to f32")]
            score: row.get::<_, f64>(1)? as f32,
        });
    }
    Ok(hits)
}
