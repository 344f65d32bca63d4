//! The bus: what an embedder holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::broker::{Control, Input};
use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::module::ModuleHealth;
use crate::services::Services;
use crate::store::StoreError;

mod builder;
mod outbox;
mod publish;
mod receipt;
mod subscribe;

pub use builder::{BusBuilder, StartError};
pub use outbox::{BusTransaction, OutboxConnection};
pub use receipt::{Receipt, WaitError};
pub use subscribe::{SubscribeError, Subscription};

/// An event bus that runs in this process. Cheap to clone; all clones are one bus.
///
/// The bus owns its threads, so it works from `#[tokio::main]`,
/// `#[actix::main]` and a plain thread, and its futures from any executor.
///
/// Call [`Bus::shutdown`] before the process ends. A bus that is dropped
/// without it stops at once, as if the process had been killed: nothing that
/// was published is lost, and what was under way is delivered again.
#[derive(Debug, Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    services: Arc<Services>,
    client: Client,
    /// The loops that end with the bus.
    loops: Vec<AbortHandle>,
    stopped: AtomicBool,
    write_down_max: Duration,
}

/// The bus could not be stopped cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Another call has stopped the bus, or is about to.
    #[error("the bus is already shut down")]
    AlreadyDown,
    /// The node could not sign off; its lease ends by itself and another node takes over.
    #[error("the node could not sign off: {0}")]
    Store(#[from] StoreError),
}

/// A module was asked for something it cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// This process hosts no module of that name.
    #[error("this bus hosts no module {0:?}")]
    NotHosted(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus is shut down.
    #[error("the bus is shut down")]
    Stopped,
}

impl Bus {
    /// Starts describing a bus.
    pub fn builder() -> BusBuilder {
        BusBuilder::new()
    }

    /// Returns a client on the same database: the audit trail and the operator's commands.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Returns the event types that the bus knows at the moment.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.services.catalogue()
    }

    /// Returns how many modules get the events of a type that is published now.
    #[must_use]
    pub fn handler_count(&self, event_type: &str) -> usize {
        let route = self.inner.services.routes.get(event_type);
        route.map_or(0, |route| route.modules.len())
    }

    /// Returns how the modules that this process hosts are doing, by name.
    ///
    /// # Errors
    ///
    /// Fails if the bus is shut down.
    pub async fn modules(&self) -> Result<Vec<ModuleHealth>, ModuleError> {
        let (reply, answer) = oneshot::channel();
        self.control(Control::Health(reply));
        answer.await.map_err(|_| ModuleError::Stopped)
    }

    /// Holds a module's deliveries in the store until [`Bus::resume`], over restarts too.
    ///
    /// A delivery that is being handled is finished.
    ///
    /// # Errors
    ///
    /// Fails if this process does not host the module, or the store fails.
    pub async fn pause(&self, module: &str) -> Result<(), ModuleError> {
        self.inner.client.pause(module).await?;
        self.inner.services.pauses.fetch_add(1, Ordering::AcqRel);
        self.ask(module, |name, reply| Control::Pause { name, reply }).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    ///
    /// Fails if this process does not host the module, or the store fails.
    pub async fn resume(&self, module: &str) -> Result<(), ModuleError> {
        self.inner.client.resume(module).await?;
        self.inner.services.pauses.fetch_add(1, Ordering::AcqRel);
        self.ask(module, |name, reply| Control::Resume { name, reply }).await
    }

    /// Builds a module's workers anew, with fresh state.
    ///
    /// What they were handling is delivered again.
    ///
    /// # Errors
    ///
    /// Fails if this process does not host the module.
    pub async fn restart(&self, module: &str) -> Result<(), ModuleError> {
        self.ask(module, |name, reply| Control::Restart { name, reply }).await
    }

    /// Refuses new events, works off what is in memory, and leaves the rest in
    /// the store for the next start.
    ///
    /// Being interrupted by the deadline costs a delivery no attempt. The call
    /// returns up to about 10 s after the deadline if the store is slow to
    /// write down what is left.
    ///
    /// # Errors
    ///
    /// Fails if the bus is shut down already, or the node could not sign off.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), ShutdownError> {
        if self.inner.stopped.swap(true, Ordering::AcqRel) {
            return Err(ShutdownError::AlreadyDown);
        }
        let inner = Arc::clone(&self.inner);
        // In a task of the bus, so that a caller who goes away does not leave it half stopped.
        let stopping = self.inner.services.runtime.spawn(async move { inner.stop(deadline).await });
        let result = stopping.await.unwrap_or(Err(ShutdownError::AlreadyDown));
        self.inner.services.runtime.stop();
        result
    }

    /// Returns how many statements the live path has issued.
    #[cfg(feature = "cli")]
    pub(crate) fn statements(&self) -> u64 {
        self.inner.services.store.live_statements()
    }

    /// Returns what the bus's actors share, for tests.
    #[cfg(feature = "testing")]
    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.inner.services
    }

    fn control(&self, control: Control) {
        self.inner.services.inbox.push(Input::Control(control));
    }

    async fn ask(
        &self,
        module: &str,
        control: impl FnOnce(Arc<str>, oneshot::Sender<bool>) -> Control,
    ) -> Result<(), ModuleError> {
        let (reply, answer) = oneshot::channel();
        self.control(control(module.into(), reply));
        match answer.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ModuleError::NotHosted(module.to_owned())),
            Err(_) => Err(ModuleError::Stopped),
        }
    }
}

impl Inner {
    async fn stop(&self, deadline: Duration) -> Result<(), ShutdownError> {
        let (reply, answer) = oneshot::channel();
        self.services.inbox.push(Input::Control(Control::Shutdown { deadline, reply }));
        let patience = deadline + self.write_down_max;
        if tokio::time::timeout(patience, answer).await.is_err() {
            tracing::error!(
                "the broker did not stop in time; what it held is delivered again at the next start"
            );
        }
        for task in &self.loops {
            task.abort();
        }
        let left = self.services.store.leave(self.services.node).await;
        self.services.store.close().await;
        Ok(left?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.stopped.load(Ordering::Acquire) {
            for task in &self.loops {
                task.abort();
            }
            self.services.runtime.stop();
        }
    }
}
