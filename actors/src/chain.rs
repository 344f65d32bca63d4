//! Follows what an event caused, until nothing of it is left to do.

use std::time::Duration;

use stentor::audit::{EventFilter, EventRecord, EventState, PAGE_MAX};
use stentor::{Client, StoreError};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

/// How often the store is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until every event of the chain that `correlation_id` names is processed.
///
/// An event is stored before the one that caused it counts as processed, so once
/// nothing is unprocessed, nothing more will come. There is no limit to the wait:
/// wrap it in a timeout.
///
/// # Errors
///
/// Fails if the store does.
pub async fn settled(client: &Client, correlation_id: Uuid) -> Result<(), StoreError> {
    let open = EventFilter {
        state: Some(EventState::Unprocessed),
        correlation_id: Some(correlation_id),
        ..EventFilter::default()
    };
    let mut tick = tokio::time::interval(POLL_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if client.events(&open, None, 1).await?.items.is_empty() {
            return Ok(());
        }
    }
}

/// Returns every event of the chain that `correlation_id` names, oldest first.
///
/// # Errors
///
/// Fails if the store does.
pub async fn events(client: &Client, correlation_id: Uuid) -> Result<Vec<EventRecord>, StoreError> {
    let filter = EventFilter { correlation_id: Some(correlation_id), ..EventFilter::default() };
    let (mut events, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.events(&filter, cursor, PAGE_MAX).await?;
        events.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            events.reverse();
            return Ok(events);
        }
    }
}
