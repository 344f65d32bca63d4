//! Who waits for which event to be processed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Broker, Input};

/// Who waits for which event. Empty, and free, unless somebody asks.
#[derive(Default)]
pub(super) struct Watches {
    by_event: HashMap<Uuid, Vec<oneshot::Sender<()>>>,
    /// Events to ask the store about.
    to_look_up: Vec<Uuid>,
    /// A question is under way.
    is_looking: bool,
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

    /// Asks about every event that somebody still waits for: other nodes finish events too.
    pub(super) fn look_again(&mut self) {
        self.by_event.retain(|_, waiting| {
            waiting.retain(|reply| !reply.is_closed());
            !waiting.is_empty()
        });
        self.to_look_up = self.by_event.keys().copied().collect();
    }
}

impl Broker {
    /// Registers a waiter; the event may be processed already, so the store is asked too.
    pub(super) fn watch(&mut self, id: Uuid, reply: oneshot::Sender<()>) {
        self.watches.by_event.entry(id).or_default().push(reply);
        self.watches.to_look_up.push(id);
    }

    /// Takes the store's answer.
    pub(super) fn looked_up(&mut self, processed: &[Uuid]) {
        self.watches.is_looking = false;
        self.watches.finished(processed);
    }

    /// Asks the store which events are processed, all in one question and one question at a time.
    pub(super) fn look_up(&mut self) {
        if self.watches.is_looking {
            return;
        }
        let mut ids = std::mem::take(&mut self.watches.to_look_up);
        ids.retain(|id| self.watches.by_event.contains_key(id));
        if ids.is_empty() {
            return;
        }
        self.watches.is_looking = true;
        let services = Arc::clone(&self.services);
        drop(self.services.runtime.spawn(async move {
            let processed = services.store.processed_among(&ids).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "waiters could not be looked up; they are at the next poll");
                Vec::new()
            });
            services.inbox.push(Input::Finished(processed));
        }));
    }
}
