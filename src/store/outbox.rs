//! Events from outside the live path: a host's own transaction, a client, a plain INSERT.

use uuid::Uuid;

use super::commit::{Commit, CommitError, Spill};
use super::sql::Statement;
use super::{DatabaseKind, Store, StoreError};
use crate::delivery::{Routed, Settlement};
use crate::envelope::Envelope;

/// A connection of sqlx to the bus's database, of either kind.
pub trait OutboxConnection: Send {
    #[doc(hidden)]
    fn insert_event(&mut self, event: &Envelope) -> impl Future<Output = Result<(), StoreError>> + Send;
}

macro_rules! insert_with {
    ($connection:expr, $event:expr, $sql:expr) => {{
        let (event, metadata) = ($event, &$event.metadata);
        sqlx::query($sql)
            .bind(event.id)
            .bind(&*event.event_type)
            .bind(event.payload.json())
            .bind(i64::from(event.schema_version))
            .bind(metadata.created_by)
            .bind(metadata.ip_address.map(|address| address.to_string()))
            .bind(metadata.user_agent.as_deref())
            .bind(metadata.correlation_id)
            .bind(metadata.causation_id)
            .bind(metadata.ordering_key.as_deref())
            .bind(metadata.trace_context.as_deref())
            .execute($connection)
            .await?;
        Ok(())
    }};
}

#[cfg(feature = "sqlite")]
impl OutboxConnection for sqlx::SqliteConnection {
    async fn insert_event(&mut self, event: &Envelope) -> Result<(), StoreError> {
        insert_with!(&mut *self, event, INSERT.text(DatabaseKind::Sqlite))
    }
}

#[cfg(feature = "postgres")]
impl OutboxConnection for sqlx::PgConnection {
    async fn insert_event(&mut self, event: &Envelope) -> Result<(), StoreError> {
        insert_with!(&mut *self, event, INSERT.text(DatabaseKind::Postgres))
    }
}

pub(super) static INSERT: Statement = Statement::new(
    "INSERT INTO system_events (id, type, payload, schema_version, created_by, ip_address, user_agent,
        correlation_id, causation_id, ordering_key, trace_context)
     VALUES ($1, $2, $3{postgres:::jsonb}, $4, $5, $6{postgres:::inet}, $7, $8, $9, $10, $11)",
);

pub(super) static UNROUTED: Statement = Statement::new(
    "SELECT id, type FROM system_events WHERE route_id IS NULL ORDER BY seq LIMIT $1 {skip locked}",
);

pub(super) static SET_ROUTE: Statement =
    Statement::new("UPDATE system_events SET route_id = $2 WHERE id {in $1} AND type = $3");

/// Stores an event in a transaction of the caller's own.
pub(crate) async fn insert_unrouted(
    connection: &mut impl OutboxConnection,
    event: &Envelope,
) -> Result<(), StoreError> {
    connection.insert_event(event).await
}

impl Store {
    /// Stores events as a client, all or none: a node finds them, routes them and delivers them.
    pub(crate) async fn insert_as_client(&self, events: &[Routed]) -> Result<(), CommitError> {
        let settlement = Settlement::default();
        let commit = Commit {
            node: Uuid::nil(),
            events,
            owned: vec![false; events.len()],
            spill: Spill::default(),
            settlement: &settlement,
        };
        self.commit(commit).await?;
        self.notify().await;
        Ok(())
    }

    /// Tells the nodes that there may be something to do. Only a hint: they look by themselves too.
    pub(crate) async fn notify(&self) {
        if self.database_kind() == DatabaseKind::Postgres
            && let Ok(mut connection) = self.read().await
            && let Err(error) = connection.batch("NOTIFY stentor").await
        {
            tracing::debug!(%error, "nodes could not be notified; they find the work by polling");
        }
    }

    /// Routes up to `limit` events that others inserted: each target gets a row. Returns how many.
    pub(crate) async fn route_unrouted(&self, limit: u32) -> Result<u32, StoreError> {
        let mut transaction = self.begin_write().await?;
        let waiting = transaction.query(&UNROUTED, crate::args![limit]).await?;
        let mut by_type: std::collections::BTreeMap<String, Vec<Uuid>> = std::collections::BTreeMap::new();
        for row in &waiting {
            by_type.entry(row.get("type")?).or_default().push(row.get("id")?);
        }
        for (event_type, ids) in by_type {
            let route = self.route_within(&mut transaction, &event_type).await?;
            transaction.run(&SET_ROUTE, crate::args![ids.clone(), route.id, event_type.as_str()]).await?;
            transaction.run(&super::nodes::ADOPT_ROWS, crate::args![ids.clone()]).await?;
            // A type without subscribers is done at once.
            self.finish(&mut transaction, &ids).await?;
        }
        transaction.commit().await?;
        Ok(u32::try_from(waiting.len()).unwrap_or(limit))
    }
}
