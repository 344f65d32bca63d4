//! What a node does beside delivering: its lease, adoption, routing, polling.
//!
//! Each is a small loop or a task of the bus's runtime. They touch the store
//! and tell the broker; none of them holds state that must survive.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::broker::{Input, PublishRequest};
use crate::envelope::Metadata;
use crate::event::Event;
use crate::ledger::DeadLetter;
use crate::publication::Publication;
use crate::services::Services;
use crate::worker::commit::route;

mod heart;
mod listener;
mod poller;

pub(crate) use heart::Heart;
pub(crate) use listener::listen;
pub(crate) use poller::poll;

/// How often a doubtful commit is looked up.
const RESCUE_EVERY: Duration = Duration::from_millis(500);
/// How many events one statement routes, rescues or adopts.
pub(crate) const BATCH: u32 = 500;

/// Something in the system needs an operator: a delivery used up its attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SystemError {
    /// The module that failed.
    pub source: String,
    /// Its last error.
    pub error: String,
    /// The event that it failed on.
    pub original_event: OriginalEvent,
}

/// The event that a module failed on; its payload stays where it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OriginalEvent {
    /// The event's id.
    pub id: Uuid,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
}

impl Event for SystemError {
    const TYPE: &'static str = "system.error";
}

/// Announces a dead letter, unless it is itself such an announcement.
pub(crate) fn publish_system_error(services: &Arc<Services>, dead: DeadLetter) {
    if &*dead.envelope.event_type == SystemError::TYPE {
        return;
    }
    let publication = Publication::new(SystemError {
        source: dead.module.to_string(),
        error: dead.failure.message,
        original_event: OriginalEvent {
            id: dead.envelope.id,
            event_type: dead.envelope.event_type.to_string(),
        },
    })
    .correlation_id(dead.envelope.chain_id());
    let causes = |metadata: &mut Metadata| metadata.causation_id = Some(dead.envelope.id);
    let submission = match publication.seal_with(services.payload_bytes_max, causes) {
        Ok(submission) => submission,
        Err(error) => return tracing::error!(%error, "system.error could not be published"),
    };
    #[cfg(feature = "testing")]
    services.progress.announcement_begins();
    let services = Arc::clone(services);
    let shared = Arc::clone(&services);
    drop(shared.runtime.spawn(async move {
        let (reply, stored) = oneshot::channel();
        match route(&services, [submission]).await {
            Ok(events) => {
                services.publish(PublishRequest { events, ids_given: false, duplicates: Vec::new(), reply });
            }
            Err(error) => tracing::error!(%error, "system.error could not be published"),
        }
        // Without an answer the bus is stopping.
        if let Ok(Err(error)) = stored.await {
            tracing::error!(%error, "system.error could not be published");
        }
        #[cfg(feature = "testing")]
        services.progress.announcement_ends();
    }));
}

/// Routes events that were stored by a plain INSERT. One run at a time.
pub(crate) fn route_unrouted(services: &Arc<Services>) {
    if services.routing.swap(true, Ordering::AcqRel) {
        return;
    }
    let services = Arc::clone(services);
    let shared = Arc::clone(&services);
    drop(shared.runtime.spawn(async move {
        loop {
            match services.store.route_unrouted(BATCH).await {
                Ok(routed) if routed == BATCH => {}
                Ok(_) => break,
                Err(error) => {
                    break tracing::error!(%error, "events from outside could not be routed; trying again");
                }
            }
        }
        services.routing.store(false, Ordering::Release);
        services.inbox.push(Input::RowsAppeared);
        services.look_now.notify_one();
    }));
}

/// Reads the routes again.
pub(crate) fn reload_routes(services: &Arc<Services>) {
    let services = Arc::clone(services);
    let shared = Arc::clone(&services);
    drop(shared.runtime.spawn(async move {
        if let Err(error) = services.routes.reload().await {
            tracing::error!(%error, "routes could not be read; the old ones stay in force");
        }
    }));
}

/// Sees to events of which this node does not know whether they were stored: if
/// they were, their deliveries become rows. Tries until the store answers.
pub(crate) fn rescue(services: Arc<Services>, ids: Vec<Uuid>, mark: i64) {
    let shared = Arc::clone(&services);
    drop(shared.runtime.spawn(async move {
        loop {
            match services.store.rescue(services.node, &ids).await {
                Ok(0) => break,
                Ok(rescued) => {
                    break tracing::warn!(
                        rescued,
                        "events were stored by a commit that seemed to fail; they are delivered"
                    );
                }
                Err(error) => tracing::warn!(%error, "a doubtful commit could not be looked up yet"),
            }
            tokio::time::sleep(RESCUE_EVERY).await;
        }
        services.inbox.push(Input::Rescued(mark));
        services.look_now.notify_one();
    }));
}

/// Gives back deliveries of which this node does not know whether it has claimed them. Tries until the store answers.
pub(crate) async fn give_back(services: &Services, module: &str, events: &[Uuid]) {
    if events.is_empty() {
        return;
    }
    while let Err(error) = services.store.give_back(services.node, module, events).await {
        tracing::warn!(module, %error, "deliveries of a doubtful claim could not be given back yet");
        tokio::time::sleep(RESCUE_EVERY).await;
    }
}
