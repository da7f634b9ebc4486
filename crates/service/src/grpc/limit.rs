//! Calls beyond the limit are refused at once, rather than made to wait until nobody wants their answer any more.

use crate::error::ServiceError;
use http::{Request, Response};
use sightline_telemetry::metric::Gauge;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// The calls of probes: they must get through when a service is busy.
pub(super) const HEALTH: &str = "/grpc.health.v1.Health/";
/// When a refused caller may try again. Calls are short, so a place is soon free.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Lets at most so many calls be under way. A call counts until its answer begins; the length of a stream does not.
#[derive(Debug, Clone)]
pub(super) struct InFlightLayer {
    places: Arc<Semaphore>,
    in_flight: Gauge,
}

impl InFlightLayer {
    pub(super) fn new(limit: usize, in_flight: Gauge) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limit)),
            in_flight,
        }
    }
}

impl<S> Layer<S> for InFlightLayer {
    type Service = InFlight<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InFlight {
            inner,
            limit: self.clone(),
        }
    }
}

/// The service of [`InFlightLayer`].
#[derive(Debug, Clone)]
pub(super) struct InFlight<S> {
    inner: S,
    limit: InFlightLayer,
}

struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl<S> Service<Request<Body>> for InFlight<S>
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
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let Ok(place) = Arc::clone(&self.limit.places).try_acquire_owned() else {
            let refusal =
                ServiceError::resource_exhausted("TOO_MANY_CALLS", "too many calls are under way", RETRY_AFTER);
            return Box::pin(async { Ok(Status::from(refusal).into_http()) });
        };
        let counted = Counted::new(self.limit.in_flight.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let _held = (place, counted);
            answer.await
        })
    }
}
