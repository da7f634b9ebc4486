use crate::{Lines, options};
use sightline_telemetry::{LogFormat, Telemetry, TelemetryError, TraceparentExt, current_trace_id};
use tracing::dispatcher::with_default;

fn log(filter: &str, format: LogFormat, body: impl FnOnce()) -> String {
    let mut options = options("sightline-worker", None);
    options.log_filter = filter.to_owned();
    options.log_format = format;
    let lines = Lines::default();
    let telemetry = Telemetry::new(&options, lines.clone()).unwrap();
    with_default(telemetry.dispatch(), body);
    lines.text()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_event_carries_the_run_the_shard_and_the_item_of_the_spans_around_it() {
    let mut trace_id = None;
    let text = log("info", LogFormat::Json, || {
        let shard = tracing::info_span!(target: "sightline_worker", "shard", run = "r-1", shard = "s-1", otel.kind = "consumer");
        shard.in_scope(|| {
            let item = tracing::info_span!(target: "sightline_worker", "item", item = tracing::field::Empty);
            item.record("item", "폐/한 \"장\".png");
            item.in_scope(|| {
                trace_id = current_trace_id();
                tracing::warn!(target: "sightline_worker", bytes = 7_u64, ratio = 0.5, "cannot decode");
            });
        });
    });
    let line = json(&text);
    assert_eq!(line["run"], "r-1");
    assert_eq!(line["shard"], "s-1");
    assert_eq!(line["item"], "폐/한 \"장\".png");
    assert_eq!(line["message"], "cannot decode");
    assert_eq!(line["bytes"], 7);
    assert_eq!(line["ratio"], 0.5);
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "sightline_worker");
    assert_eq!(line["span"], "item");
    assert_eq!(line["trace_id"], trace_id.unwrap());
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(line.get("otel.kind").is_none());
}

#[test]
fn a_warning_keeps_its_run_where_only_warnings_are_logged() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = log("warn", format, || {
            tracing::info_span!(target: "sightline_worker", "shard", run = "r-1").in_scope(|| {
                tracing::info!(target: "sightline_worker", "not logged");
                tracing::warn!(target: "sightline_worker", "logged");
            });
        });
        assert!(text.contains("r-1") && text.contains("logged"), "{text}");
        assert!(!text.contains("not logged"), "{text}");
    }
}

#[test]
fn an_inner_field_hides_an_outer_one_of_the_same_name() {
    let text = log("info", LogFormat::Json, || {
        tracing::info_span!(target: "sightline_worker", "outer", run = "r-1").in_scope(|| {
            tracing::info!(target: "sightline_worker", run = "r-2", "x");
        });
    });
    assert_eq!(json(&text)["run"], "r-2");
}

#[test]
fn a_line_of_a_span_with_a_remote_parent_names_the_remote_trace() {
    let text = log("info", LogFormat::Json, || {
        let span = tracing::info_span!(target: "sightline_worker", "shard");
        span.set_parent_from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        span.in_scope(|| tracing::info!(target: "sightline_worker", "x"));
    });
    assert_eq!(json(&text)["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn an_error_is_logged_with_its_causes() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("cannot read the manifest")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let text = log("info", LogFormat::Json, || {
        let error = Outer(std::io::Error::other("disk gone"));
        tracing::error!(target: "sightline_worker", error = &error as &dyn std::error::Error, "x");
    });
    assert_eq!(json(&text)["error"], "cannot read the manifest: disk gone");
}

#[test]
fn a_malformed_log_filter_is_refused_by_name() {
    let mut options = options("sightline-worker", None);
    options.log_filter = "info,sightline=loud".to_owned();
    let error = Telemetry::new(&options, Lines::default()).unwrap_err();
    assert!(
        matches!(&error, TelemetryError::LogFilter { filter, .. } if filter == "info,sightline=loud"),
        "{error}"
    );
}
