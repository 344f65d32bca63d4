//! Modules that come and go while the bus runs.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::builder::{host, subscribe};
use super::{Bus, ModuleError};
use crate::broker::Control;
use crate::catalogue::TypeClash;
use crate::context::Context;
use crate::error::HandlerError;
use crate::event::{Event, is_module_name};
use crate::module::{Handle, InvalidOptions, Module, ModuleOptions, Subscriptions};
use crate::store::StoreError;
use crate::supervisor::Definition;

/// A module that was subscribed at run time.
///
/// The subscription is durable like any other: dropping this keeps it, and
/// events wait for the module's name until something subscribes under it
/// again. [`Subscription::unsubscribe`] ends it.
#[derive(Debug)]
pub struct Subscription {
    bus: Bus,
    name: Arc<str>,
}

/// A module could not be subscribed at run time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The name has the wrong form.
    #[error("module name {0:?} must be one lower-case word of a-z, 0-9, _ and -, 100 bytes at most")]
    BadModuleName(String),
    /// This bus hosts a module of that name already.
    #[error("module {0:?} is hosted already; unsubscribe it first or take another name")]
    AlreadyHosted(String),
    /// Two Rust types claim one event type.
    #[error(transparent)]
    TypeClash(#[from] TypeClash),
    /// An option is out of bounds.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The module behind a closure.
struct Closure<E, F> {
    call: F,
    event: std::marker::PhantomData<fn(E)>,
}

impl<E, F, R> Module for Closure<E, F>
where
    E: Event,
    F: Fn(Arc<E>) -> R + Send + 'static,
    R: Future<Output = Result<(), HandlerError>> + 'static,
{
    const NAME: &'static str = "closure";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<E>();
    }
}

impl<E, F, R> Handle<E> for Closure<E, F>
where
    E: Event,
    F: Fn(Arc<E>) -> R + Send + 'static,
    R: Future<Output = Result<(), HandlerError>> + 'static,
{
    async fn handle(&mut self, _: &E, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        match cx.envelope().payload.shared::<E>() {
            Some(event) => (self.call)(event).await,
            None => Err(HandlerError::fatal("the event was not decoded as the closure's type")),
        }
    }
}

impl Bus {
    /// Subscribes a closure to events of type `E`, as a module called `name`.
    ///
    /// Events published from now on reach it. It is supervised, retried and
    /// acknowledged like any module; see [`Subscription`] for how it ends.
    ///
    /// # Errors
    ///
    /// Fails if the name is taken or has the wrong form, or the store fails.
    pub async fn subscribe<E, F, R>(&self, name: &str, handler: F) -> Result<Subscription, SubscribeError>
    where
        E: Event,
        F: Fn(Arc<E>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<(), HandlerError>> + 'static,
    {
        let factory = move || Closure { call: handler.clone(), event: std::marker::PhantomData };
        self.add(Definition::of(name, ModuleOptions::default(), factory)).await
    }

    /// Subscribes a module at run time, under its own name and options.
    ///
    /// # Errors
    ///
    /// As [`Bus::subscribe`].
    pub async fn subscribe_module<M: Module>(
        &self,
        factory: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Subscription, SubscribeError> {
        self.add(Definition::of(M::NAME, M::options(), factory)).await
    }

    async fn add(&self, definition: Definition) -> Result<Subscription, SubscribeError> {
        let name = Arc::clone(&definition.name);
        if !is_module_name(&name) {
            return Err(SubscribeError::BadModuleName(name.to_string()));
        }
        definition.options.check(&name)?;
        let services = Arc::clone(&self.inner.services);
        if services.hosts(&name) {
            return Err(SubscribeError::AlreadyHosted(name.to_string()));
        }
        services.learn(definition.types.iter().copied())?;
        // In a task of the bus: half a subscription would collect events that nobody handles.
        let shared = Arc::clone(&services);
        let added = shared.runtime.spawn(async move {
            subscribe(&services, &definition).await?;
            host(&services, definition).await?;
            services.routes.reload().await
        });
        added.await.unwrap_or(Err(StoreError::Stopped))?;
        Ok(Subscription { bus: self.clone(), name })
    }
}

impl Subscription {
    /// Returns the module's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends the subscription: new events no longer go to the module, and what
    /// it still owes is cancelled.
    ///
    /// # Errors
    ///
    /// Fails if the store fails or the bus is shut down; the subscription then stays.
    pub async fn unsubscribe(self) -> Result<(), ModuleError> {
        let Self { bus, name } = self;
        let services = Arc::clone(&bus.inner.services);
        let shared = Arc::clone(&services);
        let removed = shared.runtime.spawn(async move {
            services.store.unsubscribe(&name).await?;
            services.routes.reload().await?;
            services.host_no_more(&name);
            let (reply, answer) = oneshot::channel();
            bus.control(Control::Remove { name: Arc::clone(&name), reply });
            answer.await.map_err(|_| StoreError::Stopped)?;
            // What the ledger still held for the module is written as rows first; then it is given up.
            services.store.cancel_module(&name).await?;
            services.store.end_module_lease(&name, services.node).await
        });
        match removed.await {
            Ok(result) => result.map_err(ModuleError::from),
            Err(_) => Err(ModuleError::Stopped),
        }
    }
}
