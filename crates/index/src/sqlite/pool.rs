//! A few connections to one file, used on the runtime's threads for blocking work.

use super::error::Failure;
use super::functions;
use crate::IndexError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pages that a connection keeps in memory, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

pub(super) struct Pool {
    path: PathBuf,
    busy_timeout: Duration,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(path: &Path, connections: usize, busy_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            busy_timeout,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(connections)),
        })
    }

    /// Runs work with a connection of its own. Work that has begun is finished even when its caller is gone.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, IndexError> {
        let unavailable = |message: String| IndexError::Unavailable { action, message };
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let pool = Arc::clone(self);
        let worked = tokio::task::spawn_blocking(move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = idle.map_or_else(|| pool.connect(), Ok)?;
            let result = work(&mut connection);
            pool.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            drop(permit);
            result
        });
        worked
            .await
            .map_err(|error| unavailable(error.to_string()))?
            .map_err(|failure| failure.into_index_error(action))
    }

    /// Runs work that sees one state of the file.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.run(action, |connection| work(&connection.transaction()?)).await
    }

    /// Runs work that is durable when it succeeds, and leaves nothing when it fails.
    pub(super) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.run(action, |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }

    fn connect(&self) -> Result<Connection, Failure> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| IndexError::Unavailable {
                action: "open the file",
                message: format!("cannot make the folder {}: {error}", folder.display()),
            })?;
        }
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(self.busy_timeout)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // FULL: a commit is on the disk when it returns, whatever happens to the machine.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(64);
        functions::register(&connection)?;
        Ok(connection)
    }
}
