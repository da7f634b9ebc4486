//! Blocks of the three seams: the object store, the queue, the index.

use super::problems::Problems;
use super::secret::SecretUrl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where runs, plans and results lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// `s3://bucket/prefix` or `file:///directory`.
    pub url: Option<SecretUrl>,
}

impl StateConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        check_url(
            self.url.as_ref(),
            &["s3", "file"],
            "s3://bucket/prefix or file:///directory",
            problems,
        );
    }
}

/// The broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// `amqp://user:password@host:5672/vhost`, or `amqps://…` for TLS.
    pub url: Option<SecretUrl>,
}

impl QueueConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        check_url(
            self.url.as_ref(),
            &["amqp", "amqps"],
            "amqp://user:password@host:5672/vhost",
            problems,
        );
    }
}

/// The vector index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IndexConfig {
    /// `milvus://host:19530/database` (`milvus+tls://` with TLS; `user:password@` or `token@` before the host), or
    /// `sqlite:index.db`.
    pub url: Option<SecretUrl>,
}

impl IndexConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        check_url(
            self.url.as_ref(),
            &["milvus", "milvus+tls", "sqlite"],
            "milvus://host:19530 or sqlite:index.db",
            problems,
        );
    }
}

fn check_url(url: Option<&SecretUrl>, schemes: &[&str], example: &str, problems: &mut Problems) {
    match url {
        None => problems.note("url", format!("is needed: {example}")),
        Some(url) if !schemes.contains(&url.scheme()) => {
            problems.note(
                "url",
                format!("the scheme {:?} is not known here: {example}", url.scheme()),
            );
        }
        Some(_) => {}
    }
}

/// How S3 is reached. Credentials come from the AWS chain: environment, profile, web identity, instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// An endpoint other than AWS, `http://host:9000`.
    pub endpoint: Option<SecretUrl>,
    /// The region; else the AWS chain says it.
    pub region: Option<String>,
    /// Whether a bucket is a part of the path rather than of the host name, as most servers other than AWS want it.
    pub path_style: bool,
}

impl S3Config {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if self
            .endpoint
            .as_ref()
            .is_some_and(|endpoint| !matches!(endpoint.scheme(), "http" | "https"))
        {
            problems.note("endpoint", "must be an http:// or https:// URL");
        }
    }
}
