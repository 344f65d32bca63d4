//! A look at a database's health.

use std::time::Duration;

use super::nodes::micros;
use super::sql::Statement;
use super::{Store, StoreError};
use crate::audit::{Health, NodeHealth};

pub(super) static SERVER: Statement = Statement::new(
    "{sqlite:SELECT sqlite_version() AS version, {now} AS now, 1 AS durable}
     {postgres:SELECT current_setting('server_version') AS version, now() AS now,
                      current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off' AS durable}",
);

pub(super) static LIVE_NODES: Statement =
    Statement::new("SELECT host, version FROM nodes WHERE lease_until > {now} ORDER BY started_at");

/// What stands still though nothing holds it back.
pub(super) static STANDING_STILL: Statement = Statement::new(
    "SELECT (SELECT COUNT(*) FROM nodes WHERE lease_until <= {now}) AS dead_nodes,
            (SELECT COUNT(*) FROM system_events e
             WHERE e.processed_at IS NULL AND e.created_at < {now+$1}
               AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = e.owner AND n.lease_until > {now})
               AND NOT EXISTS (SELECT 1 FROM event_deliveries d WHERE d.event_id = e.id AND d.state = 'pending')) AS stuck,
            (SELECT COUNT(*) FROM event_deliveries d JOIN modules m ON m.name = d.module
             WHERE d.state = 'pending' AND d.available_at < {now+$1} AND m.paused_at IS NULL) AS overdue,
            (SELECT COUNT(*) FROM event_deliveries WHERE state = 'dead') AS dead_letters",
);

impl Store {
    /// Looks for what stands still for longer than `limit`.
    pub(crate) async fn health(&self, limit: Duration) -> Result<Health, StoreError> {
        let mut connection = self.read().await?;
        let missing = || StoreError::Sql(sqlx::Error::RowNotFound);
        let server = connection.fetch(&SERVER, Vec::new()).await?.pop().ok_or_else(missing)?;
        let nodes = connection.fetch(&LIVE_NODES, Vec::new()).await?;
        let node = |row: &super::Row| Ok(NodeHealth { host: row.get("host")?, version: row.get("version")? });
        let standing = connection.fetch(&STANDING_STILL, crate::args![-micros(limit)]).await?;
        let standing = standing.first().ok_or_else(missing)?;
        Ok(Health {
            database_version: server.get("version")?,
            database_time: server.get("now")?,
            durable: server.get("durable")?,
            nodes: nodes.iter().map(node).collect::<Result<_, StoreError>>()?,
            dead_nodes: standing.get("dead_nodes")?,
            stuck_events: standing.get("stuck")?,
            overdue: standing.get("overdue")?,
            dead_letters: standing.get("dead_letters")?,
        })
    }
}
