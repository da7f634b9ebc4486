//! A whole filter as an expression, for servers that have `not` and for milvus-lite, which has not.

use super::client::{Client, Dialect, Freshness};
use super::error::index_error;
use super::filter::{Expression, among, joined, leaf};
use crate::IndexError;
use milvus::v2::prelude::FieldData;
use sightline_core::CollectionDescription;
use sightline_core::filter::Filter;
use std::collections::HashMap;

/// Ids that are asked for at once.
const PAGE_IDS: usize = 10_000;

/// Compiles a filter. On milvus-lite a negation becomes the list of the rows that it excludes, read beforehand: right
/// at any size, and quick enough for the few thousand rows that such a server is for.
pub(super) async fn compile(
    client: &Client,
    description: &CollectionDescription,
    filter: &Filter,
) -> Result<Expression, IndexError> {
    let mut negations = HashMap::new();
    loop {
        match with_negations(filter, client.dialect, &negations) {
            Ok(expression) => return Ok(expression),
            Err(unknown) => {
                let negation = excluding(client, description, &unknown).await?;
                negations.insert(unknown.text, negation);
            }
        }
    }
}

/// Compiles a filter with the negations that are known; the error is a condition whose negation is not.
fn with_negations(
    filter: &Filter,
    dialect: Dialect,
    negations: &HashMap<String, Expression>,
) -> Result<Expression, Expression> {
    let part = |part| with_negations(part, dialect, negations);
    match filter {
        Filter::And(parts) => Ok(joined(parts.iter().map(part).collect::<Result<_, _>>()?, true)),
        Filter::Or(parts) => Ok(joined(parts.iter().map(part).collect::<Result<_, _>>()?, false)),
        Filter::Not(inner) => {
            let inner = part(inner)?;
            match dialect {
                Dialect::Milvus => Ok(inner.negated()),
                Dialect::Lite => negations.get(&inner.text).cloned().ok_or(inner),
            }
        }
        condition => Ok(leaf(condition, dialect)),
    }
}

async fn excluding(
    client: &Client,
    description: &CollectionDescription,
    condition: &Expression,
) -> Result<Expression, IndexError> {
    let collection = &description.name;
    let mut ids: Vec<String> = Vec::new();
    loop {
        let after = ids.last().map_or("", String::as_str);
        let page = Expression::new(format!("id > \"{after}\"")).and(condition.clone());
        let page = page
            .checked()
            .map_err(|message| IndexError::refused("read rows", collection, message))?;
        let found = client
            .query(collection, page, &["id"], Some(PAGE_IDS), Freshness::Everyones)
            .await
            .map_err(|error| index_error("read rows", Some(collection), &error))?;
        let Some(FieldData::VarChar { values, .. }) = found.get_output_field("id").map(FieldData::inner) else {
            break;
        };
        let mut values = values.clone();
        values.sort();
        let is_last = values.len() < PAGE_IDS;
        ids.append(&mut values);
        if is_last {
            break;
        }
    }
    if ids.is_empty() {
        return Ok(Expression::everything());
    }
    let ids = among(ids.iter().map(String::as_str));
    Ok(Expression::new(format!("(id not in {ids})")))
}
