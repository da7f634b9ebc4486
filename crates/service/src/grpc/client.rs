//! Connections to our own services.

use sightline_telemetry::current_traceparent;
use std::error::Error as StdError;
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

/// A channel whose calls carry the trace of their caller.
pub type TracedChannel = InterceptedService<Channel, SendTraceparent>;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The trusted certificates in PEM for `https`, in place of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The name in the server's certificate, where it is not the URL's host.
    pub tls_domain: Option<String>,
    /// The longest time until connected.
    pub connect_timeout: Duration,
    /// A ping after so much time without traffic while calls are under way, so that a dead peer is noticed.
    pub keepalive: Duration,
    /// A peer that does not answer a ping within this time is dead.
    pub keepalive_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            ca_pem: None,
            tls_domain: None,
            connect_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}

/// No connection to a service.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is malformed.
    #[error("cannot connect to the {service}: {url:?} is no URL such as http://127.0.0.1:50051")]
    Url {
        /// The service that was wanted.
        service: String,
        /// As given.
        url: String,
    },
    /// The options of TLS are unusable.
    #[error("cannot connect to the {service} at {url}: the TLS options are unusable: {reason}")]
    Tls {
        /// The service that was wanted.
        service: String,
        /// As given.
        url: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach the {service} at {url}: is it running? ({reason})")]
    Unreachable {
        /// The service that was wanted.
        service: String,
        /// As given.
        url: String,
        /// Why.
        reason: String,
    },
}

impl ConnectError {
    /// Whether the same attempt may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Connects to a service; `service` is its name in errors, `coordinator` say. The channel connects again by itself
/// when the connection is lost.
///
/// # Errors
/// Where the URL or the TLS options are unusable, or nobody answers within the time for connecting.
pub async fn connect(service: &str, url: &str, options: &ClientOptions) -> Result<TracedChannel, ConnectError> {
    let (service, shown) = (service.to_owned(), url.to_owned());
    let parsed = url::Url::parse(url)
        .ok()
        .filter(|parsed| matches!(parsed.scheme(), "http" | "https") && parsed.has_host());
    let endpoint = parsed.and_then(|_| Endpoint::from_shared(shown.clone()).ok());
    let Some(mut endpoint) = endpoint else {
        return Err(ConnectError::Url { service, url: shown });
    };
    endpoint = endpoint
        .connect_timeout(options.connect_timeout)
        .http2_keep_alive_interval(options.keepalive)
        .keep_alive_timeout(options.keepalive_timeout)
        .tcp_nodelay(true);
    if url.starts_with("https:") {
        let tls = tls_config(options);
        endpoint = endpoint.tls_config(tls).map_err(|error| ConnectError::Tls {
            service: service.clone(),
            url: shown.clone(),
            reason: innermost(&error),
        })?;
    }
    let reached = tokio::time::timeout(options.connect_timeout, endpoint.connect()).await;
    let reason = match reached {
        Ok(Ok(channel)) => return Ok(InterceptedService::new(channel, SendTraceparent)),
        Ok(Err(error)) => innermost(&error),
        Err(_) => format!("no answer within {} s", options.connect_timeout.as_secs_f64()),
    };
    Err(ConnectError::Unreachable {
        service,
        url: shown,
        reason,
    })
}

fn tls_config(options: &ClientOptions) -> ClientTlsConfig {
    let mut tls = ClientTlsConfig::new();
    tls = match &options.ca_pem {
        // A machine without any root of its own is fine where the caller names one.
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls.with_enabled_roots(),
    };
    if let Some(domain) = &options.tls_domain {
        tls = tls.domain_name(domain);
    }
    tls
}

/// The last cause, which is the one that a person can act on: "Connection refused".
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Sends the current span's `traceparent` with every call.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendTraceparent;

impl Interceptor for SendTraceparent {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let traceparent = current_traceparent().and_then(|text| MetadataValue::try_from(text).ok());
        if let Some(traceparent) = traceparent {
            request.metadata_mut().insert("traceparent", traceparent);
        }
        Ok(request)
    }
}
