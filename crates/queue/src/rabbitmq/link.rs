//! One connection to the broker that is certain to end: lapin's own thread would wait for ever at a peer that accepts
//! and then says nothing, so the socket is kept at hand and cut when a time limit passes.

use super::address::Address;
use super::failure::Failure;
use crate::QueueOptions;
use async_compat::CompatExt;
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPScheme;
use lapin::{Channel, Connection, ConnectionProperties};
use std::future::Future;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

#[derive(Debug, Default)]
enum Socket {
    #[default]
    NotYet,
    Kept(std::net::TcpStream),
    Cut,
}

/// The socket of a connection, to be cut from outside.
#[derive(Debug, Clone, Default)]
struct Cut(Arc<Mutex<Socket>>);

impl Cut {
    /// Keeps a second handle of a socket. lapin's thread goes on connecting when its caller has given up, so the
    /// socket may come after the cut: then it is refused.
    fn keep(&self, stream: &TcpStream) -> std::io::Result<()> {
        let second = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*socket, Socket::Cut) {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        *socket = Socket::Kept(second);
        Ok(())
    }

    fn cut(&self) {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Socket::Kept(stream) = std::mem::replace(&mut *socket, Socket::Cut) {
            // An error says that it is cut already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// Cuts the socket when it is dropped, unless disarmed.
struct CutOnDrop(Option<Cut>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(cut) = self.0.take() {
            cut.cut();
        }
    }
}

/// A connection. Dropping it closes it in the background.
#[derive(Debug)]
pub(super) struct Link {
    connection: Option<Connection>,
    cut: Cut,
    reply_limit: Duration,
}

impl Link {
    /// Connects and logs in within the time limit.
    pub(super) async fn connect(address: &Address, options: &QueueOptions, role: &str) -> Result<Self, Failure> {
        let cut = Cut::default();
        let mut guard = CutOnDrop(Some(cut.clone()));
        let name = format!("{} {role}", options.connection_name);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime = lapin::runtime::default_runtime().map_err(|error| Failure::of(address, &error))?;
        let certificates = options.ca_certificates.clone();
        let kept = cut.clone();
        let connector = Connection::connector(
            address.uri(),
            runtime,
            async move |uri: lapin::uri::AMQPUri, _| {
                let host = uri.authority.host.clone();
                let stream = TcpStream::connect((host.as_str(), uri.authority.port)).await?;
                stream.set_nodelay(true)?;
                kept.keep(&stream)?;
                let stream = AsyncTcpStream::Plain(stream.compat());
                if uri.scheme == AMQPScheme::AMQP {
                    return Ok(stream);
                }
                let tls = OwnedTLSConfig {
                    identity: None,
                    cert_chain: certificates.clone(),
                };
                Ok(stream.into_tls(&host, tls.as_ref()).await?)
            },
            properties,
        );
        let limit = options.timeouts.connect;
        match timeout(limit, connector).await {
            Ok(Ok(connection)) => {
                guard.0 = None;
                Ok(Self {
                    connection: Some(connection),
                    cut,
                    reply_limit: options.timeouts.reply,
                })
            }
            Ok(Err(error)) => Err(Failure::of(address, &error)),
            Err(_) => Err(Failure::late(format!("{address} did not answer within {limit:?}"))),
        }
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection()
            .is_some_and(|connection| connection.status().connected())
    }

    /// Opens a channel within the time limit of an answer.
    pub(super) async fn channel(&self, address: &Address) -> Result<Channel, Failure> {
        let connection = self.connection().ok_or_else(Failure::closed)?;
        within(self.reply_limit, address, connection.create_channel()).await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let guard = CutOnDrop(Some(self.cut.clone()));
        let limit = self.reply_limit;
        let (Some(connection), Ok(runtime)) = (self.connection.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            let _guard = guard;
            // The peer may be gone: then the socket is cut all the same.
            drop(timeout(limit, connection.close(200, "OK".into())).await);
        });
    }
}

/// Waits for an answer of the broker, but no longer than the limit.
pub(super) async fn within<T>(
    limit: Duration,
    address: &Address,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Failure> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| Failure::of(address, &error)),
        Err(_) => Err(Failure::late(format!("{address} did not answer within {limit:?}"))),
    }
}
