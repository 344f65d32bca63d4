//! Follows what an event caused, until nothing of it is left to do.

use std::time::{Duration, Instant};

use stentor::audit::{EventFilter, EventRecord, EventState};
use stentor::{Client, StoreError};
use uuid::Uuid;

/// The shortest pause between two questions to the store.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_millis(250);

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
    let start = Instant::now();
    while !client.events(&open, None, 1).await?.items.is_empty() {
        // A tenth of the time so far: short chains are noticed at once, long ones are not slowed down by questions.
        tokio::time::sleep((start.elapsed() / 10).clamp(PAUSE_MIN, PAUSE_MAX)).await;
    }
    Ok(())
}

/// Returns every event of the chain that `correlation_id` names, oldest first.
///
/// # Errors
///
/// Fails if the store does.
pub async fn events(client: &Client, correlation_id: Uuid) -> Result<Vec<EventRecord>, StoreError> {
    let filter = EventFilter { correlation_id: Some(correlation_id), ..EventFilter::default() };
    client.all_events(&filter).await
}
