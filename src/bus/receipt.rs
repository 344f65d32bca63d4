//! The publisher's receipt: what is known of an event once it is durable.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::Bus;
use crate::broker::Input;
use crate::services::Services;

/// Says that an event is durable, and lets its publisher wait until it is processed.
#[derive(Debug, Clone)]
pub struct Receipt {
    services: Arc<Services>,
    id: Uuid,
    duplicate: bool,
}

/// The bus stopped before the event was processed. It goes on at the next start.
#[derive(Debug, thiserror::Error)]
#[error("the bus stopped before event {id} was processed; it goes on at the next start")]
pub struct WaitError {
    id: Uuid,
}

impl Receipt {
    pub(super) fn new(bus: &Bus, id: Uuid, duplicate: bool) -> Self {
        Self { services: Arc::clone(&bus.inner.services), id, duplicate }
    }

    /// Returns the event's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns whether the event had been stored before, under the same id.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// Waits until every target has acknowledged the event or was parked as a dead letter.
    ///
    /// There is no limit to the wait: wrap it in a timeout if a module may be paused.
    ///
    /// # Errors
    ///
    /// Fails if the bus stops before.
    pub async fn processed(&self) -> Result<(), WaitError> {
        let (reply, answer) = oneshot::channel();
        self.services.inbox.push(Input::Watch { id: self.id, reply });
        answer.await.map_err(|_| WaitError { id: self.id })
    }
}
