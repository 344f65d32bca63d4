//! Runs a segment, a run of events of one type, through one handler.
//!
//! The loop is compiled once per handler, so that a delivery whose handler does
//! not wait costs no allocation, no timer and no message.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Host;
use super::guard::{Bounds, guard};
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
    info: TypeInfo,
    pub(super) tally: &'a mut Tally,
    next: u32,
    pub(super) shared: Shared,
    /// Deliveries that were undone, through no fault of their own for all that is known.
    pub(super) again: VecDeque<u32>,
    /// The delivery under way shares its transaction with nobody.
    pub(super) alone: bool,
}

/// The future of one pass. Not `Send`: a worker never leaves its thread.
pub(crate) type RunFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a segment through the handler of one event type of `M`.
pub(crate) type RunFn<M> = for<'a> fn(&'a mut M, Run<'a>) -> RunFuture<'a>;

pub(crate) fn run_handler<'a, M: Handle<E>, E: Event>(module: &'a mut M, mut run: Run<'a>) -> RunFuture<'a> {
    Box::pin(async move {
        let segment = run.segment;
        let deadline = Cell::new(None);
        while let Some(index) = run.next().await {
            let envelope = &*segment.events[index as usize];
            let Some(event) = run.decode::<E>(envelope, index) else {
                continue;
            };
            deadline.set(run.shared.deadline(run.host.services.store.database_kind()));
            let mut cx = run.context(envelope, index, &deadline);
            let call = module.handle(event, &mut cx);
            let (verdict, waited) = guard(call, run.bounds(index, &deadline)).await;
            match verdict {
                Ok(()) if cx.transaction.is_none() && cx.emitted.is_empty() => {
                    run.shared.take_back(cx.shared);
                    run.acknowledged(index);
                }
                Ok(()) => run.succeeded(index, cx).await,
                Err(error) => run.undo(index, *error, cx).await,
            }
            if waited {
                run.host.report_progress(run.tally);
            }
        }
    })
}

impl<'a> Run<'a> {
    pub(super) fn new(host: &'a Host, segment: &'a Segment, info: TypeInfo, tally: &'a mut Tally) -> Self {
        let (shared, again) = (Shared::default(), VecDeque::new());
        Self { host, segment, info, tally, next: segment.from, shared, again, alone: false }
    }

    /// Returns the next delivery that may be started, or `None` when this pass is over.
    async fn next(&mut self) -> Option<u32> {
        loop {
            if self.tally.end.is_some() {
                self.abandon();
                return None;
            }
            self.alone = !self.again.is_empty();
            if self.alone {
                return self.again.pop_front();
            }
            if self.next == self.segment.to {
                if self.shared.indices.is_empty() {
                    return None;
                }
                self.flush().await;
                continue;
            }
            if let Some(limiter) = &self.host.limiter {
                limiter.until_ready(&self.host.services.stopping).await;
            }
            let index = self.next;
            self.next += 1;
            if self.host.services.stopping.load(Ordering::Relaxed) || self.is_held_back(index) {
                self.tally.except(self.segment, index, Outcome::NotTried);
                continue;
            }
            return Some(index);
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

    fn context<'c>(
        &mut self,
        envelope: &'c Envelope,
        index: u32,
        deadline: &'c Cell<Option<Instant>>,
    ) -> Context<'c>
    where
        'a: 'c,
    {
        Context {
            envelope,
            attempt: self.segment.attempts.of(index),
            module: &self.host.name,
            services: &self.host.services,
            deadline,
            transaction: None,
            shared: self.shared.lend(),
            emitted: Vec::new(),
        }
    }

    fn bounds<'c>(&self, index: u32, deadline: &'c Cell<Option<Instant>>) -> Bounds<'c>
    where
        'a: 'c,
    {
        Bounds {
            timeout: self.host.timeout,
            deadline,
            marker: &self.host.marker,
            delivery: (self.segment.flight, index),
        }
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

    async fn until_ready(&self, stopping: &std::sync::atomic::AtomicBool) {
        use governor::clock::Clock;
        while let Err(not_yet) = self.0.check() {
            if stopping.load(Ordering::Relaxed) {
                return;
            }
            let wait = not_yet.wait_time_from(governor::clock::DefaultClock::default().now());
            tokio::time::sleep(wait.min(STOP_CHECK)).await;
        }
    }
}
