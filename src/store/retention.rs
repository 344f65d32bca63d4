//! Retention: processed events that are old enough are deleted, with their deliveries.

use std::time::Duration;

use super::nodes::micros;
use super::sql::Statement;
use super::{Store, StoreError};

/// Events that one transaction deletes.
const BATCH: u32 = 1_000;

macro_rules! old_events {
    () => {
        "FROM system_events e WHERE e.created_at < {now+$1} AND e.processed_at IS NOT NULL AND e.owner IS NULL"
    };
}
macro_rules! kept {
    () => {
        "EXISTS (SELECT 1 FROM event_deliveries d WHERE d.event_id = e.id AND d.state IN ('pending', 'dead'))"
    };
}

pub(super) static PRUNE: Statement = Statement::new(concat!(
    "DELETE FROM system_events WHERE id IN (SELECT e.id ",
    old_events!(),
    " AND NOT ",
    kept!(),
    " ORDER BY e.seq LIMIT $2 {skip locked})"
));

pub(super) static PRUNABLE: Statement = Statement::new(concat!(
    "SELECT COUNT(CASE WHEN NOT ",
    kept!(),
    " THEN 1 END) AS prunable, COUNT(CASE WHEN ",
    kept!(),
    " THEN 1 END) AS kept ",
    old_events!()
));

impl Store {
    /// Counts the events that retention would delete, and those that it keeps for their dead letters.
    pub(crate) async fn prunable(&self, older_than: Duration) -> Result<(u64, u64), StoreError> {
        let rows = self.read().await?.fetch(&PRUNABLE, crate::args![-micros(older_than)]).await?;
        let row = rows.first().ok_or(StoreError::Sql(sqlx::Error::RowNotFound))?;
        let count = |name| Ok::<_, StoreError>(u64::try_from(row.get::<i64>(name)?).unwrap_or(0));
        Ok((count("prunable")?, count("kept")?))
    }

    /// Deletes events, a batch to a transaction, and returns how many.
    pub(crate) async fn prune(&self, older_than: Duration) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let count = self.write_one(&PRUNE, crate::args![-micros(older_than), BATCH]).await?;
            pruned += count;
            if count < u64::from(BATCH) {
                return Ok(pruned);
            }
        }
    }
}
