//! Modules as the store knows them: paused or not, leased to whom.

use std::time::Duration;

use uuid::Uuid;

use super::nodes::micros;
use super::sql::Statement;
use super::{Store, StoreError};
use crate::audit::ModuleRecord;
use crate::delivery::NodeId;

pub(super) static PAUSE: Statement =
    Statement::new("UPDATE modules SET paused_at = COALESCE(paused_at, {now}) WHERE name = $1");

pub(super) static RESUME: Statement = Statement::new("UPDATE modules SET paused_at = NULL WHERE name = $1");

pub(super) static IS_PAUSED: Statement =
    Statement::new("SELECT name FROM modules WHERE name = $1 AND paused_at IS NOT NULL");

/// Takes a module's lease: from another node only when that is buried. Until then it may own events
/// on the live path, which come before whatever rows there are.
pub(super) static LEASE: Statement = Statement::new(
    "UPDATE modules SET leased_to = $2, lease_until = {now+$3}
     WHERE name = $1 AND (leased_to IS NULL OR leased_to = $2
                          OR NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = modules.leased_to))",
);

pub(super) static END_LEASE: Statement = Statement::new(
    "UPDATE modules SET leased_to = NULL, lease_until = NULL WHERE name = $1 AND leased_to = $2",
);

pub(super) static REMOVE: Statement = Statement::new("DELETE FROM modules WHERE name = $1");

pub(super) static MODULES: Statement = Statement::new(
    "SELECT m.name, m.paused_at, m.created_at,
            {sqlite:(SELECT json_group_array(event_type) FROM (SELECT event_type FROM subscriptions s WHERE s.module = m.name ORDER BY 1))}
            {postgres:(SELECT COALESCE(jsonb_agg(event_type ORDER BY event_type), '[]') FROM subscriptions s WHERE s.module = m.name)}
                AS subscriptions,
            (SELECT count(*) FROM event_deliveries d WHERE d.module = m.name AND d.state = 'pending') AS pending,
            (SELECT count(*) FROM event_deliveries d WHERE d.module = m.name AND d.state = 'dead') AS dead
     FROM modules m ORDER BY m.name",
);

pub(super) static PROCESSED: Statement =
    Statement::new("SELECT id FROM system_events WHERE id {in $1} AND processed_at IS NOT NULL");

impl Store {
    /// Pauses a module; false if there is none of that name.
    pub(crate) async fn pause(&self, module: &str) -> Result<bool, StoreError> {
        Ok(self.write_one(&PAUSE, crate::args![module]).await? > 0)
    }

    /// Resumes a module; false if there is none of that name.
    pub(crate) async fn resume(&self, module: &str) -> Result<bool, StoreError> {
        Ok(self.write_one(&RESUME, crate::args![module]).await? > 0)
    }

    pub(crate) async fn is_paused(&self, module: &str) -> Result<bool, StoreError> {
        let rows = self.read().await?.fetch(&IS_PAUSED, crate::args![module]).await?;
        Ok(!rows.is_empty())
    }

    /// Takes or renews the lease of a module that runs on one node at a time.
    pub(crate) async fn lease_module(
        &self,
        module: &str,
        node: NodeId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        Ok(self.write_one(&LEASE, crate::args![module, node, micros(lease)]).await? > 0)
    }

    /// Gives a module's lease back, so that another node may run it.
    pub(crate) async fn end_module_lease(&self, module: &str, node: NodeId) -> Result<(), StoreError> {
        self.write_one(&END_LEASE, crate::args![module, node]).await.map(drop)
    }

    /// Forgets a module with its subscriptions; what it owes is cancelled.
    pub(crate) async fn remove_module(&self, module: &str) -> Result<bool, StoreError> {
        self.cancel_module(module).await?;
        Ok(self.write_one(&REMOVE, crate::args![module]).await? > 0)
    }

    /// Returns all modules that ever subscribed and were not removed.
    pub(crate) async fn modules(&self) -> Result<Vec<ModuleRecord>, StoreError> {
        let rows = self.read().await?.fetch(&MODULES, Vec::new()).await?;
        rows.iter()
            .map(|row| {
                let subscriptions: serde_json::Value = row.get("subscriptions")?;
                Ok(ModuleRecord {
                    name: row.get("name")?,
                    paused_at: row.get("paused_at")?,
                    subscriptions: serde_json::from_value(subscriptions).unwrap_or_default(),
                    pending: row.get("pending")?,
                    dead: row.get("dead")?,
                })
            })
            .collect()
    }

    /// Returns those of `ids` that are processed.
    pub(crate) async fn processed_among(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let rows = self.read().await?.fetch(&PROCESSED, crate::args![ids.to_vec()]).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    pub(super) async fn write_one(
        &self,
        statement: &'static Statement,
        values: Vec<super::Value>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin_write().await?;
        let changed = transaction.run(statement, values).await?;
        transaction.commit().await?;
        Ok(changed)
    }
}
