//! Opening an index by its address.

use crate::milvus::{MilvusAddress, MilvusIndex};
use crate::sqlite::SqliteIndex;
use crate::{CallRecorder, IndexError, VectorIndex};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How patient an index's client is, and whom it tells of its calls.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Longest wait for a connection, or for another process that writes the same file.
    pub connect_timeout: Duration,
    /// Longest wait for one answer.
    pub rpc_timeout: Duration,
    /// Who is told of calls to a server.
    pub calls: CallRecorder,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            rpc_timeout: Duration::from_secs(60),
            calls: CallRecorder::default(),
        }
    }
}

/// Opens the index at an address:
/// - `sqlite:PATH`: one file, made with its folders where it does not exist;
/// - `milvus://[USER:PASSWORD@|TOKEN@]HOST[:PORT][/DATABASE]`, `milvus+tls://…` with TLS; port 19530, database
///   `default`. User, password and token are percent-decoded.
///
/// # Errors
/// [`IndexError::BadAddress`] where the address is neither, or the file is none of ours;
/// [`IndexError::Unavailable`] where the server does not answer.
pub async fn open(address: &str, options: &OpenOptions) -> Result<Arc<dyn VectorIndex>, IndexError> {
    if let Some(path) = address.strip_prefix("sqlite:") {
        // `sqlite:///a/b` is how other tools write the absolute path /a/b.
        let path = if path.starts_with("///") { &path[2..] } else { path };
        if path.is_empty() || path.starts_with("//") {
            return Err(IndexError::BadAddress {
                message: format!("{address:?} names no file: write sqlite:PATH"),
            });
        }
        return Ok(Arc::new(SqliteIndex::open(Path::new(path), options).await?));
    }
    if address.starts_with("milvus") {
        let address = MilvusAddress::parse(address)?;
        return Ok(Arc::new(MilvusIndex::connect(&address, options).await?));
    }
    let scheme = address.split(':').next().unwrap_or_default();
    Err(IndexError::BadAddress {
        message: format!("an address begins with sqlite:, milvus:// or milvus+tls://, not with {scheme:?}"),
    })
}
