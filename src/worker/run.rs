//! Runs a segment, a run of events of one type, through one handler.
//!
//! The loop is compiled once per handler, so that a delivery whose handler does
//! not wait costs no allocation, no timer and no message.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Host;
use super::guard::Guard;
use super::shared::Shared;
use crate::catalogue::TypeInfo;
use crate::context::Context;
use crate::delivery::{Failure, FailureKind};
use crate::envelope::Envelope;
use crate::error::clean;
use crate::event::Event;
use crate::ledger::{Exception, Outcome, Segment, Span, WorkerEnd};
use crate::module::Handle;

/// Failures in a row after which a worker is rebuilt.
const FAILURES_IN_A_ROW_MAX: u32 = 5;

/// What a worker has answered and not yet reported.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: Vec<Span>,
    pub(crate) exceptions: Vec<Exception>,
    /// Why the worker cannot go on, once it cannot.
    pub(crate) end: Option<WorkerEnd>,
    /// Retryable failures since the last success, over dispatches.
    pub(crate) failures_in_a_row: u32,
    /// When the last report was sent, since the bus started.
    pub(crate) reported_at: Duration,
    /// Keys that failed in this dispatch: their later deliveries are held back.
    failed_keys: HashSet<String>,
}

impl Tally {
    fn answer(&mut self, segment: &Segment, index: u32) {
        match self.done.last_mut() {
            Some(span) if span.flight == segment.flight && span.to == index => span.to += 1,
            _ => self.done.push(Span { flight: segment.flight, from: index, to: index + 1 }),
        }
    }

    pub(super) fn except(&mut self, segment: &Segment, index: u32, outcome: Outcome) {
        self.exceptions.push(Exception { flight: segment.flight, index, outcome });
        self.answer(segment, index);
    }

    pub(crate) fn start_dispatch(&mut self, now: Duration) {
        self.reported_at = now;
        self.failed_keys.clear();
    }
}

/// One pass of a worker over one segment.
pub(crate) struct Run<'a> {
    pub(super) host: &'a Host,
    pub(super) segment: &'a Segment,
    pub(super) guard: Guard<'a>,
    info: TypeInfo,
    pub(super) tally: &'a mut Tally,
    next: u32,
    pub(super) shared: Shared,
    /// Deliveries that were undone, through no fault of their own for all that is known.
    pub(super) again: VecDeque<u32>,
    /// The delivery under way shares its transaction with nobody.
    pub(super) alone: bool,
}

/// What a pass does next.
enum Step {
    Deliver(u32),
    /// Wait for the rate limiter.
    Wait(Duration),
    /// Commit what was shared.
    Flush,
    Over,
}

/// The future of one pass. Not `Send`: a worker never leaves its thread.
pub(crate) type RunFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a segment through the handler of one event type of `M`.
pub(crate) type RunFn<M> = for<'a> fn(&'a mut M, Run<'a>) -> RunFuture<'a>;

pub(crate) fn run_handler<'a, M: Handle<E>, E: Event>(module: &'a mut M, mut run: Run<'a>) -> RunFuture<'a> {
    Box::pin(async move {
        let (host, segment) = (run.host, run.segment);
        loop {
            let index = match run.step() {
                Step::Deliver(index) => index,
                Step::Wait(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
                Step::Flush => {
                    run.flush().await;
                    continue;
                }
                Step::Over => return,
            };
            let envelope = &*segment.events[index as usize];
            let Some(event) = run.event::<E>(envelope, index) else {
                continue;
            };
            let mut cx = Context {
                envelope,
                attempt: segment.attempts.of(index),
                module: &host.name,
                services: &host.services,
                deadline: &run.guard.deadline,
                work: &mut run.shared.work,
            };
            let (verdict, waited) = {
                let call = pin!(module.handle(event, &mut cx));
                run.guard.call(index, call).await
            };
            match verdict {
                Ok(()) if run.shared.work.is_touched() => run.succeeded(index).await,
                Ok(()) => run.acknowledged(index),
                Err(error) => run.undo(index, *error).await,
            }
            if waited {
                host.report_progress(run.tally);
            }
        }
    })
}

impl<'a> Run<'a> {
    pub(super) fn new(host: &'a Host, segment: &'a Segment, info: TypeInfo, tally: &'a mut Tally) -> Self {
        let guard = Guard {
            timeout: host.timeout,
            marker: &host.marker,
            flight: segment.flight,
            deadline: Cell::new(None),
        };
        let (shared, again) = (Shared::default(), VecDeque::new());
        Self { host, segment, guard, info, tally, next: segment.from, shared, again, alone: false }
    }

    /// Takes the next delivery that may be started, or tells what is to be done first.
    #[inline]
    fn step(&mut self) -> Step {
        loop {
            if self.tally.end.is_some() {
                self.abandon();
                return Step::Over;
            }
            if let Some(index) = self.again.pop_front() {
                self.alone = true;
                return Step::Deliver(index);
            }
            self.alone = false;
            let index = self.next;
            if index == self.segment.to {
                return if self.shared.indices.is_empty() { Step::Over } else { Step::Flush };
            }
            if self.host.services.stopping.load(Ordering::Relaxed) || self.is_held_back(index) {
                self.next += 1;
                self.tally.except(self.segment, index, Outcome::NotTried);
                continue;
            }
            if let Some(time) = self.host.limiter.as_ref().and_then(Limiter::take_turn) {
                return Step::Wait(time);
            }
            self.next += 1;
            return Step::Deliver(index);
        }
    }

    fn key(&self, index: u32) -> Option<&'a str> {
        self.segment.events[index as usize].metadata.ordering_key.as_deref()
    }

    fn is_held_back(&self, index: u32) -> bool {
        self.host.ordered
            && !self.tally.failed_keys.is_empty()
            && self.key(index).is_some_and(|key| self.tally.failed_keys.contains(key))
    }

    #[inline]
    fn event<E: Event>(&mut self, envelope: &'a Envelope, index: u32) -> Option<&'a E> {
        let known = self.segment.values.get(index as usize).and_then(|value| value.downcast_ref::<E>());
        known.or_else(|| self.decode(envelope, index))
    }

    fn decode<E: Event>(&mut self, envelope: &'a Envelope, index: u32) -> Option<&'a E> {
        let problem = match self.info.decode(envelope) {
            Ok(value) => match value.downcast_ref::<E>() {
                Some(event) => return Some(event),
                None => format!("{} was decoded as another Rust type", E::TYPE),
            },
            Err(error) => error.to_string(),
        };
        self.failed(index, FailureKind::Decode, &problem);
        None
    }

    fn acknowledged(&mut self, index: u32) {
        self.tally.failures_in_a_row = 0;
        self.tally.answer(self.segment, index);
    }

    pub(super) fn failed(&mut self, index: u32, kind: FailureKind, message: &str) {
        let message = clean(message);
        let envelope = &self.segment.events[index as usize];
        tracing::warn!(
            module = &*self.host.name, event = %envelope.id, event_type = &*envelope.event_type,
            attempt = self.segment.attempts.of(index), ?kind, error = message, "delivery failed"
        );
        if self.host.ordered
            && let Some(key) = self.key(index)
        {
            self.tally.failed_keys.insert(key.to_owned());
        }
        self.tally.end = match kind {
            FailureKind::Panic => Some(WorkerEnd::Panicked),
            FailureKind::Timeout => Some(WorkerEnd::TimedOut),
            FailureKind::Fatal | FailureKind::Decode => None,
            FailureKind::Retryable => {
                self.tally.failures_in_a_row += 1;
                (self.tally.failures_in_a_row >= FAILURES_IN_A_ROW_MAX).then_some(WorkerEnd::RepeatedFailures)
            }
        };
        let failure = Failure { kind, message };
        self.tally.except(self.segment, index, Outcome::Failed(failure));
    }
}

/// A limiter shared by all workers of a module.
#[derive(Debug, Clone)]
pub(crate) struct Limiter(Arc<governor::DefaultDirectRateLimiter>);

/// How often a worker that waits for its turn looks whether the bus stops.
const STOP_CHECK: Duration = Duration::from_millis(100);

impl Limiter {
    /// Makes a limiter that starts `per_second` deliveries a second at most, evenly
    /// spread but for bursts of a tenth of a second's worth.
    pub(crate) fn new(per_second: u32) -> Self {
        let at_least_one = |number| std::num::NonZeroU32::new(number).unwrap_or(std::num::NonZeroU32::MIN);
        let quota =
            governor::Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(per_second / 10));
        Self(Arc::new(governor::RateLimiter::direct(quota)))
    }

    /// Returns `None` if a delivery may start now, else how long to wait before asking again.
    fn take_turn(&self) -> Option<Duration> {
        use governor::clock::Clock;
        let not_yet = self.0.check().err()?;
        Some(not_yet.wait_time_from(governor::clock::DefaultClock::default().now()).min(STOP_CHECK))
    }
}
