//! Runs one handler call so that nothing it does can harm its surroundings.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::HandlerError;
use crate::ledger::FlightId;

/// How a handler's call ended. What is rare is boxed: success, the common case, then travels in a register.
pub(crate) type Verdict = Result<(), Box<CallError>>;

/// Why a handler's call did not succeed.
#[derive(Debug)]
pub(crate) enum CallError {
    Returned(HandlerError),
    Panicked(String),
    TimedOut(Duration),
}

/// What a worker's thread is executing right now, for whoever watches the thread.
#[derive(Debug, Default)]
pub(crate) struct Marker(AtomicU64);

impl Marker {
    /// Names the delivery whose handler is being polled.
    fn enter(&self, flight: FlightId, index: u32) {
        let position = (u64::from(flight.number()) << 32) | u64::from(index);
        self.0.store(position + 1, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Returns the delivery whose handler holds the thread, if one does.
    pub(crate) fn polling(&self) -> Option<(FlightId, u32)> {
        let position = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        let [flight, index] = [position >> 32, position & u64::from(u32::MAX)]
            .map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        Some((FlightId::from_number(flight), index))
    }
}

/// The bounds of the calls of one flight.
pub(crate) struct Guard<'a> {
    pub(crate) timeout: Duration,
    pub(crate) marker: &'a Marker,
    pub(crate) flight: FlightId,
    /// Set while something is held that others wait for: the calls must be done by then.
    pub(crate) deadline: Cell<Option<Instant>>,
}

/// A handler's call within the bounds of a guard; tells how it ended, and whether it ever had to wait.
pub(crate) struct Guarded<'a, F> {
    guard: &'a Guard<'a>,
    index: u32,
    call: Pin<&'a mut F>,
    /// Armed at the first wait, so that a call that never waits never pays for one.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = Result<(), HandlerError>>> Future for Guarded<'_, F> {
    type Output = (Verdict, bool);

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<(Verdict, bool)> {
        let Self { guard, index, call, timer } = &mut *self;
        let polled = match guard.poll_caught(*index, call.as_mut(), cx) {
            Poll::Pending => guard.poll_timer(timer, cx),
            ready @ Poll::Ready(_) => ready,
        };
        polled.map(|verdict| (verdict, timer.is_some()))
    }
}

impl Guard<'_> {
    /// Awaits a handler's call within the bounds.
    #[inline]
    pub(crate) fn call<'a, F>(&'a self, index: u32, call: Pin<&'a mut F>) -> Guarded<'a, F> {
        Guarded { guard: self, index, call, timer: None }
    }

    #[inline]
    fn poll_caught<F>(&self, index: u32, call: Pin<&mut F>, cx: &mut TaskContext<'_>) -> Poll<Verdict>
    where
        F: Future<Output = Result<(), HandlerError>>,
    {
        self.marker.enter(self.flight, index);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            call.poll(cx).map_err(|error| Box::new(CallError::Returned(error)))
        }));
        self.marker.leave();
        polled.unwrap_or_else(|panic| {
            Poll::Ready(Err(Box::new(CallError::Panicked(panic_message(panic.as_ref())))))
        })
    }

    #[cold]
    fn poll_timer(&self, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut TaskContext<'_>) -> Poll<Verdict> {
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + self.timeout)));
        let deadline = self.deadline.get().filter(|deadline| *deadline <= timer.deadline());
        if let Some(deadline) = deadline
            && deadline < timer.deadline()
        {
            timer.as_mut().reset(deadline);
        }
        let limit = deadline.map_or(self.timeout, |_| crate::context::SQLITE_TRANSACTION_MAX);
        timer.as_mut().poll(cx).map(|()| Err(Box::new(CallError::TimedOut(limit))))
    }
}

/// Runs `action`, turning a panic into its message.
pub(crate) fn caught<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| panic_message(panic.as_ref()))
}

/// Returns the text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "panicked with a value that is not text".to_owned()
    }
}
