//! Asking a process that runs whether it is ready: for whatever watches a container in which there is no other program.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest time for each of connecting, asking and being answered.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest answer that is read: reasons of a few conditions.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Why a process is not ready, or cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    /// There are no probes.
    #[error("cannot ask whether it is ready: observability.address is not set")]
    NoAddress,
    /// The probes are at a port that only the other process knows.
    #[error("cannot ask whether it is ready: observability.address is {0}, any free port; give a fixed one")]
    FreePort(SocketAddr),
    /// Nobody answers there.
    #[error("cannot ask {0} (observability.address) whether it is ready")]
    Unreachable(SocketAddr, #[source] std::io::Error),
    /// What it waits for, in its own words.
    #[error("not ready: {0}")]
    Waiting(String),
}

/// Asks `/readyz` of the process with this `observability.address`.
pub(crate) fn check_ready(address: Option<SocketAddr>) -> Result<(), NotReady> {
    let address = address.ok_or(NotReady::NoAddress)?;
    if address.port() == 0 {
        return Err(NotReady::FreePort(address));
    }
    let address = on_this_host(address);
    let answer = get(address).map_err(|error| NotReady::Unreachable(address, error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    if head.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(NotReady::Waiting(body.lines().collect::<Vec<_>>().join("; ")))
}

/// Where a process that listens on all addresses is reached.
fn on_this_host(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The whole answer. In HTTP/1.0 its end is the connection's.
fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_telemetry::{Metrics, ObservabilityServer, Readiness};
    use tokio::net::TcpListener;

    async fn ask(address: SocketAddr) -> Result<(), NotReady> {
        tokio::task::spawn_blocking(move || check_ready(Some(address)))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_process_that_is_ready_is_told_from_one_that_waits_and_from_none() {
        let readiness = Readiness::new();
        let (queue, index) = (readiness.condition("queue"), readiness.condition("index"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = ObservabilityServer::new(Metrics::new("test", "1"), readiness);
        let server = tokio::spawn(server.run(listener, std::future::pending::<()>()));

        queue.waiting("no broker");
        let waiting = ask(address).await.unwrap_err().to_string();
        assert_eq!(
            waiting,
            "not ready: waiting for index: starting; waiting for queue: no broker"
        );
        queue.ready();
        index.ready();
        ask(address).await.unwrap();
        // As containers have it.
        ask(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
            .await
            .unwrap();
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        let none = ask(address).await.unwrap_err();
        assert!(matches!(none, NotReady::Unreachable(..)), "{none}");
    }

    #[test]
    fn a_port_that_nobody_knows_is_told_as_such() {
        let free = check_ready(Some("127.0.0.1:0".parse().unwrap())).unwrap_err();
        assert!(
            free.to_string().contains("observability.address is 127.0.0.1:0"),
            "{free}"
        );
        assert!(matches!(check_ready(None), Err(NotReady::NoAddress)));
    }
}
