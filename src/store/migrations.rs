//! Migrations: the bus's own, and sets that a host hands in.
//!
//! Each set keeps its book in a table of its own name, so that neither collides
//! with the other nor with migrations that the host runs by other means.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::sql::Value;
use super::{DatabaseKind, Store, StoreError};

/// One step of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the order, counted from 1.
    pub version: i64,
    /// What it does, in a word.
    pub name: &'static str,
    /// The SQL for SQLite.
    pub sqlite: &'static str,
    /// The SQL for PostgreSQL.
    pub postgres: &'static str,
}

impl Migration {
    /// Returns the SQL for one database.
    #[must_use]
    pub fn sql(&self, kind: DatabaseKind) -> &'static str {
        match kind {
            DatabaseKind::Sqlite => self.sqlite,
            DatabaseKind::Postgres => self.postgres,
        }
    }
}

/// The migrations of one schema, in order.
#[derive(Debug, Clone, Copy)]
pub struct MigrationSet {
    /// The table that keeps which ones have run; a plain SQL name.
    pub table: &'static str,
    /// The steps, by rising version.
    pub migrations: &'static [Migration],
}

/// A migration and when it ran.
#[derive(Debug, Clone)]
pub struct MigrationStatus {
    /// The migration.
    pub migration: Migration,
    /// When it ran; `None` if it did not.
    pub applied_at: Option<time::OffsetDateTime>,
}

/// The bus's own schema.
pub(crate) const BUS: MigrationSet = MigrationSet {
    table: "_stentor_migrations",
    migrations: &[
        Migration {
            version: 1,
            name: "bus",
            sqlite: include_str!("../../migrations/bus/sqlite/0001_bus.sql"),
            postgres: include_str!("../../migrations/bus/postgres/0001_bus.sql"),
        },
        Migration {
            version: 2,
            name: "cheap_rows",
            sqlite: include_str!("../../migrations/bus/sqlite/0002_cheap_rows.sql"),
            postgres: include_str!("../../migrations/bus/postgres/0002_cheap_rows.sql"),
        },
        Migration {
            version: 3,
            name: "deliveries",
            sqlite: include_str!("../../migrations/bus/sqlite/0003_deliveries.sql"),
            postgres: include_str!("../../migrations/bus/postgres/0003_deliveries.sql"),
        },
    ],
};

/// Serialises migrations of several processes on PostgreSQL: "stentor" as a number.
const ADVISORY_LOCK: i64 = 0x73_74_65_6e_74_6f_72;

impl Store {
    /// Brings the bus's schema up to date.
    pub(crate) async fn migrate(&self) -> Result<usize, StoreError> {
        self.migrate_set(&BUS).await
    }

    /// Runs the migrations of a set that have not run, all or none, and returns how many.
    pub(crate) async fn migrate_set(&self, set: &'static MigrationSet) -> Result<usize, StoreError> {
        let mut transaction = self.begin_write().await?;
        let connection = transaction.inner()?;
        let kind = connection.kind();
        if kind == DatabaseKind::Postgres {
            connection.batch(&format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")).await?;
        }
        connection.batch(&book(set, kind)).await?;
        let applied = applied(connection, set).await?;
        refuse_newer(set, &applied)?;
        let missing = set.migrations.iter().filter(|migration| !applied.contains_key(&migration.version));
        let mut count = 0;
        for migration in missing {
            connection.batch(migration.sql(kind)).await?;
            let insert = format!("INSERT INTO {} (version, name) VALUES ($1, $2)", set.table);
            connection.execute_text(&insert, crate::args![migration.version, migration.name]).await?;
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }

    /// Returns every migration of a set and when it ran.
    pub(crate) async fn migration_status(
        &self,
        set: &'static MigrationSet,
    ) -> Result<Vec<MigrationStatus>, StoreError> {
        let mut connection = self.read().await?;
        let applied = if exists(&mut connection, set.table).await? {
            applied(&mut connection, set).await?
        } else {
            BTreeMap::new()
        };
        refuse_newer(set, &applied)?;
        Ok(set
            .migrations
            .iter()
            .map(|migration| MigrationStatus {
                migration: *migration,
                applied_at: applied.get(&migration.version).copied(),
            })
            .collect())
    }

    /// Refuses a schema that is not exactly this build's.
    pub(crate) async fn require_current_schema(&self) -> Result<(), StoreError> {
        let status = self.migration_status(&BUS).await?;
        match status.iter().filter(|step| step.applied_at.is_none()).count() {
            0 => Ok(()),
            missing => Err(StoreError::SchemaOlder { missing }),
        }
    }
}

fn book(set: &MigrationSet, kind: DatabaseKind) -> String {
    let (time, now, strict) = match kind {
        DatabaseKind::Sqlite => ("INTEGER", "(CAST(unixepoch('subsec') * 1000000 AS INTEGER))", " STRICT"),
        DatabaseKind::Postgres => ("TIMESTAMPTZ", "now()", ""),
    };
    let integer = if kind == DatabaseKind::Sqlite { "INTEGER" } else { "BIGINT" };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (version {integer} NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
         applied_at {time} NOT NULL DEFAULT {now}){strict}",
        set.table
    )
}

async fn exists(connection: &mut Connection, table: &str) -> Result<bool, StoreError> {
    let sql = match connection.kind() {
        DatabaseKind::Sqlite => "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = $1",
        DatabaseKind::Postgres => "SELECT 1 AS one WHERE to_regclass($1) IS NOT NULL",
    };
    Ok(!connection.fetch_text(sql, vec![Value::from(table)]).await?.is_empty())
}

async fn applied(
    connection: &mut Connection,
    set: &MigrationSet,
) -> Result<BTreeMap<i64, time::OffsetDateTime>, StoreError> {
    let sql = format!("SELECT version, applied_at FROM {}", set.table);
    let rows = connection.fetch_text(&sql, Vec::new()).await?;
    rows.iter().map(|row| Ok((row.get("version")?, row.get("applied_at")?))).collect()
}

fn refuse_newer(set: &MigrationSet, applied: &BTreeMap<i64, time::OffsetDateTime>) -> Result<(), StoreError> {
    let known = set.migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    match applied.keys().copied().max() {
        Some(found) if found > known => Err(StoreError::SchemaNewer { found, known }),
        _ => Ok(()),
    }
}
