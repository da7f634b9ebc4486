//! A few connections to one file, used on the runtime's threads for blocking work.

use super::error::Failure;
use super::functions;
use crate::IndexError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pages that a connection keeps in memory, in KiB.
const CACHE_KIB: i64 = 16 * 1024;
/// SQLite's own steps between two looks at whether a read is still wanted: about ten a row, and a row may cost a function
/// of ours that takes a microsecond.
const STEPS_BETWEEN_LOOKS: i32 = 1000;

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

/// Whoever waits for a read; dropped with the waiting.
#[derive(Default)]
struct Caller {
    gone: Arc<AtomicBool>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
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

    /// Runs work with a connection of its own. Work that has begun is finished even when its caller is gone: so is what
    /// [`Self::write`] writes.
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

    /// Runs work that sees one state of the file. It ends where its caller gives it up, and frees its connection.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, IndexError> {
        // Each read has a flag of its own, so that none is ended in the place of the one before it on its connection.
        let caller = Caller::default();
        let gone = Arc::clone(&caller.gone);
        self.run(action, move |connection| {
            let transaction = connection.transaction()?;
            let is_gone = move || gone.load(Ordering::Relaxed);
            transaction.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_gone));
            let result = work(&transaction);
            // Before the transaction ends: its end is not to be interrupted.
            transaction.progress_handler(0, None::<fn() -> bool>);
            result
        })
        .await
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

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ErrorCode;
    use std::sync::mpsc;
    use tokio::sync::oneshot;

    /// Counts so far: seconds of work, many of the steps between two looks.
    const LONG: u64 = 50_000_000;
    const SHORT: u64 = 100_000;

    fn count(transaction: &Transaction<'_>, to: u64) -> Result<u64, Failure> {
        let sql = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?1) SELECT count(*) FROM c";
        Ok(transaction.query_row(sql, [to], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_ends_and_the_next_on_its_connection_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::new(&folder.path().join("i.db"), 1, Duration::from_secs(5));
        let (begun, has_begun) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let abandoned = pool.read("count", move |transaction| {
            begun.send(()).unwrap();
            let counted = count(transaction, LONG);
            tell.send(counted.map_err(|failure| match failure {
                Failure::Sqlite(error) => error.sqlite_error_code(),
                Failure::Index(error) => panic!("{error}"),
            }))
            .unwrap();
            Ok(())
        });
        tokio::select! {
            biased;
            _ = abandoned => panic!("nobody gave it up"),
            begun = has_begun => begun.unwrap(),
        }
        let whole = pool.read("count", |transaction| count(transaction, SHORT)).await;
        assert_eq!(whole.unwrap(), SHORT);
        assert_eq!(told.recv().unwrap(), Err(Some(ErrorCode::OperationInterrupted)));
    }

    #[tokio::test]
    async fn a_write_that_has_begun_is_finished_though_its_caller_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::new(&folder.path().join("i.db"), 1, Duration::from_secs(5));
        let (begun, has_begun) = oneshot::channel();
        let (go, on) = mpsc::channel();
        let abandoned = pool.write("write", move |transaction| {
            begun.send(()).unwrap();
            on.recv().unwrap();
            let counted = count(transaction, SHORT)?;
            transaction.execute_batch("CREATE TABLE t (n)")?;
            transaction.execute("INSERT INTO t VALUES (?1)", [counted])?;
            Ok(())
        });
        tokio::select! {
            biased;
            _ = abandoned => panic!("it waits"),
            begun = has_begun => begun.unwrap(),
        }
        go.send(()).unwrap();
        let found = pool.read("read", |transaction| {
            Ok(transaction.query_row("SELECT n FROM t", [], |row| row.get::<_, u64>(0))?)
        });
        assert_eq!(found.await.unwrap(), SHORT);
    }
}
