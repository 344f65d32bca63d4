//! The rows that are written with new events, for modules that get them from the store.

use std::collections::BTreeMap;

use super::super::sql::Statement;
use super::super::{StoreError, Transaction};
use crate::delivery::{Routed, SpilledRow};

/// SQLite: one writer, so what a commit inserted is the range that ends with its last number.
#[cfg(feature = "sqlite")]
macro_rules! spill_all {
    ($events:literal, $modules:literal) => {
        concat!(
            "WITH clock AS MATERIALIZED (SELECT {now} AS now)
             INSERT INTO event_deliveries
                 (event_id, module, state, available_at, seq, ordering_key, created_at, updated_at)
             SELECT e.id, m.value, 'pending', clock.now, e.seq, e.ordering_key, clock.now, clock.now
             FROM clock CROSS JOIN json_each(",
            $modules,
            ") m CROSS JOIN system_events e WHERE e.seq > last_insert_rowid() - ",
            $events,
            " AND e.seq <= last_insert_rowid()"
        )
    };
}

#[cfg(feature = "sqlite")]
pub(in crate::store) static SPILL_ALL: Statement = Statement::new(spill_all!("$1", "$2"));

#[cfg(feature = "sqlite")]
pub(super) use spill_all;

pub(in crate::store) static SPILL: Statement = Statement::new(
    "INSERT INTO event_deliveries (event_id, module, state, available_at, seq, ordering_key)
     SELECT e.id, r.module, 'pending', {now}, e.seq, e.ordering_key
     FROM {rows $1 AS r(event_id uuid, module text)}
     JOIN system_events e ON e.id = r.event_id
     ON CONFLICT (event_id, module) DO NOTHING",
);

/// Which modules get new events from the store.
#[derive(Debug, Default)]
pub(crate) struct Spill<'a> {
    /// They get all events of the commit so: nobody needs to list them.
    pub(super) all: Vec<String>,
    pub(super) rest: Vec<&'a SpilledRow>,
}

impl<'a> Spill<'a> {
    pub(super) fn new(events: usize, rows: &'a [SpilledRow]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in rows {
            *counts.entry(&row.module).or_default() += 1;
        }
        counts.retain(|_, count| *count == events);
        let rest = rows.iter().filter(|row| !counts.contains_key(&*row.module)).collect();
        Self { all: counts.into_keys().map(str::to_owned).collect(), rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.rest.is_empty()
    }

    /// Writes the rows that the INSERT of the events has not written itself.
    pub(super) async fn write(
        &self,
        transaction: &mut Transaction,
        events: &[Routed],
    ) -> Result<(), StoreError> {
        #[cfg(feature = "sqlite")]
        if !self.all.is_empty() && transaction.database() == super::DatabaseKind::Sqlite {
            let values = crate::args![i64::try_from(events.len()).unwrap_or(i64::MAX), self.all.clone()];
            transaction.run(&SPILL_ALL, values).await?;
        }
        if !self.rest.is_empty() {
            let row = |row: &&SpilledRow| {
                let id = events[row.event_index as usize].envelope.id.simple().to_string();
                serde_json::json!({ "event_id": id, "module": &*row.module })
            };
            let rows: serde_json::Value = self.rest.iter().map(row).collect();
            transaction.run(&SPILL, crate::args![rows]).await?;
        }
        Ok(())
    }
}
