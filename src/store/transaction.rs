//! A transaction that no cancelled caller can leave half-way.

use tokio::runtime::Handle;

use super::connection::Connection;
use super::sql::{Row, Statement, Value};
use super::{DatabaseKind, StoreError};

/// An open transaction on the bus's database.
///
/// One SQL text serves both databases: parameters are `$1`, `$2`, … Dropped
/// without a commit, it is rolled back, by a task of the bus, before anybody
/// else gets the connection.
#[derive(Debug)]
pub struct Transaction {
    /// `None` only once the connection has been handed on.
    connection: Option<Connection>,
    runtime: Handle,
}

impl Transaction {
    pub(super) fn new(connection: Connection, runtime: Handle) -> Self {
        Self { connection: Some(connection), runtime }
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        self.connection.as_mut().ok_or(StoreError::Stopped)
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// Never build `sql` from input: pass input as `args![…]`.
    ///
    /// # Errors
    ///
    /// Fails if the database refuses the statement.
    pub async fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, StoreError> {
        self.connection()?.execute_text(sql, args).await
    }

    /// Runs a query and returns all of its rows.
    ///
    /// # Errors
    ///
    /// Fails if the database refuses the statement.
    pub async fn fetch_all(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.connection()?.fetch_text(sql, args).await
    }

    /// Runs a query and returns its first row, if it has one.
    ///
    /// # Errors
    ///
    /// Fails if the database refuses the statement.
    pub async fn fetch_optional(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql, args).await?.into_iter().next())
    }

    /// Runs a query and returns its first row.
    ///
    /// # Errors
    ///
    /// Fails if there is no row, or the database refuses the statement.
    pub async fn fetch_one(&mut self, sql: &str, args: Vec<Value>) -> Result<Row, StoreError> {
        self.fetch_optional(sql, args).await?.ok_or(StoreError::Sql(sqlx::Error::RowNotFound))
    }

    /// Returns the connection of SQLite, if the bus runs on it, for sqlx's own API.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(&mut self) -> Option<&mut sqlx::SqliteConnection> {
        match self.connection.as_mut()? {
            Connection::Sqlite(connection) => Some(connection),
            #[cfg(feature = "postgres")]
            Connection::Postgres(_) => None,
        }
    }

    /// Returns the connection of PostgreSQL, if the bus runs on it, for sqlx's own API.
    #[cfg(feature = "postgres")]
    pub fn postgres(&mut self) -> Option<&mut sqlx::PgConnection> {
        match self.connection.as_mut()? {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(_) => None,
            Connection::Postgres(connection) => Some(connection),
        }
    }

    /// Returns which database this is.
    #[must_use]
    pub fn database(&self) -> DatabaseKind {
        self.connection.as_ref().map_or(DatabaseKind::Sqlite, Connection::kind)
    }

    pub(crate) async fn run(
        &mut self,
        statement: &'static Statement,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        self.connection()?.execute(statement, values).await
    }

    pub(crate) async fn query(
        &mut self,
        statement: &'static Statement,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.connection()?.fetch(statement, values).await
    }

    pub(super) fn inner(&mut self) -> Result<&mut Connection, StoreError> {
        self.connection()
    }

    /// Commits. In a task of the bus, so that a caller who goes away does not interrupt it.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(StoreError::Stopped);
        };
        let committing = self.runtime.spawn(async move {
            let result = connection.commit().await;
            if result.is_err() {
                end(connection).await;
            }
            result
        });
        committing.await.unwrap_or(Err(StoreError::Stopped))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(self.runtime.spawn(end(connection)));
        }
    }
}

/// Rolls back; a connection that cannot is closed rather than handed on.
pub(super) async fn end(mut connection: Connection) {
    if let Err(error) = connection.rollback().await {
        tracing::debug!(%error, "a connection could not be rolled back; it is closed");
        connection.discard();
    }
}
