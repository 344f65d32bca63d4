//! Runs one module alone: one event, one call of its handler, in a real transaction.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::task::LocalSet;

use super::{TestBus, TestError};
use crate::catalogue::{TypeInfo, typed};
use crate::context::{Context, Work};
use crate::delivery::FailureKind;
use crate::envelope::{Envelope, Payload};
use crate::event::Event;
use crate::ledger::FlightId;
use crate::module::{Handle, Subscriptions};
use crate::publication::Publication;
use crate::worker::failure_of;
use crate::worker::guard::{Guard, Marker};

/// What a module did with an event.
#[derive(Debug)]
pub struct Delivered {
    /// How the call ended.
    pub outcome: Result<(), Failed>,
    /// What it published, in order. Nothing of it is stored or delivered; empty if the call failed.
    pub published: Vec<Arc<Envelope>>,
}

/// Why a call counts as a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failed {
    /// What kind of failure: whether it is tried again, and what becomes of the worker.
    pub kind: FailureKind,
    /// The message, as it would be stored.
    pub message: String,
}

impl Delivered {
    /// Returns what was published of one type, in order.
    ///
    /// # Errors
    ///
    /// Fails if a payload cannot be read back as the type.
    pub fn published_of<E: Event>(&self) -> Result<Vec<E>, TestError> {
        let of_type = self.published.iter().filter(|event| &*event.event_type == E::TYPE);
        let decoded = of_type.map(|event| typed(event.payload.json(), event.schema_version));
        Ok(decoded.collect::<Result<_, _>>()?)
    }

    fn failed(kind: FailureKind, message: &str) -> Self {
        let message = crate::error::clean(message);
        Self { outcome: Err(Failed { kind, message }), published: Vec::new() }
    }
}

impl TestBus {
    /// Hands one event to `module` alone, as the first attempt, and returns what it did.
    ///
    /// The event passes the checks of a publish and is read back from its JSON, but it is not stored, and no
    /// other module gets it. The handler runs on the caller's thread, within the module's timeout,
    /// with a real [`Context`]: what it writes through its transaction is committed if it returns `Ok`
    /// and rolled back otherwise. A panic is caught, as it would be in a worker.
    ///
    /// # Errors
    ///
    /// Fails if the event could not be published. What goes wrong in the handler is in [`Delivered::outcome`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use stentor::{Context, Event, Handle, HandlerError, Module, Subscriptions};
    /// # use stentor::testing::{TestBus, TestError};
    /// # #[derive(Serialize, Deserialize)] struct DoorOpened { door: u32 }
    /// # impl Event for DoorOpened { const TYPE: &'static str = "door.opened"; }
    /// # #[derive(Debug, PartialEq, Serialize, Deserialize)] struct LampLit { door: u32 }
    /// # impl Event for LampLit { const TYPE: &'static str = "lamp.lit"; }
    /// # struct Lamps { lit: u32 }
    /// # impl Module for Lamps {
    /// #     const NAME: &'static str = "lamps";
    /// #     fn subscriptions(on: &mut Subscriptions<Self>) { on.event::<DoorOpened>(); }
    /// # }
    /// impl Handle<DoorOpened> for Lamps {
    ///     async fn handle(&mut self, event: &DoorOpened, cx: &mut Context<'_>) -> Result<(), HandlerError> {
    ///         self.lit += 1;
    ///         cx.publish(LampLit { door: event.door })?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main] async fn main() -> Result<(), TestError> {
    /// let bus = TestBus::start(|bus| bus).await?; // it hosts no module
    /// let mut lamps = Lamps { lit: 0 };
    /// let delivered = bus.deliver(&mut lamps, DoorOpened { door: 7 }).await?;
    /// assert_eq!(delivered.outcome, Ok(()));
    /// assert_eq!(delivered.published_of::<LampLit>()?, [LampLit { door: 7 }]);
    /// assert_eq!(lamps.lit, 1);
    /// # bus.stop().await }
    /// ```
    pub async fn deliver<M, E>(
        &self,
        module: &mut M,
        event: impl Into<Publication<E>>,
    ) -> Result<Delivered, TestError>
    where
        M: Handle<E>,
        E: Event,
    {
        let sealed = event.into().seal(self.services().payload_bytes_max)?.envelope;
        let mut envelope = Arc::into_inner(sealed).unwrap_or_else(|| unreachable!("nobody shares it yet"));
        envelope.created_at = OffsetDateTime::now_utc();
        envelope.payload = Payload::from_json(envelope.payload.json());
        let info = TypeInfo::of::<E>();
        let handlers = Subscriptions::<M>::collect();
        if handlers.iter().all(|handler| handler.info.event_type != info.event_type) {
            let message = format!("module {} does not subscribe to {}", M::NAME, info.event_type);
            return Ok(Delivered::failed(FailureKind::Fatal, &message));
        }
        match info.decode(&envelope).as_ref().map(|value| value.downcast_ref::<E>()) {
            Ok(Some(event)) => Ok(self.call(module, event, &envelope).await),
            Ok(None) => unreachable!("decoded as this very type"),
            Err(error) => Ok(Delivered::failed(FailureKind::Decode, &error.to_string())),
        }
    }

    /// Calls the handler as a worker would, and commits or undoes what it did.
    async fn call<M: Handle<E>, E: Event>(
        &self,
        module: &mut M,
        event: &E,
        envelope: &Envelope,
    ) -> Delivered {
        let guard = Guard {
            timeout: M::options().timeout,
            marker: &Marker::default(),
            flight: FlightId::from_number(0),
            deadline: Cell::new(None),
        };
        let mut work = Work::default();
        let mut cx = Context {
            envelope,
            attempt: 1,
            module: M::NAME,
            services: self.services(),
            deadline: &guard.deadline,
            work: &mut work,
        };
        let (verdict, _) = {
            let call = pin!(module.handle(event, &mut cx));
            self.within_runtime(guard.call(0, call)).await
        };
        let Work { transaction, emitted, .. } = work;
        if let Err(error) = verdict {
            let (kind, message) = failure_of(*error);
            return Delivered::failed(kind, &message);
        }
        if let Some(transaction) = transaction
            && let Err(error) = transaction.commit().await
        {
            let message = format!("transaction could not be committed: {error}");
            return Delivered::failed(FailureKind::Retryable, &message);
        }
        let published = emitted.into_iter().map(|submission| submission.envelope).collect();
        Delivered { outcome: Ok(()), published }
    }

    /// Polls `future` as a worker's thread would: timers and local tasks work, whatever the caller's executor.
    async fn within_runtime<F: Future>(&self, future: F) -> F::Output {
        let local = LocalSet::new();
        let mut future = pin!(local.run_until(future));
        poll_fn(|cx| {
            let _entered = self.services().runtime.handle().enter();
            future.as_mut().poll(cx)
        })
        .await
    }
}
