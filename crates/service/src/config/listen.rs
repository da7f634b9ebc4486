//! Blocks of a process that listens: addresses, limits, the way out.

use super::problems::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The largest gRPC message by default: a query of several pictures fits.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Where a gRPC service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// Address and port. Port 0 takes a free one. Any address but loopback needs TLS or `insecure`.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// File with the certificate chain in PEM; with `tls_key` it turns TLS on.
    pub tls_cert: Option<PathBuf>,
    /// File with the private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Listen beyond loopback without TLS: anyone who reaches the port may read and write. For networks that are
    /// protected otherwise.
    pub insecure: bool,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self::on_port(0)
    }
}

impl ListenConfig {
    /// Loopback with this port.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            address,
            tls_cert: None,
            tls_key: None,
            insecure: false,
        }
    }

    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => problems.note("tls_key", "is needed beside tls_cert"),
            (None, Some(_)) => problems.note("tls_cert", "is needed beside tls_key"),
            (None, None) => check_loopback(self.address, self.insecure, problems),
            (Some(_), Some(_)) => {}
        }
    }
}

fn check_loopback(address: SocketAddr, insecure: bool, problems: &mut Problems) {
    if !address.ip().to_canonical().is_loopback() && !insecure {
        problems.note(
            "address",
            format!(
                "{address} is reachable from other machines: configure TLS, or say insecure = true if the network is \
                 protected otherwise"
            ),
        );
    }
}

/// Limits of a gRPC service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// The largest message taken or sent, in bytes.
    pub max_message_bytes: usize,
    /// Calls at once on one connection.
    pub max_concurrent_streams: u32,
    /// Calls at once in all; those beyond are refused at once with RESOURCE_EXHAUSTED. Health checks are not counted.
    pub max_in_flight_calls: usize,
    /// The largest list of headers of a call, in bytes.
    pub max_header_list_bytes: u32,
    /// The longest time until a call's answer begins, in seconds; a caller's own shorter deadline counts.
    pub timeout_seconds: u64,
    /// A ping after so many seconds without traffic.
    pub keepalive_seconds: u64,
    /// A connection that does not answer a ping within so many seconds is closed.
    pub keepalive_timeout_seconds: u64,
    /// A connection that is so many seconds old, a tenth more or less, takes no further calls and is closed when those
    /// under way have ended, so that clients find servers that came since. 0: connections have no age.
    pub max_connection_age_seconds: u64,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            max_concurrent_streams: 256,
            max_in_flight_calls: 1024,
            max_header_list_bytes: 16 << 10,
            timeout_seconds: 60,
            keepalive_seconds: 30,
            keepalive_timeout_seconds: 20,
            max_connection_age_seconds: 300,
        }
    }
}

impl GrpcConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        let zero = [
            ("max_message_bytes", self.max_message_bytes == 0),
            ("max_concurrent_streams", self.max_concurrent_streams == 0),
            ("max_in_flight_calls", self.max_in_flight_calls == 0),
            ("max_header_list_bytes", self.max_header_list_bytes == 0),
            ("timeout_seconds", self.timeout_seconds == 0),
            ("keepalive_seconds", self.keepalive_seconds == 0),
            ("keepalive_timeout_seconds", self.keepalive_timeout_seconds == 0),
        ];
        for (key, _) in zero.iter().filter(|(_, zero)| *zero) {
            problems.note(key, "must be at least 1");
        }
        // A semaphore cannot hold more.
        if self.max_in_flight_calls > tokio::sync::Semaphore::MAX_PERMITS {
            problems.note(
                "max_in_flight_calls",
                format!("must be at most {}", tokio::sync::Semaphore::MAX_PERMITS),
            );
        }
    }

    /// The age at which a process closes its connections; none where they have none. `chance` spreads the ages of many
    /// processes, whose clients would else all come back at one moment, between nine tenths and eleven of what is given.
    pub(crate) fn connection_age(&self, chance: u64) -> Option<Duration> {
        let age = Duration::from_secs(self.max_connection_age_seconds);
        let thousandths = 900 + u32::try_from(chance % 201).unwrap_or_default();
        (!age.is_zero()).then(|| (age / 1000).saturating_mul(thousandths))
    }
}

/// Where `/metrics`, `/livez` and `/readyz` are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObservabilityConfig {
    /// Address and port; port 0 takes a free one. Without it nothing is served.
    #[schemars(with = "Option<String>")]
    pub address: Option<SocketAddr>,
    /// Listen beyond loopback, though there is no TLS here: anyone who reaches the port may read metrics.
    pub insecure: bool,
}

impl Default for ObservabilityConfig {
    fn default() -> Self {
        Self {
            address: Some(ListenConfig::default().address),
            insecure: false,
        }
    }
}

impl ObservabilityConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(address) = self.address {
            check_loopback(address, self.insecure, problems);
        }
    }
}

/// The way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// After a SIGTERM, the longest time for what is under way to end, in seconds. Keep it below the grace period of
    /// whatever stops the process.
    pub drain_seconds: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_seconds: 25 }
    }
}

impl ShutdownConfig {
    /// The longest time for what is under way to end.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_of_connections_lie_within_a_tenth_of_what_is_given_and_differ() {
        let of = |seconds, chance| {
            let config = GrpcConfig {
                max_connection_age_seconds: seconds,
                ..GrpcConfig::default()
            };
            config.connection_age(chance)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!([of(300, 0), of(300, 100), of(300, 200)], [270, 300, 330].map(seconds));
        assert_eq!((of(0, 7), of(u64::MAX, 200)), (None, Some(Duration::MAX)));
    }
}
