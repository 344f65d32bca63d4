//! Waits until nothing of a chain of events is left to do.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{TestBus, TestError};
use crate::audit::{DeliveryFilter, DeliveryRecord, EventDetail, EventRecord};
use crate::breaker::BreakerState;
use crate::bus::Bus;
use crate::catalogue::typed;
use crate::delivery::{DeliveryState, KeyOrder};
use crate::event::Event;
use crate::module::{ModuleHealth, ModuleState};
use crate::publication::Publication;
use crate::store::{Standing, Unfinished};

/// How long a question to the store stays answered if the bus does not say that something moved.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What became of an event and of everything that it caused.
#[derive(Debug)]
pub struct Settled {
    /// The event.
    pub event: EventRecord,
    /// All events that it caused, directly or not, in the order of the log.
    pub caused: Vec<EventRecord>,
    /// The deliveries of the event and then those of each that it caused.
    pub deliveries: Vec<DeliveryRecord>,
}

impl Settled {
    /// Returns whether every target of every event has acknowledged it or was parked: nothing waits for its time.
    #[must_use]
    pub fn is_processed(&self) -> bool {
        self.events().all(|event| event.processed_at.is_some())
    }

    /// Returns where the event's own delivery to `module` stands; `None` if it was no target.
    #[must_use]
    pub fn state(&self, module: &str) -> Option<DeliveryState> {
        self.delivery(module).map(|delivery| delivery.state)
    }

    /// Returns the event's own delivery to `module`, with its attempts and errors.
    #[must_use]
    pub fn delivery(&self, module: &str) -> Option<&DeliveryRecord> {
        self.deliveries
            .iter()
            .find(|delivery| delivery.event_id == self.event.id && delivery.module == module)
    }

    /// Returns what it caused of one type, in the order of the log.
    ///
    /// # Errors
    ///
    /// Fails if a payload does not fit the type.
    pub fn caused_of<E: Event>(&self) -> Result<Vec<E>, TestError> {
        decoded(&self.caused)
    }

    fn events(&self) -> impl Iterator<Item = &EventRecord> {
        std::iter::once(&self.event).chain(&self.caused)
    }
}

impl TestBus {
    /// Publishes an event and waits until it is settled; see [`TestBus::settle`].
    ///
    /// # Errors
    ///
    /// As [`Bus::publish`] and [`TestBus::settle`].
    pub async fn publish_and_settle<E: Event>(
        &self,
        event: impl Into<Publication<E>>,
    ) -> Result<Settled, TestError> {
        let receipt = self.publish(event).await?;
        self.settle(receipt.id()).await
    }

    /// Waits until nothing of an event and of its chain is left to do *now*, and returns what became of it.
    ///
    /// A delivery is settled when its module has acknowledged it, when it is parked or cancelled, and
    /// also when only time or an operator can move it: a retry that is not due yet ([`TestBus::advance`]
    /// makes it so), a module that is paused, a breaker that is open, an ordering key that waits for one
    /// of these. So a handler that fails does not make a test wait for its backoff.
    ///
    /// Everything with the event's correlation id is waited for. The bus says when something moved;
    /// the store is asked again then, and every 20 ms in case somebody else wrote to it.
    ///
    /// # Errors
    ///
    /// Fails if there is no such event, if the store fails, or with [`TestError::Unsettled`], which names
    /// what still moves, after the [patience](TestBus::patience) of the bus.
    pub async fn settle(&self, id: Uuid) -> Result<Settled, TestError> {
        let (bus, patience) = (Bus::clone(self), self.patience);
        // In a task of the bus: a timer needs a runtime, and the caller may have none.
        let settling = self.services().runtime.spawn(async move { settle(&bus, id, patience).await });
        settling.await.unwrap_or(Err(TestError::Stopped))
    }
}

async fn settle(bus: &Bus, id: Uuid, patience: Duration) -> Result<Settled, TestError> {
    let event = detail(bus, id).await?.event;
    let chain_id = event.correlation_id.unwrap_or(id);
    let mut moving = Vec::new();
    let resting = tokio::time::timeout(patience, rest(bus, chain_id, &mut moving)).await;
    match resting {
        Ok(rested) => rested?,
        Err(_) => return Err(TestError::Unsettled { patience, moving: moving.join(", ") }),
    }
    report(bus, id).await
}

/// Waits until nothing of a chain moves; `moving` holds what did when it last looked.
async fn rest(bus: &Bus, chain_id: Uuid, moving: &mut Vec<String>) -> Result<(), TestError> {
    let services = Arc::clone(bus.services());
    let mut progress = services.progress.watch();
    loop {
        let before = *progress.borrow_and_update();
        // First the modules, then the store: what a module let go of in between counts as moving.
        let modules = bus.modules().await.map_err(|_| TestError::Stopped)?;
        let unfinished = services.store.unfinished(chain_id).await?;
        moving.clear();
        moving.extend(unfinished.iter().filter(|one| !waits(bus, &modules, one)).map(describe));
        // A dead letter counts as such before it is announced. The announcement is an event of the chain.
        if moving.is_empty() && before.begun == before.ended && *progress.borrow() == before {
            return Ok(());
        }
        // A sign or the interval, whichever comes first: either way it is time to look.
        drop(tokio::time::timeout(ASK_AGAIN, progress.changed()).await);
    }
}

/// Returns whether only time or an operator can move a delivery.
fn waits(bus: &Bus, modules: &[ModuleHealth], one: &Unfinished) -> bool {
    let (follows_later, follows_dead) = match one.standing {
        Standing::Held => return false,
        Standing::Later => return true,
        Standing::Due { follows_later, follows_dead } => (follows_later, follows_dead),
    };
    let name = one.module.as_deref().unwrap_or_default();
    let Some(module) = modules.iter().find(|module| module.name == name) else {
        return true;
    };
    let mut breakers = module.breakers.iter();
    let order = bus.services().order_of(name);
    module.state == ModuleState::Paused
        || breakers.any(|breaker| breaker.event_type == one.event_type && breaker.state == BreakerState::Open)
        || (follows_later && order != KeyOrder::Unordered)
        || (follows_dead && order == KeyOrder::OrderedHoldingDead)
}

fn describe(one: &Unfinished) -> String {
    let (event_type, id) = (&one.event_type, one.event_id);
    match &one.module {
        Some(module) => format!("{event_type} {id} at module {module}"),
        None => format!("{event_type} {id}"),
    }
}

async fn detail(bus: &Bus, id: Uuid) -> Result<EventDetail, TestError> {
    bus.client().event(id).await?.ok_or(TestError::UnknownEvent(id))
}

async fn report(bus: &Bus, id: Uuid) -> Result<Settled, TestError> {
    let EventDetail { event, deliveries, caused } = detail(bus, id).await?;
    let mut settled = Settled { event, caused, deliveries };
    for index in 0..settled.caused.len() {
        let filter = DeliveryFilter { event_id: Some(settled.caused[index].id), ..DeliveryFilter::default() };
        settled.deliveries.extend(bus.client().deliveries(&filter, u32::MAX).await?);
    }
    Ok(settled)
}

/// Decodes those of `events` that are of type `E`.
pub(super) fn decoded<E: Event>(events: &[EventRecord]) -> Result<Vec<E>, TestError> {
    let of_type = events.iter().filter(|event| event.event_type == E::TYPE);
    let decoded = of_type.map(|event| {
        let version = u32::try_from(event.schema_version).unwrap_or(u32::MAX);
        typed(&event.payload.to_string(), version)
    });
    Ok(decoded.collect::<Result<_, _>>()?)
}
