//! Delivery rows: their writing, their outcomes, and what those mean for the event.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::nodes::micros;
use super::sql::Statement;
use super::{Store, StoreError, Transaction};
use crate::delivery::{Failure, NewRow, Next, NodeId, RowChange, Settlement};

/// Acknowledgements by one module, for the transaction that did the work.
#[derive(Debug, Clone)]
pub(crate) struct Receipts {
    pub(crate) module: Arc<str>,
    /// The deliveries have no rows yet.
    pub(crate) live: bool,
    /// Each event with the number of the attempt.
    pub(crate) deliveries: Vec<(Uuid, u32)>,
}

pub(super) static WRITE_ROWS: Statement = Statement::new(
    "INSERT INTO event_deliveries (event_id, module, state, attempts, available_at, seq, ordering_key, errors)
     SELECT r.event_id, r.module, r.state, r.attempts, {now+r.delay}, e.seq, e.ordering_key,
            {sqlite:CASE WHEN r.error IS NULL THEN '[]' ELSE json_array(json_set(r.error, '$.at', {now})) END}
            {postgres:CASE WHEN r.error IS NULL THEN '[]'::jsonb
                      ELSE jsonb_build_array(jsonb_set(r.error, '{at}', to_jsonb(now()))) END}
     FROM {rows $1 AS r(event_id uuid, module text, state text, attempts bigint, delay bigint, error jsonb)}
     JOIN system_events e ON e.id = r.event_id AND e.owner = $2
     ON CONFLICT (event_id, module) DO NOTHING",
);

/// Only the attempt that holds a row may change it: who lost its claim changes nothing.
pub(super) static CHANGE_ROWS: Statement = Statement::new(
    "UPDATE event_deliveries SET
         state = r.state, owner = NULL, updated_at = {now},
         attempts = event_deliveries.attempts - r.taken_back,
         available_at = CASE WHEN r.state = 'pending' THEN {now+r.delay} ELSE event_deliveries.available_at END,
         errors = CASE WHEN r.error IS NULL THEN event_deliveries.errors ELSE
             {sqlite:(SELECT json_group_array(json(value) ORDER BY key) FROM (SELECT key, value FROM json_each(
                 json_insert(event_deliveries.errors, '$[#]', json(json_set(r.error, '$.at', {now}))))
                 ORDER BY key DESC LIMIT 20))}
             {postgres:(SELECT jsonb_agg(value ORDER BY position) FROM (SELECT value, position FROM jsonb_array_elements(
                 event_deliveries.errors || jsonb_set(r.error, '{at}', to_jsonb(now()))) WITH ORDINALITY AS t (value, position)
                 ORDER BY position DESC LIMIT 20) AS last)} END
     FROM {rows $1 AS r(event_id uuid, module text, attempt bigint, state text, delay bigint, taken_back bigint, error jsonb)}
     WHERE event_deliveries.event_id = r.event_id AND event_deliveries.module = r.module
       AND event_deliveries.owner = $2 AND event_deliveries.attempts = r.attempt AND event_deliveries.state = 'pending'",
);

/// Two finishers of one event meet on its row: each locks it first and then looks.
pub(super) static LOCK_EVENTS: Statement =
    Statement::new("SELECT id FROM system_events WHERE id {in $1} ORDER BY id {lock}");

/// Lets go of events that went well. It locks each row, so that the next statement may look.
macro_rules! release {
    ($events:literal) => {
        concat!("UPDATE system_events SET owner = NULL WHERE id {in ", $events, "} AND owner = $2")
    };
}

/// Finishes those that nobody owes any more: what had become rows was acknowledged meanwhile.
/// The rows are looked at first: most events have one that is pending, and are not looked up again.
/// The state is counted, not sought: a plan that is made while there are few rows must find them by their key,
/// neither by joining all of them nor by walking the index of what is pending.
macro_rules! finish_released {
    ($events:literal) => {
        concat!(
            "UPDATE system_events SET processed_at = {now}
             WHERE id IN (SELECT r.id FROM {sqlite:(SELECT unhex(value) AS id FROM json_each(",
            $events,
            ")) AS r}{postgres:unnest(",
            $events,
            "::uuid[]) AS r(id)}
                          WHERE (SELECT COUNT(CASE WHEN d.state = 'pending' THEN 1 END) FROM event_deliveries d
                                 WHERE d.event_id = r.id) = 0)
               AND owner IS NULL AND processed_at IS NULL
             RETURNING id"
        )
    };
}

pub(super) static RELEASE: Statement = Statement::new(release!("$1"));

pub(super) static FINISH_RELEASED: Statement = Statement::new(finish_released!("$1"));

#[cfg(feature = "sqlite")]
pub(super) use {finish_released, release};

/// Lets go of events of which something failed, and finishes those that nobody owns and nobody owes.
pub(super) static FINISH: Statement = Statement::new(
    "UPDATE system_events SET
         owner = CASE WHEN owner = $2 AND r.released THEN NULL ELSE owner END,
         processed_at = CASE
             WHEN processed_at IS NOT NULL THEN processed_at
             WHEN owner IS NOT NULL AND NOT (owner = $2 AND r.released) THEN NULL
             WHEN (SELECT COUNT(CASE WHEN d.state = 'pending' THEN 1 END) FROM event_deliveries d
                   WHERE d.event_id = system_events.id) > 0 THEN NULL
             ELSE {now} END,
         error = (SELECT {sqlite:d.errors ->> '$[#-1].message'}{postgres:d.errors -> -1 ->> 'message'}
                  FROM event_deliveries d
                  WHERE d.event_id = system_events.id AND d.state IN ('pending', 'dead')
                    AND {sqlite:d.errors <> '[]'}{postgres:d.errors <> '[]'::jsonb}
                  ORDER BY d.updated_at DESC, d.module LIMIT 1)
     FROM {rows $1 AS r(event_id uuid, released boolean)}
     WHERE id = r.event_id
     RETURNING id, processed_at IS NOT NULL AS processed",
);

pub(super) static RECEIPTS_LIVE: Statement = Statement::new(
    "INSERT INTO event_deliveries (event_id, module, state, attempts, available_at, seq, ordering_key)
     SELECT id, $2, 'acked', 1, {now}, seq, ordering_key FROM system_events WHERE id {in $1}",
);

pub(super) static RECEIPTS_CLAIMED: Statement = Statement::new(
    "UPDATE event_deliveries SET state = 'acked', owner = NULL, updated_at = {now}
     FROM {rows $1 AS r(event_id uuid, attempt bigint)}
     WHERE event_deliveries.event_id = r.event_id AND event_deliveries.module = $2
       AND event_deliveries.owner = $3 AND event_deliveries.attempts = r.attempt AND event_deliveries.state = 'pending'",
);

impl Store {
    /// Writes the acknowledgements of deliveries into the transaction that did their work.
    ///
    /// Fails with [`StoreError::ClaimLost`] if another attempt has one of the deliveries.
    pub(crate) async fn acknowledge(
        &self,
        transaction: &mut Transaction,
        node: NodeId,
        receipts: &Receipts,
    ) -> Result<(), StoreError> {
        let lost =
            |error: StoreError| if error.is_unique_violation() { StoreError::ClaimLost } else { error };
        let ids: Vec<Uuid> = receipts.deliveries.iter().map(|(event_id, _)| *event_id).collect();
        let written = if receipts.live {
            let values = crate::args![ids.clone(), &receipts.module];
            transaction.run(&RECEIPTS_LIVE, values).await.map_err(lost)?
        } else {
            let row = |(event_id, attempt): &(Uuid, u32)| json!({ "event_id": event_id.simple().to_string(), "attempt": attempt });
            let rows: Json = receipts.deliveries.iter().map(row).collect();
            transaction.run(&RECEIPTS_CLAIMED, crate::args![rows, &receipts.module, node]).await?
        };
        if written != ids.len() as u64 {
            return Err(StoreError::ClaimLost);
        }
        if !receipts.live {
            self.finish(transaction, &ids).await?;
        }
        Ok(())
    }

    /// Writes everything of a settlement but its completed events; returns the events that this finished.
    pub(super) async fn settle_rows(
        &self,
        transaction: &mut Transaction,
        node: NodeId,
        settlement: &Settlement,
    ) -> Result<Vec<Uuid>, StoreError> {
        if !settlement.rows.is_empty() {
            transaction.run(&WRITE_ROWS, crate::args![new_rows(&settlement.rows), node]).await?;
        }
        if !settlement.changes.is_empty() {
            transaction.run(&CHANGE_ROWS, crate::args![changes(&settlement.changes), node]).await?;
        }
        let failed = settlement.rows.iter().filter(|row| row.failure.is_some()).map(|row| row.event_id);
        let changed = settlement.changes.iter().map(|change| change.event_id);
        let mut touched: BTreeMap<Uuid, bool> = changed.chain(failed).map(|id| (id, false)).collect();
        let mut released = settlement.released.clone();
        // What was touched anyway is let go of by the statement that looks for errors too.
        released.retain(|id| touched.get_mut(id).map(|released| *released = true).is_none());
        let mut finished = self.finish_and_release(transaction, node, &touched).await?;
        if !released.is_empty() {
            transaction.run(&RELEASE, crate::args![released.clone(), node]).await?;
            for row in transaction.query(&FINISH_RELEASED, crate::args![released]).await? {
                finished.push(row.get("id")?);
            }
        }
        Ok(finished)
    }

    /// Finishes those of `ids` that nobody owns and nobody owes.
    pub(super) async fn finish(
        &self,
        transaction: &mut Transaction,
        ids: &[Uuid],
    ) -> Result<Vec<Uuid>, StoreError> {
        let touched = ids.iter().map(|id| (*id, false)).collect();
        self.finish_and_release(transaction, Uuid::nil(), &touched).await
    }

    /// For each event: whether `node` lets go of it.
    async fn finish_and_release(
        &self,
        transaction: &mut Transaction,
        node: NodeId,
        touched: &BTreeMap<Uuid, bool>,
    ) -> Result<Vec<Uuid>, StoreError> {
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        if !self.has_one_writer() {
            let ids: Vec<Uuid> = touched.keys().copied().collect();
            transaction.query(&LOCK_EVENTS, crate::args![ids]).await?;
        }
        let events: Json = touched
            .iter()
            .map(|(id, released)| json!({ "event_id": id.simple().to_string(), "released": released }))
            .collect();
        let rows = transaction.query(&FINISH, crate::args![events, node]).await?;
        let mut finished = Vec::new();
        for row in rows {
            if row.get("processed")? {
                finished.push(row.get("id")?);
            }
        }
        Ok(finished)
    }
}

fn new_rows(rows: &[NewRow]) -> Json {
    rows.iter()
        .map(|row| {
            let (state, delay) = state_of(row.next);
            json!({
                "event_id": row.event_id.simple().to_string(), "module": &*row.module, "state": state,
                "attempts": row.attempts, "delay": delay, "error": error(row.failure.as_ref(), row.attempts),
            })
        })
        .collect()
}

fn changes(changes: &[RowChange]) -> Json {
    changes
        .iter()
        .map(|change| {
            let (state, delay) = state_of(change.next);
            json!({
                "event_id": change.event_id.simple().to_string(), "module": &*change.module, "attempt": change.attempt,
                "state": state, "delay": delay, "taken_back": i64::from(matches!(change.next, Next::Untried(_))),
                "error": error(change.failure.as_ref(), change.attempt),
            })
        })
        .collect()
}

fn state_of(next: Next) -> (&'static str, i64) {
    match next {
        Next::Acked => ("acked", 0),
        Next::Dead => ("dead", 0),
        Next::Pending(delay) | Next::Untried(delay) => ("pending", micros(delay)),
    }
}

fn error(failure: Option<&Failure>, attempt: u32) -> Option<Json> {
    let failure = failure?;
    Some(json!({ "attempt": attempt, "kind": failure.kind, "message": failure.message }))
}
