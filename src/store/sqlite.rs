//! SQLite: one writer, readers apart, and a lock that says which process is the node.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::connection::Pool;
use super::{Pools, Store, StoreError, StoreOptions};
use crate::delivery::NodeId;

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn open(options: &StoreOptions) -> Result<Pools, StoreError> {
    let unreachable = |source| StoreError::Unreachable { url: options.url.clone(), source };
    let connect = SqliteConnectOptions::from_str(&options.url)
        .map_err(unreachable)?
        .create_if_missing(options.create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(256)
        .pragma("temp_store", "memory")
        .pragma("cache_size", "-16384")
        // Fewer checkpoints of more pages: each page is written back once for many changes.
        .pragma("wal_autocheckpoint", "4000");
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_mins(1))
    };
    let writer = pool(1).connect_with(connect.clone()).await.map_err(unreachable)?;
    let reads = pool(options.read_connections).min_connections(0).connect_lazy_with(
        connect.create_if_missing(false).pragma("query_only", "on").pragma("cache_size", "-2048"),
    );
    let writer = Pool::Sqlite(writer);
    Ok(Pools {
        commits: writer.clone(),
        writes: writer.clone(),
        handlers: writer,
        reads: Pool::Sqlite(reads),
    })
}

/// The lock that makes this process the node of an SQLite file. The system
/// gives it up when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct NodeLock {
    _file: File,
}

impl Store {
    /// Makes this process the node of its SQLite file.
    pub(super) fn lock_node(&self, node: NodeId) -> Result<(), StoreError> {
        let path = lock_path(self.url());
        let problem = |source| StoreError::File { path: path.display().to_string(), source };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(problem)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Just for the message: whoever has it may be writing its name right now.
                drop(file.read_to_string(&mut holder));
                return Err(StoreError::InUse {
                    url: self.url().to_owned(),
                    holder: if holder.is_empty() { "another process".to_owned() } else { holder },
                });
            }
            Err(TryLockError::Error(source)) => return Err(problem(source)),
        }
        file.set_len(0).map_err(problem)?;
        write!(file, "node {node} (pid {})", std::process::id()).map_err(problem)?;
        *self.inner.node_lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(NodeLock { _file: file });
        Ok(())
    }
}

fn lock_path(url: &str) -> PathBuf {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split('?').next().unwrap_or(path);
    PathBuf::from(format!("{path}.node"))
}
