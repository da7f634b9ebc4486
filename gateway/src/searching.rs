//! One search from request to answer.

use crate::effort::effort_for;
use crate::error::GatewayError;
use crate::fusion::{Fused, Proof, ROUNDING, Window};
use crate::gateway::Shared;
use crate::grouping::{Grouped, retrieve_groups};
use crate::items::{item, projection};
use crate::metrics::SearchClock;
use crate::query::options::Page;
use crate::query::page::PageToken;
use crate::query::request::Query;
use crate::query::resolve::Resolver;
use crate::retrieval::{FieldQuery, Retrieval};
use futures::stream::{self, StreamExt};
use prost::Message;
use sightline_core::{CollectionDescription, CollectionName, IndexKind, Row, RowId};
use sightline_index::Projection;
use sightline_proto::v1;
use sightline_service::ServiceError;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument;

/// Rows that are read at once for an answer: they may have 64 KiB of text each.
const READ_ROWS: usize = 256;
/// Room for what is in an answer besides hits.
const ANSWER_MARGIN: usize = 1 << 10;

/// Answers a search, and counts it.
pub(crate) async fn counted(shared: &Shared, request: v1::SearchRequest) -> Result<v1::SearchResponse, Status> {
    let mut clock = shared.metrics.start_search();
    match search(shared, request, &mut clock).await {
        Ok(answer) => {
            clock.finish("ok");
            Ok(answer)
        }
        Err(error) => {
            let error = ServiceError::from(error);
            clock.finish(outcome(error.code()));
            Err(error.into())
        }
    }
}

/// A status as a metric's label.
fn outcome(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "invalid_argument",
        Code::NotFound => "not_found",
        Code::FailedPrecondition => "failed_precondition",
        Code::ResourceExhausted => "resource_exhausted",
        Code::Unavailable => "unavailable",
        _ => "internal",
    }
}

/// Answers a search.
async fn search(
    shared: &Shared,
    request: v1::SearchRequest,
    clock: &mut SearchClock,
) -> Result<v1::SearchResponse, GatewayError> {
    let query = Query::of_request(request, shared.limits.max_image_bytes)?;
    let asked = Instant::now();
    let describing = async { shared.collection(&query.collection).await.map(Arc::new) };
    let described = match shared.known_collections.get(&query.collection) {
        Some(known) => {
            let answering = answer(shared, &query, &known.description, clock);
            // What the collection was, and what is found there, are asked for at once; an answer to what it is no more is
            // no answer. Where it was asked for a moment ago, only a failure asks why.
            let (answer, described) = if shared.known_collections.is_fresh(&known) {
                match answering.await {
                    Ok(answer) => return Ok(answer),
                    failed => (failed, describing.await),
                }
            } else {
                tokio::join!(answering, describing)
            };
            if let Ok(described) = &described
                && *described == known.description
            {
                shared.known_collections.put(described, asked);
                return answer;
            }
            described
        }
        None => describing.await,
    };
    let described = described.inspect_err(|_| shared.known_collections.forget(&query.collection))?;
    shared.known_collections.put(&described, asked);
    answer(shared, &query, &described, clock).await
}

/// Answers a search of a collection that is described so.
async fn answer(
    shared: &Shared,
    query: &Query,
    description: &CollectionDescription,
    clock: &mut SearchClock,
) -> Result<v1::SearchResponse, GatewayError> {
    let queries = queries(shared, query, description).await?;
    let effort = match query.options.recall_target {
        Some(recall) => effort_for(shared, description, &queries, recall).await?,
        None => query.effort,
    };
    let after = query.options.page.as_ref().and_then(|page| page.after.as_ref());
    let retrieval = Retrieval {
        filter: query.filter.clone(),
        effort,
        true_scores: has_true_scores(description.index),
        window: Window {
            floor: floor(query.options.min_score, &queries),
            is_page: query.options.page.is_some(),
            ..after.map(PageToken::window).unwrap_or_default()
        },
        ..Retrieval::new(queries, query.options.wanted)
    };
    let Grouped { retrieved, groups } = rank(shared, query, &description.name, &retrieval).await?;
    clock.searched(retrieval.queries.len(), retrieved.depth);
    let (rows, proof) = (retrieved.rows, retrieved.proof);
    tracing::debug!(retrieved.depth, ?proof, hits = rows.len(), "searched");
    let next_page_token = match &query.options.page {
        Some(page) => next_page(page, &rows, &retrieval, description),
        None => String::new(),
    };
    let span = tracing::info_span!("read hits", hits = rows.len());
    let hits = read_hits(shared, query, &description.name, &retrieval.queries, &rows).instrument(span);
    let mut hits = hits.await?;
    name_groups(&mut hits, rows, groups);
    let (ranking, unseen_bound) = match proof {
        Proof::Exact => (v1::search_response::Ranking::Exact, 0.0),
        Proof::OverCandidates { unseen } => (v1::search_response::Ranking::ExactOverCandidates, unseen),
    };
    Ok(v1::SearchResponse {
        hits,
        ranking: ranking.into(),
        unseen_bound,
        next_page_token,
    })
}

/// The least score as rows are held against it. A score that an answer told may come from the index, rounded: asked for
/// as the least, it has to find its own row.
fn floor(min_score: Option<f64>, queries: &[FieldQuery]) -> Option<f64> {
    let weights: f64 = queries.iter().map(|query| query.weight.abs()).sum();
    min_score.map(|least| least - ROUNDING * weights)
}

/// The query's vectors: those of the page before, or resolved afresh.
async fn queries(
    shared: &Shared,
    query: &Query,
    description: &CollectionDescription,
) -> Result<Vec<FieldQuery>, GatewayError> {
    if let Some(token) = query.options.page.as_ref().and_then(|page| page.after.as_ref()) {
        let queries = token.queries(description);
        return queries.map_err(|message| GatewayError::invalid("page_token", message));
    }
    let resolver = Resolver {
        index: &*shared.index,
        encoder: shared.encoder.as_deref(),
        description,
        known_texts: &shared.known_texts,
        known_vectors: &shared.known_vectors,
        metrics: &shared.metrics,
    };
    resolver.resolve(query.legs.clone()).await
}

async fn rank(
    shared: &Shared,
    query: &Query,
    collection: &CollectionName,
    retrieval: &Retrieval,
) -> Result<Grouped, GatewayError> {
    let index = &*shared.index;
    let fusing = query.options.fusing;
    Ok(match &query.options.group {
        Some(key) => retrieve_groups(index, collection, retrieval, fusing, key).await?,
        None => Grouped {
            retrieved: fusing.retrieve(index, collection, retrieval).await?,
            groups: Vec::new(),
        },
    })
}

/// The token of the page after these rows; empty where they are the last.
fn next_page(page: &Page, rows: &[Fused], retrieval: &Retrieval, description: &CollectionDescription) -> String {
    let Some(last) = rows.last().filter(|_| rows.len() >= retrieval.wanted) else {
        return String::new();
    };
    let seen = page
        .after
        .as_ref()
        .map_or(0, PageToken::seen)
        .saturating_add(rows.len());
    let end = (last.score, last.id.clone());
    PageToken::new(&page.request, seen, end, &retrieval.queries, description).text()
}

fn name_groups(hits: &mut [v1::Hit], rows: Vec<Fused>, groups: Vec<Option<String>>) {
    let named = rows.into_iter().zip(groups);
    let mut names: HashMap<String, String> = named
        .filter_map(|(row, group)| Some((row.id.to_string(), group?)))
        .collect();
    for hit in hits {
        let name = hit.item.as_ref().and_then(|item| names.remove(&item.id));
        hit.group = name.unwrap_or_default();
    }
}

/// Whether an index of this kind compares with the vectors themselves, not with quantised ones.
fn has_true_scores(kind: IndexKind) -> bool {
    match kind {
        IndexKind::Flat | IndexKind::IvfFlat { .. } | IndexKind::Hnsw { .. } => true,
        IndexKind::IvfSq8 { .. } | IndexKind::IvfPq { .. } | IndexKind::Diskann => false,
    }
}

async fn read_hits(
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

/// Bytes before a hit in the message: a tag and a length.
const MAX_FIELD_HEADER: usize = 11;

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
