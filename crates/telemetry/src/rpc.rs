//! What OpenTelemetry counts of calls that a server answers.

use crate::error::MetricsError;
use crate::instruments::{
    Attributes, ERROR_TYPE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SERVER_CALL_DURATION, RPC_SYSTEM_NAME, attributes,
};
use crate::metrics::{HistogramFamily, Metrics};
use std::time::Duration;

/// Calls that a server answers, by OpenTelemetry's conventions for RPC: `rpc.server.call.duration`.
#[derive(Debug, Clone)]
pub struct RpcServerMetrics {
    duration: HistogramFamily<Attributes>,
}

/// A call that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredCall<'a> {
    /// `rpc.system.name`.
    pub system: &'static str,
    /// `rpc.method`: `package.Service/Method`. Never a name that a caller made up: each is a series of its own.
    pub method: &'a str,
    /// `rpc.response.status_code`: `OK`, `UNAVAILABLE`.
    pub status: &'static str,
    /// Whether the status is the server's failure, and not its caller's.
    pub failed: bool,
    /// Until the end of the answer.
    pub took: Duration,
}

impl RpcServerMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Where a name is taken by another type.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            duration: metrics.conventional_histograms(&RPC_SERVER_CALL_DURATION)?,
        })
    }

    /// Counts a call.
    pub fn answered(&self, call: &AnsweredCall<'_>) {
        let attributes = attributes([
            (RPC_SYSTEM_NAME, Some(call.system)),
            (RPC_METHOD, Some(call.method)),
            (RPC_RESPONSE_STATUS_CODE, Some(call.status)),
            (ERROR_TYPE, call.failed.then_some(call.status)),
        ]);
        self.duration.observe(&attributes, call.took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_its_method_and_status_and_has_an_error_only_where_the_server_failed() {
        let metrics = Metrics::new("test", "1");
        let calls = RpcServerMetrics::new(&metrics).unwrap();
        for (status, failed) in [("NOT_FOUND", false), ("UNAVAILABLE", true)] {
            calls.answered(&AnsweredCall {
                system: "grpc",
                method: "a.v1.B/C",
                status,
                failed,
                took: Duration::from_millis(60),
            });
        }
        let text = metrics.encode();
        let of = r#"rpc_system_name="grpc",rpc_method="a.v1.B/C",rpc_response_status_code"#;
        for line in [
            format!(r#"rpc_server_call_duration_seconds_count{{{of}="NOT_FOUND"}} 1"#),
            format!(r#"rpc_server_call_duration_seconds_count{{{of}="UNAVAILABLE",error_type="UNAVAILABLE"}} 1"#),
            format!(r#"rpc_server_call_duration_seconds_bucket{{le="0.05",{of}="NOT_FOUND"}} 0"#),
            format!(r#"rpc_server_call_duration_seconds_bucket{{le="0.075",{of}="NOT_FOUND"}} 1"#),
            format!(r#"rpc_server_call_duration_seconds_bucket{{le="10.0",{of}="NOT_FOUND"}} 1"#),
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
        }
    }
}
