//! Telemetry as its neighbours see it: log lines, spans at a collector, scrapes and probes.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, in its helpers too"
)]

mod collector;
mod logs;
mod metrics;
mod probes;
mod signals;
mod traces;

use sightline_telemetry::{LogFormat, Options, OtlpHeaders, OtlpOptions, ServiceIdentity};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Far more than any step takes, so that only a hang meets it.
const LIMIT: Duration = Duration::from_secs(20);

fn options(service: &str, otlp: Option<String>) -> Options {
    Options {
        service: ServiceIdentity {
            name: service.to_owned(),
            version: "1.2.3".to_owned(),
            instance: "i-1".to_owned(),
            attributes: Vec::new(),
        },
        log_filter: "info".to_owned(),
        log_format: LogFormat::Json,
        colour: false,
        otlp: otlp.map(|endpoint| OtlpOptions {
            endpoint,
            headers: OtlpHeaders::default(),
            timeout: LIMIT,
            logs: true,
            metrics: true,
        }),
        trace_ratio: 1.0,
    }
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
