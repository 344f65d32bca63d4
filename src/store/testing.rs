//! What a test asks of the store and nobody else does: what still moves, and a clock to advance.

#[cfg(feature = "testing")]
use std::time::Duration;

#[cfg(feature = "testing")]
use uuid::Uuid;

#[cfg(feature = "testing")]
use super::nodes::micros;
use super::sql::Statement;
#[cfg(feature = "testing")]
use super::{Row, Store, StoreError};

/// One line for each pending row of each event that is not processed, or for the event if it has none.
///
/// A row that is due may still have to wait: for an earlier one of its key, if its module keeps order.
pub(super) static UNFINISHED: Statement = Statement::new(
    "SELECT e.id, e.type, d.module,
            (e.owner IS NOT NULL OR e.route_id IS NULL OR d.module IS NULL OR d.owner IS NOT NULL) AS is_held,
            COALESCE(d.available_at <= {now}, TRUE) AS is_due,
            EXISTS (SELECT 1 FROM event_deliveries p
                    WHERE p.module = d.module AND p.ordering_key = d.ordering_key AND p.seq < d.seq
                      AND p.state = 'pending' AND p.owner IS NULL AND p.available_at > {now}) AS follows_later,
            EXISTS (SELECT 1 FROM event_deliveries p
                    WHERE p.module = d.module AND p.ordering_key = d.ordering_key AND p.seq < d.seq
                      AND p.state = 'dead') AS follows_dead
     FROM system_events e LEFT JOIN event_deliveries d ON d.event_id = e.id AND d.state = 'pending'
     WHERE (e.id = $1 OR e.correlation_id = $1) AND e.processed_at IS NULL
     ORDER BY e.seq, d.module",
);

pub(super) static ADVANCE: Statement = Statement::new(
    "UPDATE event_deliveries
     SET available_at = available_at - {sqlite:$1}{postgres:$1 * interval '1 microsecond'}
     WHERE state = 'pending'",
);

/// For the test that prepares all statements.
#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
pub(super) static STATEMENTS: &[&Statement] = &[&UNFINISHED, &ADVANCE];

/// A delivery that is not finished, or an event of which no delivery is known yet.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) module: Option<String>,
    pub(crate) standing: Standing,
}

/// What a delivery waits for.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing {
    /// A node has it in memory, or is yet to route its event.
    Held,
    /// Its time has not come.
    Later,
    /// It may be claimed, unless its module keeps order and an earlier row of its key may not.
    Due {
        /// An earlier one is due later.
        follows_later: bool,
        /// An earlier one is dead.
        follows_dead: bool,
    },
}

#[cfg(feature = "testing")]
impl Store {
    /// Returns what is not finished of the chain that `chain_id` names, all as of one moment.
    pub(crate) async fn unfinished(&self, chain_id: Uuid) -> Result<Vec<Unfinished>, StoreError> {
        let rows = self.read().await?.fetch(&UNFINISHED, crate::args![chain_id]).await?;
        rows.iter().map(unfinished).collect()
    }

    /// Makes everything that waits for its time due that much earlier.
    pub(crate) async fn advance(&self, by: Duration) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        transaction.run(&ADVANCE, crate::args![micros(by)]).await?;
        transaction.commit().await
    }
}

#[cfg(feature = "testing")]
fn unfinished(row: &Row) -> Result<Unfinished, StoreError> {
    let standing = match (row.get("is_held")?, row.get("is_due")?) {
        (true, _) => Standing::Held,
        (false, false) => Standing::Later,
        (false, true) => {
            Standing::Due { follows_later: row.get("follows_later")?, follows_dead: row.get("follows_dead")? }
        }
    };
    Ok(Unfinished {
        event_id: row.get("id")?,
        event_type: row.get("type")?,
        module: row.get("module")?,
        standing,
    })
}
