//! A client: publishes, reads, redrives and replays, and delivers nothing itself.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::runtime::Handle;
use uuid::Uuid;

use crate::audit::{
    DeliveryFilter, DeliveryRecord, EventDetail, EventFilter, EventRecord, Health, ModuleRecord, PAGE_MAX,
    Page, Stats,
};
use crate::catalogue::Catalogue;
use crate::delivery::{Route, Routed};
use crate::publication::{PAYLOAD_BYTES_MAX, PublishError, RawEvent, Submission, without_repeats};
use crate::services::Services;
use crate::store::{
    BUS_MIGRATIONS, CommitError, MigrationSet, MigrationStatus, Store, StoreError, StoreOptions,
};

/// A connection to a bus's database from any process: never a node itself.
///
/// What it publishes is found, routed and delivered by a node, now or when one starts.
#[derive(Debug, Clone)]
pub struct Client {
    store: Store,
    payload_bytes_max: usize,
}

/// An event that a client stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub id: Uuid,
    /// It had been stored before, with the same content.
    pub duplicate: bool,
}

/// Events could not be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The module has no handler for one of them; none was replayed.
    #[error("module {module:?} does not subscribe to {event_type}, so it cannot get it again")]
    NotSubscribed {
        /// The module.
        module: String,
        /// The event's type.
        event_type: String,
    },
    /// The store failed; thousands that were replayed before stay so.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Client {
    /// Opens the database. Call it within a tokio runtime that outlives the client.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be reached, or its schema is not this build's.
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let client = Self::open_any(options).await?;
        client.store.require_current_schema().await?;
        Ok(client)
    }

    /// Opens the database whatever its schema, to bring it up to date.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be reached.
    pub async fn open_any(options: &StoreOptions) -> Result<Self, StoreError> {
        Ok(Self {
            store: Store::open(options, Handle::current()).await?,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
        })
    }

    pub(crate) fn of(services: &Services) -> Self {
        Self { store: services.store.clone(), payload_bytes_max: services.payload_bytes_max }
    }

    /// Stores events, all or none, checked against `catalogue`.
    ///
    /// Those that are stored already with the same content count as stored.
    ///
    /// # Errors
    ///
    /// Fails, with the position of the event, if one breaks a limit, does not fit its type or has an id
    /// that is taken; nothing is stored then.
    pub async fn publish(
        &self,
        events: Vec<RawEvent>,
        catalogue: &Catalogue,
    ) -> Result<Vec<Submitted>, (usize, PublishError)> {
        let seal = |(position, event): (usize, RawEvent)| {
            event.seal(catalogue, self.payload_bytes_max).map_err(|error| (position, error))
        };
        let submissions: Vec<Submission> =
            events.into_iter().enumerate().map(seal).collect::<Result<_, _>>()?;
        let ids: Vec<Uuid> = submissions.iter().map(|submission| submission.envelope.id).collect();
        let mut known = self.insert(without_repeats(submissions)?, &ids).await?;
        // The second of two with one id finds the first one stored.
        Ok(ids.into_iter().map(|id| Submitted { id, duplicate: !known.insert(id) }).collect())
    }

    /// Stores what is not stored yet, and returns the ids of what was.
    async fn insert(
        &self,
        submissions: Vec<Submission>,
        ids: &[Uuid],
    ) -> Result<HashSet<Uuid>, (usize, PublishError)> {
        let route = Arc::new(Route::none());
        let routed =
            |submission: Submission| Routed { envelope: submission.envelope, route: Arc::clone(&route) };
        let mut events: Vec<Routed> = submissions.into_iter().map(routed).collect();
        let mut known = HashSet::new();
        while !events.is_empty() {
            match self.store.insert_as_client(&events).await {
                Ok(()) => break,
                Err(CommitError::Store(error)) => return Err((0, PublishError::Store(error.to_string()))),
                Err(CommitError::Duplicates(duplicates)) => {
                    if let Some(conflict) = duplicates.iter().find(|duplicate| !duplicate.same) {
                        let position = ids.iter().position(|id| *id == conflict.id).unwrap_or(0);
                        return Err((position, PublishError::Conflict(conflict.id)));
                    }
                    known.extend(duplicates.iter().map(|duplicate| duplicate.id));
                    events.retain(|event| !known.contains(&event.envelope.id));
                }
            }
        }
        Ok(known)
    }

    /// Returns whether an event is processed.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn is_processed(&self, id: Uuid) -> Result<bool, StoreError> {
        Ok(!self.store.processed_among(&[id]).await?.is_empty())
    }

    /// Returns what happened to events stored since `since`, the failing and the slow first.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn stats(&self, since: time::OffsetDateTime) -> Result<Stats, StoreError> {
        self.store.stats(since).await
    }

    /// Looks for what stands still for longer than `limit`, and for what else an operator should know.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn health(&self, limit: std::time::Duration) -> Result<Health, StoreError> {
        self.store.health(limit).await
    }

    /// Counts the events that [`Client::prune`] would delete, and those that it would keep.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn prunable(&self, older_than: std::time::Duration) -> Result<(u64, u64), StoreError> {
        self.store.prunable(older_than).await
    }

    /// Deletes processed events stored longer ago than `older_than`, with their deliveries, and returns how many.
    ///
    /// An event that has a dead letter or a pending delivery is kept. A thousand events are deleted
    /// to a transaction, so an interruption leaves some of them deleted. The database's clock decides.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn prune(&self, older_than: std::time::Duration) -> Result<u64, StoreError> {
        self.store.prune(older_than).await
    }

    /// Returns a page of events, newest first; `cursor` is the `next_cursor` of the page before.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn events(
        &self,
        filter: &EventFilter,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<Page<EventRecord>, StoreError> {
        self.store.events(filter, cursor, limit).await
    }

    /// Returns every event that a filter picks, oldest first.
    ///
    /// All of them are held in memory: for a chain or a day, not for a year.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn all_events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, StoreError> {
        let (mut events, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.events(filter, cursor, PAGE_MAX).await?;
            events.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                events.reverse();
                return Ok(events);
            }
        }
    }

    /// Returns an event with its deliveries and everything that it caused.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn event(&self, id: Uuid) -> Result<Option<EventDetail>, StoreError> {
        self.store.event(id).await
    }

    /// Returns deliveries, newest first. Without an event id these are the ones that could not
    /// finish on the live path: retries, dead letters, what waits, and receipts.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.store.deliveries(filter, limit).await
    }

    /// Makes dead letters pending again, with all of their attempts, and returns how many.
    ///
    /// A cancelled delivery is redriven only when its event is named.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn redrive(&self, filter: &DeliveryFilter) -> Result<u64, StoreError> {
        self.store.redrive(filter).await
    }

    /// Gives up deliveries that wait in the store or are dead, and returns how many.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn cancel(&self, filter: &DeliveryFilter) -> Result<u64, StoreError> {
        self.store.cancel(filter).await
    }

    /// Returns the processed events that a replay would deliver: one, or those that a filter picks.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn replayable(
        &self,
        event: Option<Uuid>,
        filter: &EventFilter,
    ) -> Result<Vec<Uuid>, StoreError> {
        self.store.replayable(event, filter).await
    }

    /// Delivers events again to one module, and returns how many; `reason` is kept with each delivery.
    ///
    /// # Errors
    ///
    /// Fails if the module does not subscribe to the type of one of them, or if the store fails.
    pub async fn replay(&self, events: &[Uuid], module: &str, reason: &str) -> Result<u64, ReplayError> {
        if let Some(event_type) = self.store.unsubscribed(events, module).await? {
            return Err(ReplayError::NotSubscribed { module: module.to_owned(), event_type });
        }
        Ok(self.store.replay(events, module, reason).await?)
    }

    /// Returns all modules that subscribed and were not removed, by name.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn modules(&self) -> Result<Vec<ModuleRecord>, StoreError> {
        self.store.modules().await
    }

    /// Returns who subscribes to which type.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn subscriptions(&self) -> Result<std::collections::BTreeMap<String, Vec<String>>, StoreError> {
        self.store.subscriptions().await
    }

    /// Holds a module's deliveries in the store, wherever it runs; false if there is none of that name.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn pause(&self, module: &str) -> Result<bool, StoreError> {
        self.store.pause(module).await
    }

    /// Ends a pause; false if there is no module of that name.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn resume(&self, module: &str) -> Result<bool, StoreError> {
        self.store.resume(module).await
    }

    /// Forgets a module that runs nowhere any more: its subscriptions end, and what it owes is cancelled.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn remove_module(&self, module: &str) -> Result<bool, StoreError> {
        self.store.remove_module(module).await
    }

    /// Brings the bus's schema and then `sets` up to date, and returns how many migrations ran.
    ///
    /// # Errors
    ///
    /// Fails if the schema is newer than this build, or a migration fails; its set is unchanged then.
    pub async fn migrate(&self, sets: &[&'static MigrationSet]) -> Result<usize, StoreError> {
        let mut count = self.store.migrate().await?;
        for set in sets {
            count += self.store.migrate_set(set).await?;
        }
        Ok(count)
    }

    /// Returns the state of the bus's migrations and then of `sets`.
    ///
    /// # Errors
    ///
    /// Fails if a schema is newer than this build.
    pub async fn migration_status(
        &self,
        sets: &[&'static MigrationSet],
    ) -> Result<Vec<MigrationStatus>, StoreError> {
        let mut status = self.store.migration_status(&BUS_MIGRATIONS).await?;
        for set in sets {
            status.extend(self.store.migration_status(set).await?);
        }
        Ok(status)
    }

    /// Runs a query that only reads, for an embedder's own tables: one SQL text for both databases.
    ///
    /// # Errors
    ///
    /// Fails if the database refuses the statement.
    pub async fn fetch_all(&self, sql: &str, args: Vec<crate::Value>) -> Result<Vec<crate::Row>, StoreError> {
        self.store.fetch_all(sql, args).await
    }

    /// Returns which database this is.
    #[must_use]
    pub fn database_kind(&self) -> crate::DatabaseKind {
        self.store.database_kind()
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
