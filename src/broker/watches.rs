//! Who waits for which event to be processed.

use std::collections::HashMap;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Broker, Input};

/// Who waits for which event. Empty, and free, unless somebody asks.
#[derive(Default)]
pub(super) struct Watches {
    by_event: HashMap<Uuid, Vec<oneshot::Sender<()>>>,
}

impl Watches {
    /// Answers everyone who waits for one of `ids`.
    pub(super) fn finished(&mut self, ids: &[Uuid]) {
        if self.by_event.is_empty() {
            return;
        }
        for waiting in ids.iter().filter_map(|id| self.by_event.remove(id)).flatten() {
            // A waiter that went away wants no answer.
            waiting.send(()).ok();
        }
    }

    /// Returns the events that somebody still waits for.
    pub(super) fn waiting(&mut self) -> Vec<Uuid> {
        self.by_event.retain(|_, waiting| {
            waiting.retain(|reply| !reply.is_closed());
            !waiting.is_empty()
        });
        self.by_event.keys().copied().collect()
    }
}

impl Broker {
    /// Registers a waiter, then looks in the store: the event may be processed already.
    pub(super) fn watch(&mut self, id: Uuid, reply: oneshot::Sender<()>) {
        self.watches.by_event.entry(id).or_default().push(reply);
        self.look_up(vec![id]);
    }

    /// Asks the store which of `ids` are processed: other nodes finish events too.
    pub(super) fn look_up(&self, ids: Vec<Uuid>) {
        if ids.is_empty() {
            return;
        }
        let services = std::sync::Arc::clone(&self.services);
        drop(self.services.runtime.spawn(async move {
            match services.store.processed_among(&ids).await {
                Ok(processed) => services.inbox.push(Input::Finished(processed)),
                Err(error) => {
                    tracing::warn!(%error, "waiters could not be looked up; they are at the next poll")
                }
            }
        }));
    }
}
