//! How S3 is reached: endpoint, time limits, retries, credentials.

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::fmt;
use std::time::Duration;

/// How S3 is reached. Credentials come from where the SDK looks for them, and are never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options {
    /// Another server than AWS's, as `http://host:port`. Without it, `AWS_ENDPOINT_URL` counts, then AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path (`http://host/bucket/key`), as most other servers need it.
    pub path_style: bool,
    /// Region. Without it, environment and profile count, then `us-east-1`.
    pub region: Option<String>,
    /// How often one request is tried, at least 1, a listing whose answer is broken too. Where it is more than 1, the SDK's retry
    /// quota, which all requests share, ends retries of a server that is away. A worker's engine gives 1: it tries calls again
    /// by itself, within a budget of its own.
    pub max_attempts: u32,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one answer may take to begin.
    pub read_timeout: Duration,
    /// How long an operation may take with all its attempts and its body.
    pub operation_timeout: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            path_style: false,
            region: None,
            max_attempts: 4,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(300),
        }
    }
}

/// The client that all buckets share.
#[derive(Clone)]
pub(crate) struct S3Client {
    pub(super) sdk: aws_sdk_s3::Client,
    pub(super) operation_timeout: Duration,
    pub(super) max_attempts: u32,
    /// Whether listings that go on are asked for directory by directory (see `climb`): at any server but AWS's own.
    pub(super) climbs: bool,
}

impl fmt::Debug for S3Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Client")
            .field("operation_timeout", &self.operation_timeout)
            .finish_non_exhaustive()
    }
}

impl S3Client {
    pub(crate) async fn new(options: &S3Options) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .operation_timeout(options.operation_timeout)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(options.max_attempts.max(1)));
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let shared = loader.load().await;
        let region = shared.region().cloned().unwrap_or(Region::from_static("us-east-1"));
        // Several servers refuse the SDK's newer checksums of its own accord.
        let config = Builder::from(&shared)
            .region(region)
            .force_path_style(options.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            sdk: aws_sdk_s3::Client::from_conf(config),
            operation_timeout: options.operation_timeout,
            max_attempts: options.max_attempts.max(1),
            climbs: shared.endpoint_url().is_some(),
        }
    }
}
