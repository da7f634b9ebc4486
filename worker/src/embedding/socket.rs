//! The engine's side: `Embedding` on a Unix socket that only its supervisor knows.

use super::SocketConfig;
use sightline_encoding::{EmbeddingService, Encoder};
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

/// Serves an encoder until the process ends.
///
/// # Errors
/// In words, when the socket cannot be listened on.
pub(crate) fn serve_socket(config: &SocketConfig, encoder: Arc<dyn Encoder>) -> Result<(), String> {
    let path = &config.path;
    let failed = |error: std::io::Error| format!("cannot listen on {}: {error}", path.display());
    match std::fs::remove_file(path) {
        // Left by the engine before this one.
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let service = EmbeddingService::new(Some(encoder), config.max_image_bytes);
    let server = Server::builder().add_service(service.into_server(config.max_message_bytes));
    tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(UnixListenerStream::new(listener)).await {
            tracing::error!(%error, "no more calls are answered");
        }
    });
    Ok(())
}
