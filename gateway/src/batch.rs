//! Several searches in one call: a batch, and a stream in both directions.

use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::names::collection_name;
use crate::query::violations::Violations;
use crate::searching;
use futures::stream::{self, BoxStream, StreamExt};
use prost::Message;
use sightline_proto::v1;
use std::sync::Arc;
use tonic::{Status, Streaming};
use tracing::Instrument;

/// Most searches of one batch.
pub(crate) const MAX_BATCH: usize = 1000;
/// Searches of one call that are under way at once.
const AT_ONCE: usize = 8;
/// Room for what is in an answer besides results.
const ANSWER_MARGIN: usize = 1 << 10;
/// Longest id of a search in a stream, in bytes.
const MAX_ID_BYTES: usize = 256;

/// Answers all searches of a batch, in their order. A search that fails says so in its place.
pub(crate) async fn batch(
    shared: &Arc<Shared>,
    request: v1::BatchSearchRequest,
) -> Result<v1::BatchSearchResponse, GatewayError> {
    let mut violations = Violations::default();
    violations.take("parent", collection_name(&request.parent));
    if request.requests.is_empty() || request.requests.len() > MAX_BATCH {
        let count = request.requests.len();
        violations.add("requests", format!("has {count} searches: give 1 to {MAX_BATCH}"));
    }
    for (position, asked) in request.requests.iter().enumerate().take(MAX_BATCH) {
        if !asked.collection.is_empty() && asked.collection != request.parent {
            violations.add(
                format!("requests[{position}].collection"),
                "is not the batch's parent: leave it out, or make another batch",
            );
        }
    }
    violations.check()?;
    let limit = shared.limits.max_message_bytes.saturating_sub(ANSWER_MARGIN);
    let mut searches = Vec::with_capacity(request.requests.len());
    for asked in request.requests {
        let asked = v1::SearchRequest {
            collection: request.parent.clone(),
            ..asked
        };
        searches.push(result_of(shared, asked));
    }
    let mut answers = stream::iter(searches).buffered(AT_ONCE);
    let (mut results, mut bytes) = (Vec::new(), 0);
    while let Some(result) = answers.next().await {
        // A header of five bytes at most: an answer is shorter than 256 MiB.
        bytes += result.encoded_len() + 5;
        if bytes > limit {
            let message = format!(
                "the answers have more than {limit} bytes: ask for fewer hits or fields, make smaller batches, or use \
                 StreamSearch"
            );
            return Err(GatewayError::invalid("requests", message));
        }
        results.push(result);
    }
    Ok(v1::BatchSearchResponse { results })
}

/// Answers searches as they come, each as soon as it is done.
pub(crate) fn stream(
    shared: Arc<Shared>,
    requests: Streaming<v1::StreamSearchRequest>,
) -> BoxStream<'static, Result<v1::StreamSearchResponse, Status>> {
    let span = tracing::Span::current();
    let answers = requests.map(move |request| answer(Arc::clone(&shared), request).instrument(span.clone()));
    answers.buffer_unordered(AT_ONCE).boxed()
}

async fn answer(
    shared: Arc<Shared>,
    request: Result<v1::StreamSearchRequest, Status>,
) -> Result<v1::StreamSearchResponse, Status> {
    let request = request?;
    let result = if request.id.len() > MAX_ID_BYTES {
        let message = format!("has {} bytes: give at most {MAX_ID_BYTES}", request.id.len());
        result_from(Err(GatewayError::invalid("id", message).into()))
    } else {
        result_of(&shared, request.request.unwrap_or_default()).await
    };
    Ok(v1::StreamSearchResponse {
        // The whole of it, too long or not: by nothing else the caller knows which search this is.
        id: request.id,
        result: Some(result),
    })
}

/// A search with its outcome: what it failed for is told in its place, and no other search is the worse for it.
async fn result_of(shared: &Arc<Shared>, request: v1::SearchRequest) -> v1::SearchResult {
    result_from(searching::counted(shared, request).await)
}

fn result_from(answer: Result<v1::SearchResponse, Status>) -> v1::SearchResult {
    let outcome = match answer {
        Ok(response) => v1::search_result::Outcome::Response(response),
        Err(status) => v1::search_result::Outcome::Error(v1::SearchError {
            code: status.code() as i32,
            reason: sightline_service::reason(&status).unwrap_or_default(),
            message: status.message().to_owned(),
        }),
    };
    v1::SearchResult { outcome: Some(outcome) }
}
