//! A module: named, supervised state that handles some types of events.

use std::sync::Arc;

use crate::catalogue::TypeInfo;
use crate::context::Context;
use crate::error::HandlerError;
use crate::event::Event;
use crate::worker::run::{RunFn, run_handler};

mod health;
mod options;

pub use health::{BreakerHealth, ModuleHealth, ModuleState};
pub use options::{InvalidOptions, ModuleOptions};

/// A part of the application that reacts to events.
///
/// A module's workers are actors, each with a value of the module of its own,
/// made by the factory that was registered with the bus. The value survives
/// from one delivery to the next and is thrown away after a panic, a timeout
/// or five failures in a row.
pub trait Module: Sized + Send + 'static {
    /// The durable name: subscriptions and deliveries are kept under it.
    ///
    /// One word of `a-z`, `0-9`, `_` and `-`, 100 bytes at most.
    const NAME: &'static str;

    /// Lists the events that the module reacts to.
    fn subscriptions(on: &mut Subscriptions<Self>);

    /// Returns how the module wants to be run. The default is [`ModuleOptions::default`].
    #[must_use]
    fn options() -> ModuleOptions {
        ModuleOptions::default()
    }
}

/// How a module reacts to one type of event.
///
/// One delivery at a time runs per worker. The future need not be `Send`: a
/// worker never leaves its thread.
#[allow(async_fn_in_trait, reason = "a handler runs on one arbiter, so no auto trait is asked of its future")]
pub trait Handle<E: Event>: Module {
    /// Reacts to `event`; returning `Ok` acknowledges the delivery.
    ///
    /// An event may be delivered again after a crash, so a handler either
    /// writes through [`Context::transaction`] or is idempotent.
    async fn handle(&mut self, event: &E, cx: &mut Context<'_>) -> Result<(), HandlerError>;
}

/// The handlers of a module, collected by [`Module::subscriptions`].
pub struct Subscriptions<M> {
    handlers: Vec<Handler<M>>,
}

/// One handler of a module.
pub(crate) struct Handler<M> {
    pub(crate) info: TypeInfo,
    pub(crate) run: RunFn<M>,
}

impl<M> std::fmt::Debug for Subscriptions<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.handlers.iter().map(|handler| handler.info.event_type)).finish()
    }
}

impl<M: Module> Subscriptions<M> {
    pub(crate) fn collect() -> Arc<[Handler<M>]> {
        let mut on = Self { handlers: Vec::new() };
        M::subscriptions(&mut on);
        on.handlers.into()
    }

    /// Subscribes the module to events of type `E`. Saying it twice says it once.
    pub fn event<E: Event>(&mut self)
    where
        M: Handle<E>,
    {
        let info = TypeInfo::of::<E>();
        if self.handlers.iter().all(|known| known.info.event_type != info.event_type) {
            self.handlers.push(Handler { info, run: run_handler::<M, E> });
        }
    }
}
