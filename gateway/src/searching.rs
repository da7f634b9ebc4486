//! One search from request to answer.

use crate::effort::effort_for;
use crate::error::GatewayError;
use crate::fusion::{Fused, Proof, ROUNDING, Window};
use crate::gateway::Shared;
use crate::grouping::{Grouped, retrieve_groups};
use crate::hits::{name_groups, read_hits};
use crate::metrics::SearchClock;
use crate::query::page::PageToken;
use crate::query::request::Query;
use crate::query::resolve::Resolver;
use crate::retrieval::{FieldQuery, Retrieval};
use sightline_core::{CollectionDescription, CollectionName, IndexKind, VectorField};
use sightline_proto::v1;
use sightline_service::ServiceError;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument;

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
    let texts_were_seen = shared.known_texts.were_seen(description);
    let mut found = find(shared, query, description).await?;
    // Texts that were seen before may be gone by now, and then words ask pictures.
    if texts_were_seen
        && query.chooses_by_texts()
        && found.asks_texts_in_vain()
        && !shared.known_texts.ask(&*shared.index, description).await?
    {
        found = find(shared, query, description).await?;
    }
    let Found { retrieval, grouped } = found;
    let Grouped { retrieved, groups } = grouped;
    clock.searched(retrieval.queries.len(), retrieved.depth);
    let (rows, proof) = (retrieved.rows, retrieved.proof);
    tracing::debug!(retrieved.depth, ?proof, hits = rows.len(), "searched");
    // A page that is not full is the last.
    let full = query.options.page.as_ref().filter(|_| rows.len() >= retrieval.wanted);
    let fusing = query.options.fusing;
    let queries = &retrieval.queries;
    let token = full.and_then(|page| PageToken::after(page, fusing, &rows, &groups, queries, description));
    let next_page_token = token.map_or_else(String::new, |token| token.text());
    let span = tracing::info_span!("read hits", hits = rows.len());
    let hits = read_hits(shared, query, &description.name, queries, &rows).instrument(span);
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

/// What was asked of the index, and what it found.
struct Found {
    retrieval: Retrieval,
    grouped: Grouped,
}

impl Found {
    /// Whether texts were asked, and no row was found that has one.
    fn asks_texts_in_vain(&self) -> bool {
        let queries = &self.retrieval.queries;
        let Some(texts) = queries.iter().position(|query| query.field == VectorField::Text) else {
            return false;
        };
        let has_text = |row: &Fused| row.parts.get(texts).is_some_and(Option::is_some);
        !self.grouped.retrieved.rows.iter().any(has_text)
    }
}

async fn find(shared: &Shared, query: &Query, description: &CollectionDescription) -> Result<Found, GatewayError> {
    let queries = queries(shared, query, description).await?;
    let effort = match query.options.recall_target {
        Some(recall) => effort_for(shared, description, &queries, query.filter.as_ref(), recall).await,
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
    let grouped = rank(shared, query, &description.name, &retrieval).await?;
    Ok(Found { retrieval, grouped })
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

/// Whether an index of this kind compares with the vectors themselves, not with quantised ones.
fn has_true_scores(kind: IndexKind) -> bool {
    match kind {
        IndexKind::Flat | IndexKind::IvfFlat { .. } | IndexKind::Hnsw { .. } => true,
        IndexKind::IvfSq8 { .. } | IndexKind::IvfPq { .. } | IndexKind::Diskann => false,
    }
}
