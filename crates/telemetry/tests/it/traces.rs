use crate::collector::Collector;
use crate::{LIMIT, Lines, options};
use sightline_telemetry::{Telemetry, TelemetryError, TraceparentExt, current_traceparent};
use std::time::Duration;
use tokio::net::TcpListener;
use tracing::dispatcher::with_default;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_on_over_a_traceparent_from_process_to_process() {
    let (collector, endpoint) = Collector::start().await;
    let coordinator = Telemetry::new(
        &options("sightline-coordinator", Some(endpoint.clone())),
        Lines::default(),
    )
    .unwrap();
    let worker = Telemetry::new(&options("sightline-worker", Some(endpoint)), Lines::default()).unwrap();

    let header = with_default(coordinator.dispatch(), || {
        let span = tracing::info_span!(target: "sightline_coordinator", "create_run", run = "r-1");
        span.in_scope(|| current_traceparent().unwrap())
    });
    with_default(worker.dispatch(), || {
        let span = tracing::info_span!(target: "sightline_worker", "shard", shard = "s-1");
        assert!(span.set_parent_from(&header));
        span.in_scope(|| drop(tracing::info_span!(target: "sightline_index", "upsert").entered()));
    });
    coordinator.shutdown(LIMIT).await.unwrap();
    worker.shutdown(LIMIT).await.unwrap();

    let spans = collector.spans();
    let find = |name: &str| spans.iter().find(|(span, _)| span.name == name).unwrap();
    let (create, create_resource) = find("create_run");
    let (shard, shard_resource) = find("shard");
    let (upsert, _) = find("upsert");
    assert_eq!(shard.trace_id, create.trace_id);
    assert_eq!(shard.parent_span_id, create.span_id);
    assert_eq!(upsert.trace_id, create.trace_id);
    assert_eq!(upsert.parent_span_id, shard.span_id);
    assert_eq!(create_resource["service.name"], "sightline-coordinator");
    assert_eq!(shard_resource["service.name"], "sightline-worker");
    assert_eq!(shard_resource["service.version"], "1.2.3");
    assert_eq!(shard_resource["service.instance.id"], "i-1");
}

#[test]
fn a_traceparent_crosses_a_process_that_exports_nothing() {
    let telemetry = Telemetry::new(&options("sightline-gateway", None), Lines::default()).unwrap();
    let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "sightline_gateway", "rpc");
        assert!(span.set_parent_from(incoming));
        let outgoing = span.traceparent().unwrap();
        assert!(
            outgoing.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
            "{outgoing}"
        );
        assert!(outgoing.ends_with("-01"), "{outgoing}");
        assert_ne!(outgoing, incoming);
    });
}

#[test]
fn text_that_is_no_trace_context_leaves_the_span_a_root() {
    let telemetry = Telemetry::new(&options("sightline-gateway", None), Lines::default()).unwrap();
    with_default(telemetry.dispatch(), || {
        for text in [
            "",
            "nonsense",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-한국-b7ad-01",
        ] {
            let span = tracing::info_span!(target: "sightline_gateway", "rpc");
            assert!(!span.set_parent_from(text), "{text}");
            assert!(span.traceparent().is_some());
        }
    });
}

#[test]
fn without_telemetry_there_is_no_traceparent() {
    assert_eq!(current_traceparent(), None);
    assert!(
        !tracing::info_span!(target: "sightline_worker", "x")
            .set_parent_from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_holds_shutdown_no_longer_than_the_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let telemetry = Telemetry::new(&options("sightline-worker", Some(endpoint)), Lines::default()).unwrap();
    with_default(telemetry.dispatch(), || {
        drop(tracing::info_span!(target: "sightline_worker", "lost").entered())
    });
    let limit = Duration::from_millis(50);
    let stopped = tokio::time::timeout(LIMIT, telemetry.shutdown(limit)).await.unwrap();
    assert!(matches!(stopped, Err(TelemetryError::Flush { .. })), "{stopped:?}");
}

#[test]
fn a_share_of_traces_outside_zero_to_one_is_refused() {
    for ratio in [-0.1, 1.1, f64::NAN] {
        let mut options = options("sightline-worker", None);
        options.trace_ratio = ratio;
        assert!(matches!(
            Telemetry::new(&options, Lines::default()),
            Err(TelemetryError::TraceRatio(_))
        ));
    }
}
