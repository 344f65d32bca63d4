//! Keeps the node's lease, and takes over what nodes without one left behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::BATCH;
use crate::broker::{Control, Input, Lease};
use crate::delivery::{KeyOrder, NodeId};
use crate::services::Services;
use crate::store::{Heartbeat, StoreError};

/// The node's heartbeat.
pub(crate) struct Heart {
    pub(crate) services: Arc<Services>,
    /// How long the node counts as alive after a beat.
    pub(crate) lease: Duration,
}

impl Heart {
    /// Beats three times a lease, for as long as the bus runs.
    pub(crate) async fn run(self) {
        loop {
            let asked = self.services.beat_now.notified();
            // A third of the lease or a request, whichever comes first: either way it is time to beat.
            drop(tokio::time::timeout(self.lease / 3, asked).await);
            if let Err(error) = self.beat().await {
                tracing::error!(%error, "heartbeat failed; if the lease ends, other nodes take over");
            }
        }
    }

    pub(crate) async fn beat(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.services.inbox.push(Input::LowWater(reply));
        let low_water = answer.await.map_err(|_| StoreError::Stopped)?;
        let store = &self.services.store;
        let beat = store.heartbeat(self.services.node, self.lease, low_water).await?;
        if !beat.alive {
            tracing::warn!("this node's lease had ended; what it held may run elsewhere too");
        }
        // Adopted rows precede what is published from here on: first they, then the live path.
        for node in &beat.expired {
            self.adopt(*node).await?;
        }
        self.lease_ordered(&beat).await
    }

    async fn lease_ordered(&self, beat: &Heartbeat) -> Result<(), StoreError> {
        for name in self.services.hosted(|module| module.order != KeyOrder::Unordered) {
            let held = self.services.store.lease_module(&name, self.services.node, self.lease).await?;
            let lease = match (held, beat.live_nodes) {
                (false, _) => Lease::Elsewhere,
                (true, 0 | 1) => Lease::Sole,
                (true, _) => Lease::Shared,
            };
            self.services.inbox.push(Input::Control(Control::Lease { name, lease }));
        }
        Ok(())
    }

    /// Turns what a dead node owed into rows, which any node may claim.
    async fn adopt(&self, dead: NodeId) -> Result<(), StoreError> {
        let mut total = 0;
        loop {
            let adopted = self.services.store.adopt(dead, BATCH).await?;
            total += adopted;
            if adopted < BATCH {
                break;
            }
        }
        self.services.store.bury(dead).await?;
        tracing::info!(node = %dead, events = total, "took over what another node left behind");
        self.services.inbox.push(Input::RowsAppeared);
        self.services.look_now.notify_one();
        Ok(())
    }
}
