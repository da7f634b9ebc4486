//! The W3C trace context of a span as text, to be carried in a header or a message.

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::HashMap;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Reading and setting of a span's place in a trace.
pub trait TraceparentExt {
    /// The span as `00-<trace>-<span>-<flags>`; `None` where no tracing is installed or the span is switched off.
    fn traceparent(&self) -> Option<String>;

    /// Makes the span a child of the one that `traceparent` names. Returns whether it did: text that is no trace
    /// context, a span that was entered before and a process without tracing leave the span as it is, since a trace is
    /// never worth a failed request.
    fn set_parent_from(&self, traceparent: &str) -> bool;
}

impl TraceparentExt for tracing::Span {
    fn traceparent(&self) -> Option<String> {
        span_context(self).map(|context| {
            format!(
                "00-{}-{}-{:02x}",
                context.trace_id(),
                context.span_id(),
                context.trace_flags().to_u8()
            )
        })
    }

    fn set_parent_from(&self, traceparent: &str) -> bool {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let parent = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &carrier);
        let valid = parent.span().span_context().is_valid();
        valid && self.set_parent(parent).is_ok()
    }
}

/// The current span's [`TraceparentExt::traceparent`].
#[must_use]
pub fn current_traceparent() -> Option<String> {
    tracing::Span::current().traceparent()
}

/// The id of the current trace, 32 hexadecimal digits: what logs call `trace_id`.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    span_context(&tracing::Span::current()).map(|context| context.trace_id().to_string())
}

fn span_context(span: &tracing::Span) -> Option<SpanContext> {
    let context = span.context();
    let span_context = context.span().span_context().clone();
    span_context.is_valid().then_some(span_context)
}
