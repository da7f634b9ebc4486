//! Spans of calls, with the names that OpenTelemetry has for clients of databases.

use crate::IndexError;
use sightline_core::CollectionName;
use std::future::Future;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// `db.system.name`.
pub(super) const SYSTEM: &str = "milvus";

/// The call in a span of its own: `search collections/x`, with its system, operation, collection, how many rows it is
/// about where that is known, and what kind of error it ended with. Outside any span there is no trace to add to.
pub(super) async fn traced<T>(
    operation: &'static str,
    collection: &CollectionName,
    rows: Option<usize>,
    call: impl Future<Output = Result<T, IndexError>>,
) -> Result<T, IndexError> {
    if Span::current().is_none() {
        return call.await;
    }
    let span = tracing::info_span!(
        "milvus",
        otel.name = format!("{operation} {collection}"),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = SYSTEM,
        db.operation.name = operation,
        db.collection.name = %collection,
        db.operation.batch.size = rows,
        "error.type" = Empty,
    );
    let result = call.instrument(span.clone()).await;
    if let Err(error) = &result {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", error.kind());
    }
    result
}
