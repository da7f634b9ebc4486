//! The hits of an answer: what was asked for of the rows that were found.

use crate::error::GatewayError;
use crate::fusion::Fused;
use crate::gateway::Shared;
use crate::grouping::Group;
use crate::items::{item, projection};
use crate::query::request::Query;
use crate::retrieval::FieldQuery;
use futures::stream::{self, StreamExt};
use prost::Message;
use sightline_core::{CollectionName, Row, RowId};
use sightline_index::Projection;
use sightline_proto::v1;
use std::collections::HashMap;

/// Rows that are read at once for an answer: they may have 64 KiB of text each.
const READ_ROWS: usize = 256;
/// Room for what is in an answer besides hits.
const ANSWER_MARGIN: usize = 1 << 10;
/// Bytes before a hit in the message: a tag and a length.
const MAX_FIELD_HEADER: usize = 11;

pub(crate) async fn read_hits(
    shared: &Shared,
    query: &Query,
    collection: &CollectionName,
    queries: &[FieldQuery],
    found: &[Fused],
) -> Result<Vec<v1::Hit>, GatewayError> {
    let wants_rows = query.mask.is_more_than_id() || query.thumbnail_pixels.is_some();
    let limit = shared.limits.max_message_bytes.saturating_sub(ANSWER_MARGIN);
    let mut bytes = 0;
    let mut hits = Vec::with_capacity(found.len());
    for found in found.chunks(READ_ROWS) {
        let ids: Vec<RowId> = found.iter().map(|hit| hit.id.clone()).collect();
        let mut rows = if wants_rows {
            read_rows(shared, collection, &ids, projection(&query.mask)).await?
        } else {
            HashMap::new()
        };
        let mut making = Vec::with_capacity(found.len());
        for found in found {
            let row = rows.remove(&found.id);
            // A row that is not there was deleted since it was found.
            if row.is_some() || !wants_rows {
                making.push(make_hit(shared, query, queries, found, row));
            }
        }
        let made: Vec<v1::Hit> = stream::iter(making)
            .buffered(shared.limits.thumbnails_at_once)
            .collect()
            .await;
        bytes += made
            .iter()
            .map(|hit| hit.encoded_len() + MAX_FIELD_HEADER)
            .sum::<usize>();
        if bytes > limit {
            let message = format!("the answer would have more than {limit} bytes: ask for fewer hits or fewer fields");
            return Err(GatewayError::invalid("top_k", message));
        }
        hits.extend(made);
    }
    Ok(hits)
}

async fn read_rows(
    shared: &Shared,
    collection: &CollectionName,
    ids: &[RowId],
    projection: Projection,
) -> Result<HashMap<RowId, Row>, GatewayError> {
    let rows = shared.index.get_found(collection, ids, projection).await?;
    Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
}

async fn make_hit(shared: &Shared, query: &Query, queries: &[FieldQuery], found: &Fused, row: Option<Row>) -> v1::Hit {
    let parts = found.parts.iter().zip(queries);
    let parts = parts.filter_map(|(part, query)| {
        let score = (*part)?;
        Some(v1::hit::Part {
            field: query.field.to_string(),
            score,
            weight: query.weight,
        })
    });
    let mut hit = v1::Hit {
        item: None,
        score: found.score,
        parts: parts.collect(),
        thumbnail: Vec::new(),
        source_width: 0,
        source_height: 0,
        group: String::new(),
    };
    let Some(row) = row else {
        let id = found.id.to_string();
        hit.item = Some(v1::Item {
            id,
            ..v1::Item::default()
        });
        return hit;
    };
    if let Some(pixels) = query.thumbnail_pixels
        && !row.image_path.is_empty()
    {
        add_thumbnail(shared, &row, pixels, &mut hit).await;
    }
    hit.item = Some(item(row, &query.mask));
    hit
}

/// A picture that cannot be shown is no reason to withhold the hit.
async fn add_thumbnail(shared: &Shared, row: &Row, pixels: u32, hit: &mut v1::Hit) {
    match shared.thumbnails.make(&row.image_path, &row.content_hash, pixels).await {
        Ok(thumbnail) => {
            hit.thumbnail = thumbnail.jpeg;
            hit.source_width = i32::try_from(thumbnail.source_width).unwrap_or(i32::MAX);
            hit.source_height = i32::try_from(thumbnail.source_height).unwrap_or(i32::MAX);
        }
        Err(error) => {
            shared.metrics.thumbnail_failed();
            tracing::warn!(item = %row.id, path = row.image_path, %error, "no thumbnail");
        }
    }
}

/// Writes the groups' values into their hits. A row may have gone since it was found, and has no hit.
pub(crate) fn name_groups(hits: &mut [v1::Hit], rows: Vec<Fused>, groups: Vec<Group>) {
    let named = rows.into_iter().zip(groups);
    let mut names: HashMap<String, String> = named
        .filter_map(|(row, group)| Some((row.id.to_string(), group.name?)))
        .collect();
    for hit in hits {
        let name = hit.item.as_ref().and_then(|item| names.remove(&item.id));
        hit.group = name.unwrap_or_default();
    }
}
