//! Publishing together with the caller's own writes.

use std::sync::Arc;

use uuid::Uuid;

use super::Bus;
use crate::event::{Event, assert_event_type};
use crate::publication::{Publication, PublishError, Submission};
use crate::services::Services;
use crate::store::{StoreError, Transaction, insert_unrouted};
use crate::worker::commit::commit_with_events;

pub use crate::store::OutboxConnection;

impl Bus {
    /// Stores an event in the caller's own transaction: it is published when
    /// that transaction commits, and never if it rolls back.
    ///
    /// Takes a connection of sqlx, `&mut *tx` of a transaction, to the bus's
    /// database. The bus finds the event within a poll interval of the commit.
    /// For a transaction on a connection of the bus see [`Bus::begin`].
    ///
    /// # Errors
    ///
    /// Fails if the event breaks a limit, if its id is taken, or the statement fails.
    pub async fn publish_in<E: Event>(
        &self,
        connection: &mut impl OutboxConnection,
        event: impl Into<Publication<E>>,
    ) -> Result<Uuid, PublishError> {
        const { assert_event_type::<E>() };
        let submission = event.into().seal(self.inner.services.payload_bytes_max)?;
        insert_unrouted(connection, &submission.envelope)
            .await
            .map_err(|error| PublishError::Store(error.to_string()))?;
        Ok(submission.envelope.id)
    }

    /// Opens a transaction whose writes and events commit together.
    ///
    /// Its events are on the live path right after the commit. On SQLite it
    /// holds up every other writer: keep it short.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot open a transaction.
    pub async fn begin(&self) -> Result<BusTransaction, StoreError> {
        Ok(BusTransaction {
            services: Arc::clone(&self.inner.services),
            transaction: self.inner.services.store.begin_delivery().await?,
            submissions: Vec::new(),
        })
    }
}

/// A transaction on the bus's database whose writes and events commit together.
///
/// Dropped without [`BusTransaction::commit`], it is rolled back.
#[derive(Debug)]
pub struct BusTransaction {
    services: Arc<Services>,
    transaction: Transaction,
    submissions: Vec<Submission>,
}

impl BusTransaction {
    /// Publishes `event` when the transaction commits, and returns its id.
    ///
    /// # Errors
    ///
    /// Fails if the event breaks a limit.
    pub fn publish<E: Event>(&mut self, event: impl Into<Publication<E>>) -> Result<Uuid, PublishError> {
        const { assert_event_type::<E>() };
        let submission = event.into().seal(self.services.payload_bytes_max)?;
        let id = submission.envelope.id;
        self.submissions.push(submission);
        Ok(id)
    }

    /// Commits everything, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// Fails if the store fails; unless the connection broke while committing,
    /// nothing of the transaction happened.
    pub async fn commit(self) -> Result<(), StoreError> {
        if self.submissions.is_empty() {
            return self.transaction.commit().await;
        }
        commit_with_events(&self.services, self.transaction, self.submissions).await
    }
}

impl std::ops::Deref for BusTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl std::ops::DerefMut for BusTransaction {
    fn deref_mut(&mut self) -> &mut Transaction {
        &mut self.transaction
    }
}
