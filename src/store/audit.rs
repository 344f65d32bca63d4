//! Questions about the past.

use std::collections::HashSet;

use uuid::Uuid;

use super::sql::{Row, Statement};
use super::{Store, StoreError};
use crate::audit::{
    DeliveryFilter, DeliveryRecord, EventDetail, EventFilter, EventRecord, EventState, PAGE_MAX, Page,
};
use crate::delivery::DeliveryState;

macro_rules! event_columns {
    () => {
        "e.id, e.seq, e.type, e.payload, e.created_at, e.processed_at, e.error, e.created_by, \
         {sqlite:e.ip_address}{postgres:host(e.ip_address)} AS ip_address, e.user_agent, e.correlation_id, \
         e.causation_id, e.ordering_key, e.schema_version"
    };
}

macro_rules! events_where {
    ($condition:expr) => {
        concat!("SELECT ", event_columns!(), " FROM system_events e WHERE e.seq < $1 AND ", $condition,
                " AND ($3 IS NULL OR e.created_at >= $3) AND ($4 IS NULL OR e.created_at < $4)
                  AND ($5 IS NULL OR ($5 = 'processed') = (e.processed_at IS NOT NULL)) ORDER BY e.seq DESC LIMIT $2")
    };
}

// One statement a question, so that each can use its own index.
pub(super) static EVENTS: Statement = Statement::new(events_where!("1 = 1"));
pub(super) static EVENTS_OF_TYPE: Statement = Statement::new(events_where!("e.type = $6"));
pub(super) static EVENTS_OF_CHAIN: Statement = Statement::new(events_where!(
    "($7 IS NULL OR e.type = $7) AND (NOT $8 OR e.error IS NOT NULL)
                  AND (e.correlation_id = $6 OR e.id = $6)"
));
pub(super) static FAILED_EVENTS: Statement = Statement::new(events_where!("e.error IS NOT NULL"));
pub(super) static FAILED_EVENTS_OF_TYPE: Statement =
    Statement::new(events_where!("e.error IS NOT NULL AND e.type = $6"));

pub(super) static EVENT: Statement =
    Statement::new(concat!("SELECT ", event_columns!(), " FROM system_events e WHERE e.id = $1"));

pub(super) static CHAIN: Statement = Statement::new(concat!(
    "SELECT ",
    event_columns!(),
    " FROM system_events e WHERE e.correlation_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT 10000"
));

pub(super) static DELIVERIES_OF_EVENT: Statement = Statement::new(
    "SELECT event_id, seq, type, module, state, attempts, available_at, errors, updated_at
     FROM deliveries WHERE event_id = $1 ORDER BY module",
);

pub(super) static DELIVERIES: Statement = Statement::new(
    "SELECT d.event_id, d.seq, e.type, d.module, d.state, d.attempts, d.available_at, d.errors, d.updated_at
     FROM event_deliveries d JOIN system_events e ON e.id = d.event_id
     WHERE ($2 IS NULL OR d.module = $2) AND ($3 IS NULL OR d.state = $3) AND ($4 IS NULL OR e.type = $4)
     ORDER BY d.seq DESC, d.module LIMIT $1",
);

impl Store {
    /// Returns a page of events, newest first.
    pub(crate) async fn events(
        &self,
        filter: &EventFilter,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<Page<EventRecord>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let state = filter.state.and_then(|state| match state {
            EventState::Failed => None,
            EventState::Processed => Some("processed"),
            EventState::Unprocessed => Some("unprocessed"),
        });
        let mut values = crate::args![cursor.unwrap_or(i64::MAX), limit, filter.since, filter.until, state];
        let failed = filter.state == Some(EventState::Failed);
        let statement = match (&filter.correlation_id, &filter.event_type, failed) {
            (Some(chain), event_type, failed) => {
                values.extend(crate::args![*chain, event_type.clone(), failed]);
                &EVENTS_OF_CHAIN
            }
            (None, Some(event_type), failed) => {
                values.extend(crate::args![event_type]);
                if failed { &FAILED_EVENTS_OF_TYPE } else { &EVENTS_OF_TYPE }
            }
            (None, None, true) => &FAILED_EVENTS,
            (None, None, false) => &EVENTS,
        };
        let rows = self.read().await?.fetch(statement, values).await?;
        let items = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = items.last().filter(|_| items.len() >= limit as usize).map(|last| last.seq);
        Ok(Page { items, next_cursor })
    }

    /// Returns one event with its deliveries and what it caused.
    pub(crate) async fn event(&self, id: Uuid) -> Result<Option<EventDetail>, StoreError> {
        let mut connection = self.read().await?;
        let rows = connection.fetch(&EVENT, crate::args![id]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let found = event(row)?;
        let deliveries = connection.fetch(&DELIVERIES_OF_EVENT, crate::args![id]).await?;
        let chain = found.correlation_id.unwrap_or(id);
        let rows = connection.fetch(&CHAIN, crate::args![chain, found.seq]).await?;
        let mut known = HashSet::from([id]);
        let mut caused = Vec::new();
        for row in &rows {
            let later = event(row)?;
            if later.causation_id.is_some_and(|cause| known.contains(&cause)) {
                known.insert(later.id);
                caused.push(later);
            }
        }
        Ok(Some(EventDetail {
            event: found,
            deliveries: deliveries.iter().map(delivery).collect::<Result<_, _>>()?,
            caused,
        }))
    }

    /// Returns the deliveries that have rows, newest first; those of one event whether they have or not.
    pub(crate) async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let mut connection = self.read().await?;
        if let Some(id) = filter.event_id {
            let rows = connection.fetch(&DELIVERIES_OF_EVENT, crate::args![id]).await?;
            let mut found = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
            found.retain(|delivery| filter.admits(delivery));
            return Ok(found);
        }
        let state = filter.state.map(state_name);
        let values =
            crate::args![limit.clamp(1, PAGE_MAX), filter.module.clone(), state, filter.event_type.clone()];
        connection.fetch(&DELIVERIES, values).await?.iter().map(delivery).collect()
    }
}

pub(super) fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Acked => "acked",
        DeliveryState::Dead => "dead",
        DeliveryState::Cancelled => "cancelled",
    }
}

fn event(row: &Row) -> Result<EventRecord, StoreError> {
    Ok(EventRecord {
        id: row.get("id")?,
        seq: row.get("seq")?,
        event_type: row.get("type")?,
        payload: row.get("payload")?,
        created_at: row.get("created_at")?,
        processed_at: row.get("processed_at")?,
        error: row.get("error")?,
        created_by: row.get("created_by")?,
        ip_address: row.get("ip_address")?,
        user_agent: row.get("user_agent")?,
        correlation_id: row.get("correlation_id")?,
        causation_id: row.get("causation_id")?,
        ordering_key: row.get("ordering_key")?,
        schema_version: row.get("schema_version")?,
    })
}

fn delivery(row: &Row) -> Result<DeliveryRecord, StoreError> {
    let state: String = row.get("state")?;
    Ok(DeliveryRecord {
        event_id: row.get("event_id")?,
        event_type: row.get("type")?,
        module: row.get("module")?,
        state: match state.as_str() {
            "acked" => DeliveryState::Acked,
            "dead" => DeliveryState::Dead,
            "cancelled" => DeliveryState::Cancelled,
            _ => DeliveryState::Pending,
        },
        attempts: row.get("attempts")?,
        available_at: row.get("available_at")?,
        errors: row.get("errors")?,
        updated_at: row.get("updated_at")?,
    })
}
