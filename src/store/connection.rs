//! A pooled connection to either database.

use sqlx::AssertSqlSafe;

use super::sql::{NativeRow, Row, Statement, Value};
use super::{DatabaseKind, StoreError};

/// A pool of connections to either database.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

/// A pooled connection.
#[derive(Debug)]
pub(crate) enum Connection {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
}

impl Pool {
    pub(crate) async fn acquire(&self) -> Result<Connection, StoreError> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Connection::Sqlite(pool.acquire().await.map_err(not_acquired)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Connection::Postgres(pool.acquire().await.map_err(not_acquired)?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

fn not_acquired(error: sqlx::Error) -> StoreError {
    if matches!(error, sqlx::Error::PoolClosed) { StoreError::Stopped } else { error.into() }
}

impl Connection {
    pub(crate) fn kind(&self) -> DatabaseKind {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => DatabaseKind::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => DatabaseKind::Postgres,
        }
    }

    pub(crate) async fn execute(
        &mut self,
        statement: &'static Statement,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        self.execute_text(statement.text(self.kind()), values).await
    }

    pub(crate) async fn fetch(
        &mut self,
        statement: &'static Statement,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.fetch_text(statement.text(self.kind()), values).await
    }

    pub(crate) async fn execute_text(&mut self, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => sqlx::query_with(AssertSqlSafe(sql), bind::sqlite(values)?)
                .execute(&mut **connection)
                .await?
                .rows_affected(),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => sqlx::query_with(AssertSqlSafe(sql), bind::postgres(values)?)
                .execute(&mut **connection)
                .await?
                .rows_affected(),
        })
    }

    pub(crate) async fn fetch_text(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => sqlx::query_with(AssertSqlSafe(sql), bind::sqlite(values)?)
                .fetch_all(&mut **connection)
                .await?
                .into_iter()
                .map(|row| Row(NativeRow::Sqlite(row)))
                .collect(),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => sqlx::query_with(AssertSqlSafe(sql), bind::postgres(values)?)
                .fetch_all(&mut **connection)
                .await?
                .into_iter()
                .map(|row| Row(NativeRow::Postgres(row)))
                .collect(),
        })
    }

    /// Runs a query of PostgreSQL's whose values are encoded already.
    #[cfg(feature = "postgres")]
    pub(crate) async fn fetch_native(
        &mut self,
        statement: &'static Statement,
        arguments: sqlx::postgres::PgArguments,
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => unreachable!("arguments of another database"),
            Self::Postgres(connection) => {
                let query = sqlx::query_with(statement.text(DatabaseKind::Postgres), arguments);
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(|row| Row(NativeRow::Postgres(row))).collect())
            }
        }
    }

    /// Runs statements without parameters, several to a text.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **connection).await?;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **connection).await?;
            }
        }
        Ok(())
    }

    /// Opens a transaction. Not sqlx's own: a cancelled `begin` of sqlx up to 0.9.0 gives a
    /// connection with an open transaction back to the pool.
    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        let text = match self.kind() {
            DatabaseKind::Sqlite => "BEGIN IMMEDIATE",
            DatabaseKind::Postgres => "BEGIN",
        };
        self.batch(text).await
    }

    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.batch("COMMIT").await.map_err(StoreError::while_committing)
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), StoreError> {
        self.batch("ROLLBACK").await
    }

    /// Closes the connection for good: nobody gets it from the pool again.
    pub(crate) fn discard(self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => drop(connection.detach()),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => drop(connection.detach()),
        }
    }
}

mod bind {
    //! Values as the drivers want them.

    use super::{StoreError, Value};

    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite(values: Vec<Value>) -> Result<sqlx::sqlite::SqliteArguments, StoreError> {
        use sqlx::Arguments;
        let mut arguments = sqlx::sqlite::SqliteArguments::default();
        for value in values {
            match value {
                Value::Bool(value) => arguments.add(value),
                Value::Int(value) => arguments.add(value),
                Value::Float(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
                Value::Uuid(value) => arguments.add(value),
                Value::Time(value) => arguments.add(value.map(micros)),
                Value::Json(value) => arguments.add(value.map(|json| json.to_string())),
                Value::Bytes(value) => arguments.add(value),
                Value::Uuids(ids) => arguments.add(hex_array(&ids)),
                Value::Texts(texts) => arguments.add(serde_json::Value::from(texts).to_string()),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    #[cfg(feature = "sqlite")]
    fn hex_array(ids: &[uuid::Uuid]) -> String {
        let mut text = String::with_capacity(ids.len() * 35 + 2);
        text.push('[');
        for (index, id) in ids.iter().enumerate() {
            text.push_str(if index == 0 { "\"" } else { ",\"" });
            text.push_str(id.simple().encode_lower(&mut uuid::Uuid::encode_buffer()));
            text.push('"');
        }
        text.push(']');
        text
    }

    #[cfg(feature = "sqlite")]
    fn micros(time: time::OffsetDateTime) -> i64 {
        i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(values: Vec<Value>) -> Result<sqlx::postgres::PgArguments, StoreError> {
        use sqlx::Arguments;
        let mut arguments = sqlx::postgres::PgArguments::default();
        for value in values {
            match value {
                Value::Bool(value) => arguments.add(value),
                Value::Int(value) => arguments.add(value),
                Value::Float(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
                Value::Uuid(value) => arguments.add(value),
                Value::Time(value) => arguments.add(value),
                Value::Json(value) => arguments.add(value),
                Value::Bytes(value) => arguments.add(value),
                Value::Uuids(ids) => arguments.add(ids),
                Value::Texts(texts) => arguments.add(texts),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}
