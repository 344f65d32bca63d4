//! Claims rows for modules that have room, and follows what the store's poll says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Broker, Input};
use crate::delivery::ClaimRequest;
use crate::ledger::ModuleId;
use crate::maintenance;
use crate::store::{ClaimBatch, ClaimError, Poll, StoreError};

impl Broker {
    pub(super) fn start_claims(&mut self, now: Duration) {
        if !self.phase.claims() {
            return;
        }
        for (module, request) in self.ledger.claims(now) {
            let services = Arc::clone(&self.services);
            drop(self.services.runtime.spawn(async move {
                let result = match services.store.claim(services.node, &request).await {
                    Ok(batch) => Ok(batch),
                    Err(ClaimError { error, doubtful }) => {
                        // The module claims nothing else meanwhile.
                        maintenance::give_back(&services, &request.module, &doubtful).await;
                        Err(error)
                    }
                };
                services.inbox.push(Input::Claimed { module, request, result });
            }));
        }
    }

    pub(super) fn claimed(
        &mut self,
        module: ModuleId,
        request: &ClaimRequest,
        result: Result<ClaimBatch, StoreError>,
    ) {
        let now = self.now();
        match result {
            Ok(batch) => self.ledger.claimed(now, module, request, batch.rows, batch.held),
            Err(error) => {
                tracing::error!(module = &*request.module, %error, "deliveries could not be claimed; trying again");
                self.ledger.claim_failed(now, module, request);
            }
        }
    }

    pub(super) fn polled(&mut self, poll: &Poll, seen: u64) {
        let now = self.now();
        let is_current = seen == self.services.pauses.load(Ordering::Acquire);
        for (id, definition) in self.modules.iter().filter(|_| is_current) {
            let paused = poll.paused.contains(&definition.name);
            match (paused, self.ledger.is_paused(*id)) {
                (true, false) => self.ledger.pause(now, *id),
                (false, true) => self.ledger.resume(now, *id),
                _ => {}
            }
        }
        self.ledger.due(now, &poll.due, &poll.alone);
        if poll.unrouted {
            maintenance::route_unrouted(&self.services);
        }
        if self.services.routes.is_older_than(poll.routes_version) {
            maintenance::reload_routes(&self.services);
        }
        self.watches.look_again();
    }
}
