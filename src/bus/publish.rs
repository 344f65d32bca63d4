//! Publishing: an event is durable when the call returns.

use std::collections::HashSet;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Bus, Receipt};
use crate::broker::{PublishRequest, Stored};
use crate::event::{Event, assert_event_type};
use crate::publication::{Publication, PublishError, RawEvent, Submission, without_repeats};
use crate::store::StoreError;
use crate::worker::commit::route;

/// How many events of one [`Bus::publish_all`] become durable together.
const CHUNK: usize = 1_000;

impl Bus {
    /// Publishes an event; when the call returns, it is committed on disk and
    /// every module that is subscribed to its type will get it.
    ///
    /// Takes an event, or a [`Publication`] that carries metadata or an id.
    /// Publishing an id that is stored already with the same content stores
    /// nothing and succeeds. Dropping the future publishes nevertheless, if the
    /// bus has taken the event.
    ///
    /// # Errors
    ///
    /// Fails if the event breaks a limit, if its id is taken by another event,
    /// if the bus is shutting down, or if the store fails.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)] struct Opened { door: u32 }
    /// # impl stentor::Event for Opened { const TYPE: &'static str = "door.opened"; }
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}", folder.path().join("bus.db").display());
    /// let bus = stentor::Bus::builder().database(url).start().await?;
    /// let receipt = bus.publish(Opened { door: 7 }).await?;
    /// receipt.processed().await?;
    /// # bus.shutdown(std::time::Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn publish<E: Event>(&self, event: impl Into<Publication<E>>) -> Result<Receipt, PublishError> {
        const { assert_event_type::<E>() };
        let submission = event.into().seal(self.inner.services.payload_bytes_max)?;
        let (id, id_given) = (submission.envelope.id, submission.id_given);
        let stored = self.submit([submission], id_given).await?;
        Ok(Receipt::new(self, id, stored.duplicates.contains(&id)))
    }

    /// Publishes many events, a thousand to a commit, and returns their receipts in order.
    ///
    /// # Errors
    ///
    /// As [`Bus::publish`]. A limit that any event breaks fails the call before
    /// anything is stored; a failure of the store may come after some
    /// thousands are.
    pub async fn publish_all<E, I>(&self, events: I) -> Result<Vec<Receipt>, PublishError>
    where
        E: Event,
        I: IntoIterator,
        I::Item: Into<Publication<E>>,
    {
        const { assert_event_type::<E>() };
        let bytes_max = self.inner.services.payload_bytes_max;
        let sealed: Result<Vec<Submission>, PublishError> =
            events.into_iter().map(|event| event.into().seal(bytes_max)).collect();
        self.submit_chunks(sealed?).await
    }

    /// Publishes an event that comes from outside, checked against the catalogue.
    ///
    /// # Errors
    ///
    /// As [`Bus::publish`], and if the catalogue does not know the type or the payload does not fit it.
    pub async fn publish_raw(&self, event: RawEvent) -> Result<Receipt, PublishError> {
        let submission = event.seal(&self.catalogue(), self.inner.services.payload_bytes_max)?;
        let (id, id_given) = (submission.envelope.id, submission.id_given);
        let stored = self.submit([submission], id_given).await?;
        Ok(Receipt::new(self, id, stored.duplicates.contains(&id)))
    }

    async fn submit_chunks(&self, submissions: Vec<Submission>) -> Result<Vec<Receipt>, PublishError> {
        let ids: Vec<Uuid> = submissions.iter().map(|submission| submission.envelope.id).collect();
        let distinct = without_repeats(submissions).map_err(|(_, error)| error)?;
        let mut rest = distinct.into_iter().peekable();
        let mut known = HashSet::new();
        while rest.peek().is_some() {
            let chunk: Vec<Submission> = rest.by_ref().take(CHUNK).collect();
            let ids_given = chunk.iter().any(|submission| submission.id_given);
            known.extend(self.submit(chunk, ids_given).await?.duplicates);
        }
        // The second of two with one id finds the first one stored.
        Ok(ids.into_iter().map(|id| Receipt::new(self, id, !known.insert(id))).collect())
    }

    async fn submit(
        &self,
        submissions: impl IntoIterator<Item = Submission, IntoIter: ExactSizeIterator>,
        ids_given: bool,
    ) -> Result<Stored, PublishError> {
        let services = &self.inner.services;
        let events = route(services, submissions).await.map_err(|error| match error {
            StoreError::Stopped => PublishError::ShuttingDown,
            error => PublishError::Store(error.to_string()),
        })?;
        let (reply, answer) = oneshot::channel();
        services.publish(PublishRequest { events, ids_given, duplicates: Vec::new(), reply });
        answer.await.unwrap_or(Err(PublishError::ShuttingDown))
    }
}
