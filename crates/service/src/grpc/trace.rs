//! A span and metrics for every call.

use super::limit::HEALTH;
use super::methods::Methods;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use sightline_telemetry::metric::Gauge;
use sightline_telemetry::{AnsweredCall, Metrics, MetricsError, RpcServerMetrics, TraceparentExt};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// `rpc.system.name`.
const SYSTEM: &str = "grpc";
/// What OpenTelemetry calls a method that nobody knows: a caller must not be able to make new metrics.
const OTHER: &str = "_OTHER";

/// What is counted of calls.
#[derive(Debug, Clone)]
pub(super) struct CallMetrics {
    calls: RpcServerMetrics,
    pub(super) in_flight: Gauge,
}

impl CallMetrics {
    pub(super) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            calls: RpcServerMetrics::new(metrics)?,
            in_flight: metrics.gauge("grpc_in_flight_calls", "Calls whose answer has not begun")?,
        })
    }
}

/// Opens a span for each call, with the caller's `traceparent` as its parent, and counts the call when its answer has
/// ended. Ends calls that take too long. Health checks are left out: they say nothing and come often.
#[derive(Debug, Clone)]
pub(super) struct CallLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    metrics: CallMetrics,
    methods: Methods,
    timeout: Duration,
}

impl CallLayer {
    /// A call whose answer has not begun after `timeout` ends with DEADLINE_EXCEEDED.
    pub(super) fn new(metrics: CallMetrics, methods: Methods, timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                metrics,
                methods,
                timeout,
            }),
        }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Calls {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// The service of [`CallLayer`].
#[derive(Debug, Clone)]
pub(super) struct Calls<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path.starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let call = Call::begin(Arc::clone(&self.shared), path, request.headers());
        let answer = call
            .span
            .in_scope(|| self.inner.call(request))
            .instrument(call.span.clone());
        Box::pin(async move {
            let mut call = call;
            // tonic's own limit answers CANCELLED, which tells the caller that it gave up itself.
            let response = match tokio::time::timeout(call.shared.timeout, answer).await {
                Ok(answered) => answered?,
                Err(_) => Status::deadline_exceeded("the service did not answer within its time limit").into_http(),
            };
            // A call that fails before its first message has its status in the headers.
            call.note_status(response.headers());
            Ok(response.map(|inner| Body::new(TracedBody { inner, call })))
        })
    }
}

/// One call, until the end of its answer. Its drop ends and counts it, whatever the way out was.
struct Call {
    shared: Arc<Shared>,
    method: String,
    span: Span,
    began: Instant,
    code: Option<Code>,
}

impl Call {
    fn begin(shared: Arc<Shared>, path: &str, headers: &HeaderMap) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let known = shared.methods.knows(path);
        let method = if known { path } else { OTHER }.to_owned();
        let span = tracing::info_span!(
            "rpc",
            otel.name = if known { path } else { SYSTEM },
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system.name = SYSTEM,
            rpc.method = method,
            rpc.method_original = (!known).then_some(path),
            rpc.response.status_code = Empty,
            "error.type" = Empty,
        );
        if let Some(traceparent) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
            span.set_parent_from(traceparent);
        }
        Self {
            shared,
            method,
            span,
            began: Instant::now(),
            code: None,
        }
    }

    fn note_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = Some(status.code());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let late = self.began.elapsed() >= self.shared.timeout;
        let code = self
            .code
            .unwrap_or(if late { Code::DeadlineExceeded } else { Code::Cancelled });
        let status = code_name(code);
        self.span.record("rpc.response.status_code", status);
        // As the conventions have it: what is the caller's mistake is no error of the server.
        let failed = matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        if failed {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("error.type", status);
        }
        self.shared.metrics.calls.answered(&AnsweredCall {
            system: SYSTEM,
            method: &self.method,
            status,
            failed,
            took: self.began.elapsed(),
        });
    }
}

/// An answer's body that sees the status in its trailers.
struct TracedBody {
    inner: Body,
    call: Call,
}

impl HttpBody for TracedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let frame = {
            let _entered = this.call.span.enter();
            Pin::new(&mut this.inner).poll_frame(context)
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.call.note_status(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => this.call.code = Some(status.code()),
            Poll::Ready(None) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
