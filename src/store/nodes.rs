//! Nodes: who is alive, by the database's clock, and what the dead left behind.

use std::time::Duration;

use uuid::Uuid;

use super::sql::Statement;
use super::{Row, Store, StoreError, Transaction, until_no_conflict};
use crate::delivery::NodeId;

/// A node that has just signed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registered {
    pub(crate) node: NodeId,
    /// No event of this node will have a lower sequence number.
    pub(crate) start_seq: i64,
}

/// What a heartbeat found.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// The lease had not ended before.
    pub(crate) alive: bool,
    /// Nodes whose lease runs, this one included.
    pub(crate) live_nodes: u32,
    /// Nodes whose lease has ended.
    pub(crate) expired: Vec<NodeId>,
}

pub(super) static REGISTER: Statement = Statement::new(
    "INSERT INTO nodes (id, started_at, heartbeat_at, lease_until, low_water, host, version)
     SELECT $1, {now}, {now}, {now+$2},
            {sqlite:COALESCE((SELECT max(seq) FROM system_events), 0) + 1}
            {postgres:COALESCE(pg_sequence_last_value(pg_get_serial_sequence('system_events', 'seq')::regclass), 0) + 1},
            $3, $4
     RETURNING low_water",
);

/// Renews a lease. A node that was buried while it was asleep is there again.
pub(super) static BEAT: Statement = Statement::new(
    "INSERT INTO nodes (id, started_at, heartbeat_at, lease_until, low_water, host, version)
     VALUES ($1, {now}, {now}, {now+$2}, $3, $4, $5)
     ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, lease_until = excluded.lease_until,
                                    low_water = excluded.low_water",
);

pub(super) static LEASES: Statement =
    Statement::new("SELECT id, lease_until > {now} AS alive FROM nodes ORDER BY started_at");

/// Makes rows of what an expired node owed: for each target that has no row yet.
pub(super) static ADOPT_ROWS: Statement = Statement::new(
    "INSERT INTO event_deliveries (event_id, module, state, available_at, seq, ordering_key)
     SELECT e.id, m.value, 'pending', {now}, e.seq, e.ordering_key
     FROM system_events e
     JOIN event_routes r ON r.id = e.route_id
     {sqlite:JOIN json_each(r.modules) m}
     {postgres:CROSS JOIN LATERAL jsonb_array_elements_text(r.modules) AS m (value)}
     WHERE e.id {in $1}
     ON CONFLICT (event_id, module) DO NOTHING",
);

pub(super) static ORPHANS: Statement = Statement::new(
    "SELECT e.id FROM system_events e
     WHERE e.seq >= (SELECT low_water FROM nodes WHERE id = $1) AND e.owner = $1
     ORDER BY e.seq LIMIT $2 {lock}",
);

pub(super) static STILL_OWNED: Statement =
    Statement::new("SELECT id FROM system_events WHERE id {in $1} AND owner = $2 {lock}");

pub(super) static RELEASE_ADOPTED: Statement =
    Statement::new("UPDATE system_events SET owner = NULL, adoptions = adoptions + $2 WHERE id {in $1}");

pub(super) static FREE_ROWS: Statement =
    Statement::new("UPDATE event_deliveries SET owner = NULL WHERE owner = $1 AND state = 'pending'");

pub(super) static BURY: Statement = Statement::new(
    "DELETE FROM nodes WHERE id = $1 {postgres:AND lease_until <= now()}
     AND NOT EXISTS (SELECT 1 FROM system_events e WHERE e.seq >= nodes.low_water AND e.owner = nodes.id)",
);

pub(super) static LEAVE: Statement = Statement::new("DELETE FROM nodes WHERE id = $1");

pub(super) static LEAVE_LEASES: Statement =
    Statement::new("UPDATE modules SET leased_to = NULL, lease_until = NULL WHERE leased_to = $1");

impl Store {
    /// Signs this process on as a node. On SQLite it becomes the only one.
    pub(crate) async fn register_node(
        &self,
        version: &str,
        lease: Duration,
    ) -> Result<Registered, StoreError> {
        let node = Uuid::now_v7();
        #[cfg(feature = "sqlite")]
        if self.has_one_writer() {
            self.lock_node(node)?;
        }
        let mut transaction = self.begin_write().await?;
        let rows = transaction.query(&REGISTER, crate::args![node, micros(lease), host(), version]).await?;
        let start_seq = rows.first().ok_or(StoreError::Sql(sqlx::Error::RowNotFound))?.get("low_water")?;
        transaction.commit().await?;
        Ok(Registered { node, start_seq })
    }

    /// Renews the lease, moves the low-water mark, and looks who else is there.
    pub(crate) async fn heartbeat(
        &self,
        node: NodeId,
        lease: Duration,
        low_water: i64,
    ) -> Result<Heartbeat, StoreError> {
        let mut transaction = self.begin_write().await?;
        let rows = transaction.query(&LEASES, Vec::new()).await?;
        let values = crate::args![node, micros(lease), low_water, host(), env!("CARGO_PKG_VERSION")];
        transaction.run(&BEAT, values).await?;
        transaction.commit().await?;
        let mut beat = Heartbeat { alive: false, live_nodes: 0, expired: Vec::new() };
        for row in rows {
            let (id, alive): (Uuid, bool) = (row.get("id")?, row.get("alive")?);
            // Who holds the lock of an SQLite file is its only node.
            let gone = !alive || self.has_one_writer();
            match (id == node, gone) {
                (true, _) => {
                    beat.alive = alive;
                    beat.live_nodes += 1;
                }
                (false, true) => beat.expired.push(id),
                (false, false) => beat.live_nodes += 1,
            }
        }
        Ok(beat)
    }

    /// Makes rows of what up to `limit` events of an expired node still owe, and
    /// returns how many events that were. Rows that it had claimed are free again.
    pub(crate) async fn adopt(&self, dead: NodeId, limit: u32) -> Result<u32, StoreError> {
        until_no_conflict!(self.free(dead, limit, 1))
    }

    /// Makes rows of those of `ids` that are stored and owned by `node`, and returns how many were.
    pub(crate) async fn rescue(&self, node: NodeId, ids: &[Uuid]) -> Result<u32, StoreError> {
        until_no_conflict!(self.free_some(node, ids))
    }

    /// Forgets an expired node that owes nothing any more.
    pub(crate) async fn bury(&self, dead: NodeId) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        transaction.run(&BURY, crate::args![dead]).await?;
        transaction.commit().await
    }

    /// Signs off. What the node still owned becomes rows first; that counts as no adoption.
    pub(crate) async fn leave(&self, node: NodeId) -> Result<(), StoreError> {
        while until_no_conflict!(self.free(node, 500, 0))? > 0 {}
        until_no_conflict!(self.sign_off(node))
    }

    async fn sign_off(&self, node: NodeId) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        transaction.run(&FREE_ROWS, crate::args![node]).await?;
        transaction.run(&LEAVE_LEASES, crate::args![node]).await?;
        transaction.run(&LEAVE, crate::args![node]).await?;
        transaction.commit().await
    }

    async fn free(&self, node: NodeId, limit: u32, adoptions: i64) -> Result<u32, StoreError> {
        let mut transaction = self.begin_write().await?;
        let found = transaction.query(&ORPHANS, crate::args![node, limit]).await?;
        let freed = self.make_rows(&mut transaction, &found, adoptions).await?;
        transaction.run(&FREE_ROWS, crate::args![node]).await?;
        transaction.commit().await?;
        Ok(freed)
    }

    async fn free_some(&self, node: NodeId, ids: &[Uuid]) -> Result<u32, StoreError> {
        let mut transaction = self.begin_write().await?;
        let found = transaction.query(&STILL_OWNED, crate::args![ids.to_vec(), node]).await?;
        let freed = self.make_rows(&mut transaction, &found, 0).await?;
        transaction.commit().await?;
        Ok(freed)
    }

    /// Makes rows of what the events in `found` still owe, and returns how many events those were.
    async fn make_rows(
        &self,
        transaction: &mut Transaction,
        found: &[Row],
        adoptions: i64,
    ) -> Result<u32, StoreError> {
        let ids: Vec<Uuid> = found.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
        if !ids.is_empty() {
            transaction.run(&ADOPT_ROWS, crate::args![ids.clone()]).await?;
            transaction.run(&RELEASE_ADOPTED, crate::args![ids.clone(), adoptions]).await?;
            self.finish(transaction, &ids).await?;
        }
        Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} (pid {})", name.trim(), std::process::id())
}

/// A duration as the statements want it.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
