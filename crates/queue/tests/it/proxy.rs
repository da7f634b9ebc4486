//! A TCP proxy that breaks connections: cuts them, falls silent, or says something that the broker did not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// What is done to the connections of the moment; those that come later are not touched.
#[derive(Debug, Clone)]
enum Act {
    /// Ends them.
    Cut,
    /// Keeps them open and passes nothing on, in either direction.
    Silence,
    /// Sends this to the client, as if from the broker. Only where the broker says nothing at that moment.
    Say(Vec<u8>),
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    address: SocketAddr,
    acts: broadcast::Sender<Act>,
    /// Whether connections that come are accepted and then ignored.
    deaf: watch::Sender<bool>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy before `upstream` ("host:port").
    pub(crate) async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acts, _) = broadcast::channel(16);
        let (deaf, heard) = watch::channel(false);
        let open = Arc::new(AtomicUsize::new(0));
        let (sender, count) = (acts.clone(), Arc::clone(&open));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connection = Connection {
                    upstream: upstream.clone(),
                    acts: sender.subscribe(),
                    deaf: *heard.borrow(),
                };
                let count = Arc::clone(&count);
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    connection.serve(client).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            acts,
            deaf,
            open,
        }
    }

    /// A URL with this proxy in the broker's place.
    pub(crate) fn before(&self, url: &str) -> String {
        url.replace(&host_and_port(url), &self.address.to_string())
    }

    pub(crate) fn cut(&self) {
        drop(self.acts.send(Act::Cut));
    }

    pub(crate) fn silence(&self) {
        drop(self.acts.send(Act::Silence));
    }

    pub(crate) fn say(&self, bytes: Vec<u8>) {
        drop(self.acts.send(Act::Say(bytes)));
    }

    pub(crate) fn ignore_those_who_come(&self, ignore: bool) {
        self.deaf.send_replace(ignore);
    }

    /// Connections that neither side has ended.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// The "host:port" of an AMQP URL.
pub(crate) fn host_and_port(url: &str) -> String {
    let after_login = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let authority = after_login.split('/').next().unwrap_or_default();
    authority.to_owned()
}

struct Connection {
    upstream: String,
    acts: broadcast::Receiver<Act>,
    deaf: bool,
}

impl Connection {
    async fn serve(mut self, mut client: TcpStream) {
        if self.deaf {
            swallow(&mut client).await;
            return;
        }
        let Ok(mut broker) = TcpStream::connect(&self.upstream).await else {
            return;
        };
        let (mut to_broker, mut to_client) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                act = self.acts.recv() => match act {
                    Ok(Act::Say(bytes)) => client.write_all(&bytes).await.unwrap_or_default(),
                    // The broker's side stays open: it, too, learns nothing.
                    Ok(Act::Silence) => return swallow(&mut client).await,
                    Ok(Act::Cut) | Err(_) => return,
                },
                read = client.read(&mut to_broker) => match read {
                    Ok(read @ 1..) if broker.write_all(&to_broker[..read]).await.is_ok() => {}
                    _ => return,
                },
                read = broker.read(&mut to_client) => match read {
                    Ok(read @ 1..) if client.write_all(&to_client[..read]).await.is_ok() => {}
                    _ => return,
                },
            }
        }
    }
}

/// Reads until the client gives up.
async fn swallow(client: &mut TcpStream) {
    let mut ignored = [0; 1024];
    while matches!(client.read(&mut ignored).await, Ok(1..)) {}
}
