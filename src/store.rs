//! The store: all SQL of the bus, on SQLite and PostgreSQL.
//!
//! Publishing, claiming and settling, handlers, and reads have connections of
//! their own, so that none can starve another. On SQLite, which has one writer,
//! all writers queue for one connection.

use std::sync::Arc;

use tokio::runtime::Handle;

mod audit;
mod claims;
mod commit;
#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod conformance;
mod connection;
mod health;
mod migrations;
mod modules;
mod nodes;
mod operate;
mod options;
mod outbox;
#[cfg(feature = "postgres")]
mod postgres;
mod retention;
mod routes;
mod rows;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stats;
#[cfg(any(feature = "testing", all(test, feature = "sqlite", feature = "postgres")))]
mod testing;
mod transaction;

pub use migrations::{Migration, MigrationSet, MigrationStatus};
pub use options::StoreOptions;
pub use outbox::OutboxConnection;
pub use sql::{Column, Row, Value};
pub use transaction::Transaction;

pub(crate) use claims::{ClaimBatch, ClaimError, Poll};
#[cfg(feature = "cli")]
pub(crate) use commit::Spill;
pub(crate) use commit::{Commit, CommitDone, CommitError, Duplicate};
pub(crate) use migrations::BUS as BUS_MIGRATIONS;
pub(crate) use nodes::{Heartbeat, Registered};
pub(crate) use outbox::insert_unrouted;
pub(crate) use rows::Receipts;
#[cfg(feature = "testing")]
pub(crate) use testing::{Standing, Unfinished};

use connection::{Connection, Pool};

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("stentor needs a database: enable the feature `sqlite` or `postgres`");

/// Which database a bus runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseKind {
    /// An SQLite file, for one process at a time.
    Sqlite,
    /// A PostgreSQL server, for any number of processes.
    Postgres,
}

/// The store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database's address is not one.
    #[error("database {url:?} is not an address; write sqlite://PATH or postgres://USER@HOST/NAME")]
    BadUrl {
        /// The address.
        url: String,
    },
    /// This build cannot talk to that kind of database.
    #[error("this build has no support for {kind}; enable stentor's feature {feature:?}")]
    Unsupported {
        /// The kind of database.
        kind: &'static str,
        /// The feature that adds it.
        feature: &'static str,
    },
    /// The database does not answer or refuses the connection.
    #[error("database {url:?} cannot be reached: {source}")]
    Unreachable {
        /// The address, without its password.
        url: String,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The SQLite file is another process's node.
    #[error("database {url:?} is in use by {holder}; stop it or open another file")]
    InUse {
        /// The address.
        url: String,
        /// Who has it: node and process id.
        holder: String,
    },
    /// The schema was made by a newer build.
    #[error(
        "the database's schema has version {found}, this build knows up to {known}; deploy the newer build"
    )]
    SchemaNewer {
        /// The version in the database.
        found: i64,
        /// The newest that this build knows.
        known: i64,
    },
    /// The schema lacks migrations.
    #[error("the database's schema is not up to date: {missing} migrations are missing; run `migrate up`")]
    SchemaOlder {
        /// How many.
        missing: usize,
    },
    /// A file beside the database cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The delivery is no longer this attempt's: another one took it over.
    #[error("the delivery was taken over by another attempt")]
    ClaimLost,
    /// The connection broke while committing: it may have happened or not.
    #[error("the connection broke while committing, so it may have happened: {0}")]
    Ambiguous(#[source] sqlx::Error),
    /// The bus is shut down.
    #[error("the bus is shut down")]
    Stopped,
    /// The database refused a statement.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Tries a transaction again for as long as it gets into the way of others: of two that wait for
/// each other's rows, PostgreSQL refuses one.
macro_rules! until_no_conflict {
    ($transaction:expr) => {
        loop {
            match $transaction.await {
                Err(error) if error.is_conflict() => tracing::debug!(%error, "a transaction is tried again"),
                done => break done,
            }
        }
    };
}
use until_no_conflict;

impl StoreError {
    fn while_committing(self) -> Self {
        match self {
            Self::Sql(error) if !matches!(error, sqlx::Error::Database(_)) => Self::Ambiguous(error),
            other => other,
        }
    }

    /// Returns whether what failed may have happened nevertheless.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }

    /// Returns whether the database could not be reached or is held by another process.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::InUse { .. } | Self::Ambiguous(_))
            || matches!(self, Self::Sql(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut))
    }

    /// Returns whether a unique key stood in the way.
    fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Returns whether trying the same transaction again may well succeed.
    fn is_conflict(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return false;
        };
        // PostgreSQL: serialization failure and deadlock; SQLite: busy.
        matches!(error.code().as_deref(), Some("40001" | "40P01" | "5" | "517"))
    }
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    #[cfg(feature = "sqlite")]
    url: String,
    /// For group commits.
    commits: Pool,
    /// For claims and everything else that the bus writes.
    writes: Pool,
    handlers: Pool,
    reads: Pool,
    runtime: Handle,
    /// Statements of group commits, for benchmarks.
    live_statements: std::sync::atomic::AtomicU64,
    #[cfg(feature = "sqlite")]
    node_lock: std::sync::Mutex<Option<sqlite::NodeLock>>,
}

impl Store {
    /// Opens the database. Nothing is written yet.
    pub(crate) async fn open(options: &StoreOptions, runtime: Handle) -> Result<Self, StoreError> {
        let pools = match options.kind()? {
            DatabaseKind::Sqlite => {
                #[cfg(feature = "sqlite")]
                {
                    sqlite::open(options).await?
                }
                #[cfg(not(feature = "sqlite"))]
                return Err(StoreError::Unsupported { kind: "SQLite", feature: "sqlite" });
            }
            DatabaseKind::Postgres => {
                #[cfg(feature = "postgres")]
                {
                    postgres::open(options).await?
                }
                #[cfg(not(feature = "postgres"))]
                return Err(StoreError::Unsupported { kind: "PostgreSQL", feature: "postgres" });
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                #[cfg(feature = "sqlite")]
                url: options.url_without_password(),
                commits: pools.commits,
                writes: pools.writes,
                handlers: pools.handlers,
                reads: pools.reads,
                runtime,
                live_statements: 0.into(),
                #[cfg(feature = "sqlite")]
                node_lock: std::sync::Mutex::new(None),
            }),
        })
    }

    pub(crate) fn database_kind(&self) -> DatabaseKind {
        match &self.inner.commits {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => DatabaseKind::Sqlite,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => DatabaseKind::Postgres,
        }
    }

    /// Returns whether all writers share one connection, so that work is best put in one transaction.
    pub(crate) fn has_one_writer(&self) -> bool {
        self.database_kind() == DatabaseKind::Sqlite
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn url(&self) -> &str {
        &self.inner.url
    }

    /// Opens a transaction for a handler or an embedder.
    pub(crate) async fn begin_delivery(&self) -> Result<Transaction, StoreError> {
        self.begin_on(self.inner.handlers.clone()).await
    }

    async fn begin_write(&self) -> Result<Transaction, StoreError> {
        self.begin_on(self.inner.writes.clone()).await
    }

    /// Opens a transaction in a task of the bus: a caller who goes away leaves no open one behind.
    async fn begin_on(&self, pool: Pool) -> Result<Transaction, StoreError> {
        let runtime = self.inner.runtime.clone();
        let opening = self.inner.runtime.spawn(async move {
            let mut connection = pool.acquire().await?;
            connection.begin().await?;
            Ok(Transaction::new(connection, runtime))
        });
        opening.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Returns how many statements group commits have issued.
    #[cfg(feature = "cli")]
    pub(crate) fn live_statements(&self) -> u64 {
        self.inner.live_statements.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn read(&self) -> Result<Connection, StoreError> {
        self.inner.reads.acquire().await
    }

    /// Runs a query of an embedder's, on the connections for reads.
    pub(crate) async fn fetch_all(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.read().await?.fetch_text(sql, args).await
    }

    /// Closes all connections and gives up the node's lock.
    pub(crate) async fn close(&self) {
        let Inner { commits, writes, handlers, reads, .. } = &*self.inner;
        for pool in [commits, writes, handlers, reads] {
            pool.close().await;
        }
        #[cfg(feature = "sqlite")]
        drop(self.inner.node_lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }
}

/// The connections of a store.
struct Pools {
    /// For group commits.
    commits: Pool,
    /// For claims and everything else that the bus writes.
    writes: Pool,
    handlers: Pool,
    reads: Pool,
}
