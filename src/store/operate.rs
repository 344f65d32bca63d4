//! What an operator does to deliveries: redrive, cancel, replay.

use serde_json::json;
use uuid::Uuid;

use super::sql::Statement;
use super::{Store, StoreError, until_no_conflict};
use crate::audit::{DeliveryFilter, EventFilter};

/// A dead letter is due again, with all of its attempts. `processed_at` stays as it was first set.
pub(super) static REDRIVE: Statement = Statement::new(
    "UPDATE event_deliveries SET state = 'pending', attempts = 0, available_at = {now}, owner = NULL, updated_at = {now}
     WHERE state IN ('dead', 'cancelled') AND ($1 IS NULL OR event_id = $1) AND ($2 IS NULL OR module = $2)
       AND ($3 IS NULL OR EXISTS (SELECT 1 FROM system_events e WHERE e.id = event_deliveries.event_id AND e.type = $3))
       AND (state = 'dead' OR $1 IS NOT NULL)
     RETURNING event_id",
);

pub(super) static CANCEL: Statement = Statement::new(
    "UPDATE event_deliveries SET state = 'cancelled', owner = NULL, updated_at = {now}
     WHERE state IN ('pending', 'dead') AND ($1 IS NULL OR event_id = $1) AND ($2 IS NULL OR module = $2)
       AND ($3 IS NULL OR EXISTS (SELECT 1 FROM system_events e WHERE e.id = event_deliveries.event_id AND e.type = $3))
     RETURNING event_id",
);

pub(super) static REPLAYABLE: Statement = Statement::new(
    "SELECT e.id FROM system_events e
     WHERE e.processed_at IS NOT NULL AND ($1 IS NULL OR e.id = $1) AND ($2 IS NULL OR e.type = $2)
       AND ($3 IS NULL OR e.created_at >= $3) AND ($4 IS NULL OR e.created_at < $4)
     ORDER BY e.seq",
);

pub(super) static UNSUBSCRIBED: Statement = Statement::new(
    "SELECT DISTINCT e.type FROM system_events e
     WHERE e.id {in $1}
       AND NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.module = $2 AND s.event_type = e.type)",
);

/// The events are locked, so that retention does not delete them under their new rows.
pub(super) static REPLAY: Statement = Statement::new(
    "INSERT INTO event_deliveries (event_id, module, state, available_at, seq, ordering_key, errors)
     SELECT e.id, $2, 'pending', {now}, e.seq, e.ordering_key,
            {sqlite:json_array(json_set($3, '$.at', {now}))}
            {postgres:jsonb_build_array(jsonb_set($3::jsonb, '{at}', to_jsonb(now())))}
     FROM system_events e WHERE e.id {in $1} {postgres:FOR KEY SHARE}
     ON CONFLICT (event_id, module) DO UPDATE SET
         state = 'pending', attempts = 0, available_at = {now}, owner = NULL, updated_at = {now},
         errors = {sqlite:json_insert(event_deliveries.errors, '$[#]', json_extract(excluded.errors, '$[0]'))}
                  {postgres:event_deliveries.errors || excluded.errors}
     WHERE event_deliveries.state <> 'pending'",
);

/// Events in one statement of a replay.
const REPLAY_BATCH: usize = 1_000;

impl Store {
    /// Makes dead letters pending again, and returns how many.
    pub(crate) async fn redrive(&self, filter: &DeliveryFilter) -> Result<u64, StoreError> {
        self.change_deliveries(&REDRIVE, filter).await
    }

    /// Gives up pending and dead deliveries, and returns how many.
    pub(crate) async fn cancel(&self, filter: &DeliveryFilter) -> Result<u64, StoreError> {
        self.change_deliveries(&CANCEL, filter).await
    }

    /// Gives up everything that a module still owes.
    pub(crate) async fn cancel_module(&self, module: &str) -> Result<u64, StoreError> {
        let filter = DeliveryFilter { module: Some(module.to_owned()), ..DeliveryFilter::default() };
        self.cancel(&filter).await
    }

    async fn change_deliveries(
        &self,
        statement: &'static Statement,
        filter: &DeliveryFilter,
    ) -> Result<u64, StoreError> {
        let changed = until_no_conflict!(self.change_and_finish(statement, filter))?;
        self.notify().await;
        Ok(changed)
    }

    async fn change_and_finish(
        &self,
        statement: &'static Statement,
        filter: &DeliveryFilter,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin_write().await?;
        let values = crate::args![filter.event_id, filter.module.clone(), filter.event_type.clone()];
        let rows = transaction.query(statement, values).await?;
        let mut events: Vec<Uuid> = rows.iter().map(|row| row.get("event_id")).collect::<Result<_, _>>()?;
        events.sort_unstable();
        events.dedup();
        self.finish(&mut transaction, &events).await?;
        transaction.commit().await?;
        Ok(rows.len() as u64)
    }

    /// Counts the processed events that a replay would deliver.
    pub(crate) async fn replayable(
        &self,
        event: Option<Uuid>,
        filter: &EventFilter,
    ) -> Result<Vec<Uuid>, StoreError> {
        let values = crate::args![event, filter.event_type.clone(), filter.since, filter.until];
        let rows = self.read().await?.fetch(&REPLAYABLE, values).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Returns a type among events that a module does not subscribe to.
    pub(crate) async fn unsubscribed(
        &self,
        events: &[Uuid],
        module: &str,
    ) -> Result<Option<String>, StoreError> {
        let mut connection = self.read().await?;
        for batch in events.chunks(REPLAY_BATCH) {
            let rows = connection.fetch(&UNSUBSCRIBED, crate::args![batch.to_vec(), module]).await?;
            if let Some(row) = rows.first() {
                return row.get("type").map(Some);
            }
        }
        Ok(None)
    }

    /// Delivers processed events again to one module; the reason is kept with each delivery.
    pub(crate) async fn replay(
        &self,
        events: &[Uuid],
        module: &str,
        reason: &str,
    ) -> Result<u64, StoreError> {
        let note = json!({ "attempt": 0, "kind": "replay", "message": crate::error::clean(reason) });
        let mut replayed = 0;
        for batch in events.chunks(REPLAY_BATCH) {
            replayed += self.write_one(&REPLAY, crate::args![batch.to_vec(), module, note.clone()]).await?;
        }
        self.notify().await;
        Ok(replayed)
    }
}
