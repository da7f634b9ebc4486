//! What OpenTelemetry counts of calls to a database.

use crate::error::MetricsError;
use crate::instruments::{
    Attributes, DB_CLIENT_OPERATION_DURATION, DB_COLLECTION_NAME, DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE,
    attributes,
};
use crate::metrics::{HistogramFamily, Metrics};
use std::time::Duration;

/// Calls to a database, by OpenTelemetry's conventions for its clients: `db.client.operation.duration`.
#[derive(Debug, Clone)]
pub struct DbClientMetrics {
    duration: HistogramFamily<Attributes>,
}

/// A call to a database that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbCall<'a> {
    /// `db.system.name`.
    pub system: &'a str,
    /// `db.operation.name`.
    pub operation: &'a str,
    /// `db.collection.name`.
    pub collection: &'a str,
    /// `error.type`, where it failed.
    pub error: Option<&'a str>,
    /// Until it ended.
    pub took: Duration,
}

impl DbClientMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Where a name is taken by another type.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            duration: metrics.conventional_histograms(&DB_CLIENT_OPERATION_DURATION)?,
        })
    }

    /// Counts a call.
    pub fn called(&self, call: &DbCall<'_>) {
        let attributes = attributes([
            (DB_SYSTEM_NAME, Some(call.system)),
            (DB_OPERATION_NAME, Some(call.operation)),
            (DB_COLLECTION_NAME, Some(call.collection)),
            (ERROR_TYPE, call.error),
        ]);
        self.duration.observe(&attributes, call.took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_what_was_asked_of_which_collection_and_by_its_error() {
        let metrics = Metrics::new("test", "1");
        let calls = DbClientMetrics::new(&metrics).unwrap();
        for error in [None, Some("unavailable")] {
            calls.called(&DbCall {
                system: "milvus",
                operation: "upsert",
                collection: "stamps",
                error,
                took: Duration::from_millis(3),
            });
        }
        let text = metrics.encode();
        let of = r#"db_system_name="milvus",db_operation_name="upsert",db_collection_name="stamps""#;
        for line in [
            format!("db_client_operation_duration_seconds_count{{{of}}} 1"),
            format!(r#"db_client_operation_duration_seconds_count{{{of},error_type="unavailable"}} 1"#),
            format!(r#"db_client_operation_duration_seconds_bucket{{le="0.001",{of}}} 0"#),
            format!(r#"db_client_operation_duration_seconds_bucket{{le="0.005",{of}}} 1"#),
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
        }
    }
}
