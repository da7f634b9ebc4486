//! Reading, counting, searching and deleting.

use super::client::{Client, Freshness};
use super::compile::compile;
use super::error::{Meaning, index_error, meaning};
use super::filter::{Expression, among};
use super::{collections, rows, schema};
use crate::check::dimensions;
use crate::{FieldHits, FieldSearch, IndexError, MAX_HITS, Projection, ScoredId};
use milvus::v2::error::Error;
use milvus::v2::prelude::{DeleteRequest, Ids, QueryResults, SearchRequest, SearchVectors};
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId, VectorField};
use std::collections::HashMap;

/// Most ids that one expression names.
const MAX_IDS: usize = 500;
/// Rows in a page without vectors. The client takes answers of at most 4 MiB; a page that is longer is read again in
/// smaller ones.
const PAGE_ROWS: usize = 500;
/// Bytes of vectors in a page.
const PAGE_VECTOR_BYTES: usize = 2 << 20;

fn page_rows(description: &CollectionDescription, projection: Projection) -> usize {
    let row_bytes: usize = dimensions(description)
        .values()
        .map(|length| *length as usize * 4)
        .sum();
    match projection {
        Projection::Metadata => PAGE_ROWS,
        Projection::WithVectors => (PAGE_VECTOR_BYTES / row_bytes.max(1)).clamp(1, PAGE_ROWS),
    }
}

fn names(ids: &[RowId]) -> String {
    format!("id in {}", among(ids.iter().map(RowId::as_str)))
}

/// Queries, and once more after loading the collection where it was not in memory.
async fn query(
    client: &Client,
    description: &CollectionDescription,
    expression: String,
    fields: &[&str],
    limit: Option<usize>,
    freshness: Freshness,
) -> Result<QueryResults, Error> {
    let collection = &description.name;
    let result = client
        .query(collection, expression.clone(), fields, limit, freshness)
        .await;
    match result {
        Err(error) if meaning(&error) == Meaning::NotLoaded => {
            collections::prepare(client, description)
                .await
                .map_err(|error| Error::Unexpected(error.to_string()))?;
            client.query(collection, expression, fields, limit, freshness).await
        }
        other => other,
    }
}

/// The text of a filter, or of none.
async fn condition(
    client: &Client,
    description: &CollectionDescription,
    action: &'static str,
    filter: Option<&Filter>,
) -> Result<String, IndexError> {
    let compiled = match filter {
        Some(filter) => compile(client, description, filter).await?,
        None => Expression::everything(),
    };
    let refused = |message| IndexError::refused(action, &description.name, message);
    compiled.checked().map(|text| format!("({text})")).map_err(refused)
}

pub(super) async fn delete(client: &Client, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
    for ids in ids.chunks(MAX_IDS) {
        let call = async {
            let request = DeleteRequest::builder()
                .collection_name(collection.as_str())
                .filter(names(ids))
                .build()?;
            client.sdk.delete(request).await
        };
        client.call("delete rows", collection, call).await?;
    }
    Ok(())
}

pub(super) async fn get(
    client: &Client,
    description: &CollectionDescription,
    ids: &[RowId],
    projection: Projection,
) -> Result<Vec<Row>, IndexError> {
    let found = rows_of(client, description, ids, projection, Freshness::Everyones).await?;
    Ok(in_order(ids, &found))
}

/// Reads rows that a search has shown. One that does not show is asked for again and waited for: it may be gone, and it
/// may be one that another replica than the one that was searched has not seen yet.
pub(super) async fn get_found(
    client: &Client,
    description: &CollectionDescription,
    ids: &[RowId],
    projection: Projection,
) -> Result<Vec<Row>, IndexError> {
    let mut found = rows_of(client, description, ids, projection, Freshness::Ours).await?;
    let missing = ids.iter().filter(|id| !found.contains_key(*id));
    let missing: Vec<RowId> = missing.cloned().collect();
    found.extend(rows_of(client, description, &missing, projection, Freshness::Everyones).await?);
    Ok(in_order(ids, &found))
}

fn in_order(ids: &[RowId], found: &HashMap<RowId, Row>) -> Vec<Row> {
    ids.iter().filter_map(|id| found.get(id).cloned()).collect()
}

async fn rows_of(
    client: &Client,
    description: &CollectionDescription,
    ids: &[RowId],
    projection: Projection,
    freshness: Freshness,
) -> Result<HashMap<RowId, Row>, IndexError> {
    let mut found: HashMap<RowId, Row> = HashMap::with_capacity(ids.len());
    let mut rest = ids;
    let mut page = page_rows(description, projection).min(MAX_IDS);
    while !rest.is_empty() {
        let count = page.min(rest.len());
        let named = names(&rest[..count]);
        match read(client, description, named, None, projection, freshness).await? {
            Page::Rows(rows) => {
                found.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
                rest = &rest[count..];
            }
            Page::TooLarge => page = smaller(description, page)?,
        }
    }
    Ok(found)
}

pub(super) async fn scan(
    client: &Client,
    description: &CollectionDescription,
    filter: Option<&Filter>,
    after: Option<&RowId>,
    limit: usize,
    projection: Projection,
) -> Result<Vec<Row>, IndexError> {
    let condition = condition(client, description, "read rows", filter).await?;
    let mut rows: Vec<Row> = Vec::new();
    let mut page = page_rows(description, projection);
    while rows.len() < limit {
        let after = rows.last().map(|row| &row.id).or(after).map_or("", RowId::as_str);
        let from_here = format!("id > \"{after}\" and {condition}");
        let wanted = page.min(limit - rows.len());
        let reading = read(
            client,
            description,
            from_here,
            Some(wanted),
            projection,
            Freshness::Everyones,
        );
        match reading.await? {
            Page::Rows(mut found) => {
                let is_last = found.len() < wanted;
                found.sort_by(|a, b| a.id.cmp(&b.id));
                rows.append(&mut found);
                if is_last {
                    break;
                }
            }
            Page::TooLarge => page = smaller(description, page)?,
        }
    }
    Ok(rows)
}

enum Page {
    Rows(Vec<Row>),
    TooLarge,
}

async fn read(
    client: &Client,
    description: &CollectionDescription,
    expression: String,
    limit: Option<usize>,
    projection: Projection,
    freshness: Freshness,
) -> Result<Page, IndexError> {
    let dimensions = dimensions(description);
    let fields = rows::columns_of(&dimensions, projection);
    match query(client, description, expression, &fields, limit, freshness).await {
        Ok(results) => rows::rows(&dimensions, projection, &results)
            .map(Page::Rows)
            .map_err(|message| IndexError::refused("read rows", &description.name, message)),
        Err(error) if meaning(&error) == Meaning::TooLarge => Ok(Page::TooLarge),
        Err(error) => Err(index_error("read rows", Some(&description.name), &error)),
    }
}

fn smaller(description: &CollectionDescription, page: usize) -> Result<usize, IndexError> {
    if page == 1 {
        let message = "one row is longer than a message may be";
        return Err(IndexError::refused("read rows", &description.name, message));
    }
    Ok(page.div_ceil(4))
}

pub(super) async fn count(
    client: &Client,
    description: &CollectionDescription,
    filter: Option<&Filter>,
) -> Result<u64, IndexError> {
    let expression = match filter {
        Some(_) => condition(client, description, "count rows", filter).await?,
        None => String::new(),
    };
    let counted = query(
        client,
        description,
        expression,
        &["count(*)"],
        None,
        Freshness::Everyones,
    );
    counted
        .await
        .map(|results| results.get_row_count())
        .map_err(|error| index_error("count rows", Some(&description.name), &error))
}

pub(super) async fn search(
    client: &Client,
    description: &CollectionDescription,
    search: &FieldSearch,
) -> Result<FieldHits, IndexError> {
    // One more than asked for shows whether rows of equal score lie on both sides of the limit. Which of them the
    // engine gives is its own choice; ours is by id, so that all of them have to be seen.
    let filter = match search.filter.as_ref() {
        Some(filter) => Some(condition(client, description, "search", Some(filter)).await?),
        None => None,
    };
    let condition = having(search.field, filter.as_deref());
    let mut wanted = (search.limit + 1).min(MAX_HITS);
    loop {
        let mut found = best(client, description, search, &condition, wanted).await?;
        let tie = found.hits.get(search.limit).is_some_and(|beyond| {
            let all_equal = found.hits.last().is_some_and(|last| last.score >= beyond.score);
            all_equal && found.hits[search.limit - 1].score <= beyond.score
        });
        if tie && found.hits.len() == wanted && wanted < MAX_HITS {
            wanted = (wanted * 2).min(MAX_HITS);
            continue;
        }
        found.settled = settled(&found.hits, wanted).min(search.limit);
        found.hits.truncate(search.limit);
        return Ok(found);
    }
}

/// How many of the hits that an engine gave, of so many that it was asked for, are in their places: all but those that have
/// the score at which the list was cut, since it may have cut off others that come first by id.
fn settled(hits: &[ScoredId], wanted: usize) -> usize {
    let Some(last) = hits.last().filter(|_| hits.len() >= wanted) else {
        return hits.len();
    };
    hits.partition_point(|hit| hit.score > last.score)
}

/// Of the rows with a vector of this field those that pass a filter. Nothing stands for no filter: the engine holds each
/// condition against every row, also one that is always true.
pub(super) fn having(field: VectorField, filter: Option<&str>) -> String {
    let flag = schema::flag(field);
    match filter {
        Some(filter) => format!("{flag} == true and {filter}"),
        None => format!("{flag} == true"),
    }
}

async fn best(
    client: &Client,
    description: &CollectionDescription,
    search: &FieldSearch,
    condition: &str,
    limit: usize,
) -> Result<FieldHits, IndexError> {
    let collection = &description.name;
    let breadth = schema::breadth(description.index, search.effort, limit);
    let call = || async {
        let request = SearchRequest::builder()
            .collection_name(collection.as_str())
            .vector_field(search.field.as_str())
            .vectors(SearchVectors::Float(vec![search.vector.clone()]))
            .filter(condition.to_owned())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .extra_params(breadth.parameters.clone())
            .consistency_level(Freshness::Ours.level())
            .build()?;
        client.sdk.search(request).await
    };
    let mut answer = client.within(call()).await;
    if answer.as_ref().is_err_and(|error| meaning(error) == Meaning::NotLoaded) {
        collections::prepare(client, description).await?;
        answer = client.within(call()).await;
    }
    let answer = answer.map_err(|error| index_error("search", Some(collection), &error))?;
    let mut hits = Vec::new();
    for result in answer.results().iter() {
        let Ids::VarChar(ids) = result.get_ids() else {
            // An empty answer comes without a kind of ids.
            continue;
        };
        for (id, score) in ids.iter().zip(result.get_scores()) {
            let id = RowId::new(id.as_str())
                .map_err(|error| IndexError::refused("search", collection, error.to_string()))?;
            hits.push(ScoredId { id, score: *score });
        }
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    Ok(FieldHits {
        settled: hits.len(),
        hits,
        exact: breadth.exact,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_settled_up_to_the_tie_in_which_a_list_was_cut() {
        let hits = |scores: &[f32]| -> Vec<ScoredId> {
            let hit = |(number, score): (usize, &f32)| ScoredId {
                id: RowId::new(format!("{number:032x}")).unwrap(),
                score: *score,
            };
            scores.iter().enumerate().map(hit).collect()
        };
        let tied = hits(&[0.9, 0.8, 0.5, 0.5, 0.5]);
        assert_eq!(settled(&tied, 5), 2, "there may be more of 0.5");
        assert_eq!(settled(&tied, 6), 5, "there are no more");
        assert_eq!(settled(&hits(&[0.5, 0.5]), 2), 0);
        assert_eq!(settled(&hits(&[]), 1), 0);
    }
}
