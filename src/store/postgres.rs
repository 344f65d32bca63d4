//! PostgreSQL: separate pools, so that no kind of work starves another.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::connection::Pool;
use super::{Pools, StoreError, StoreOptions};

/// How long a connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Group commits at once: two of new events and one of settlements.
const COMMITS_MAX: u32 = 3;

pub(super) async fn open(options: &StoreOptions) -> Result<Pools, StoreError> {
    let unreachable = |source| StoreError::Unreachable { url: options.url_without_password(), source };
    let connect = PgConnectOptions::from_str(&options.url)
        .map_err(unreachable)?
        .application_name("stentor")
        .statement_cache_capacity(256)
        .options([("synchronous_commit", "on"), ("timezone", "UTC")]);
    // A pool tries again until its time is up, and then says nothing of why.
    connect.connect().await.map_err(unreachable)?.close().await.map_err(unreachable)?;
    let pool = |connections| {
        PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_TIMEOUT)
    };
    // Arrays of a thousand values are costly to plan for, and the plan is always the same: commits
    // find rows by their keys. A plan that is made while the tables are small must not scan them for ever;
    // one without a bitmap locks events in the order of their ids, as everybody does.
    let committing = connect.clone().options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
    ]);
    let commits = pool(COMMITS_MAX).connect_with(committing).await.map_err(unreachable)?;
    Ok(Pools {
        commits: Pool::Postgres(commits),
        writes: Pool::Postgres(pool(4).connect_lazy_with(connect.clone())),
        handlers: Pool::Postgres(pool(options.handler_connections).connect_lazy_with(connect.clone())),
        reads: Pool::Postgres(pool(options.read_connections).connect_lazy_with(connect)),
    })
}

impl super::Store {
    /// Listens on the channel `stentor`; `None` if the database has no notifications.
    pub(crate) async fn listener(&self) -> Option<Result<sqlx::postgres::PgListener, StoreError>> {
        match &self.inner.reads {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => None,
            Pool::Postgres(pool) => Some(listen(pool).await),
        }
    }
}

async fn listen(pool: &sqlx::PgPool) -> Result<sqlx::postgres::PgListener, StoreError> {
    let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
    listener.listen("stentor").await?;
    Ok(listener)
}
