//! What workers report, and what follows from it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::ModuleState;
use super::queue::End;
use super::{DeadLetter, FlightId, Ledger, ModuleId, Segment, WorkerId};
use crate::breaker::{Breaker, Change};
use crate::delivery::{Failure, FailureKind, Next};

/// A range of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) flight: FlightId,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// A delivery that did not simply succeed.
#[derive(Debug)]
pub(crate) struct Exception {
    pub(crate) flight: FlightId,
    pub(crate) index: u32,
    pub(crate) outcome: Outcome,
}

/// How it ended instead.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Well, and its own transaction has written the acknowledgement.
    Committed,
    Failed(Failure),
    /// It was not begun, or its interruption is nobody's fault.
    NotTried,
}

/// What a worker has answered.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) worker: WorkerId,
    /// Everything that is answered now, exceptions included.
    pub(crate) done: Vec<Span>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) rest: Rest,
}

/// What becomes of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The dispatch goes on.
    More,
    /// The worker is idle.
    Finished,
    /// The worker is gone; what it did not answer was not tried.
    Ended(WorkerEnd),
}

/// Why a worker is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerEnd {
    Panicked,
    TimedOut,
    RepeatedFailures,
    FactoryFailed,
    /// Its handler blocked its thread past the timeout.
    Blocked,
    /// It lost its place through no fault of its own.
    Collateral,
}

impl Ledger {
    /// Takes a worker's report. One of a worker that was replaced changes nothing.
    pub(crate) fn report(&mut self, now: Duration, report: Report) {
        let Report { worker, done, exceptions, rest } = report;
        if !self.is_current(worker) {
            return;
        }
        let mut outcomes: HashMap<(FlightId, u32), Outcome> = exceptions
            .into_iter()
            .map(|exception| ((exception.flight, exception.index), exception.outcome))
            .collect();
        let mut round = Round::default();
        for span in done {
            for piece in self.take_answered(worker, span) {
                self.settle_piece(now, worker.module, piece, &mut outcomes, &mut round);
            }
        }
        if rest != Rest::More {
            round.untried.extend(self.take_unanswered(worker));
        }
        self.hold_back(now, worker.module, &round.failed_keys);
        self.requeue(now, worker.module, round);
        match rest {
            Rest::More => {}
            Rest::Finished => self.idle(worker),
            Rest::Ended(end) => self.worker_gone(now, worker, end),
        }
    }

    /// Cuts an answered span out of what the worker has.
    fn take_answered(&mut self, worker: WorkerId, span: Span) -> Vec<Segment> {
        let Some(module) = self.module_mut(worker.module) else {
            return Vec::new();
        };
        let out = &mut module.workers[worker.index as usize].out;
        let mut pieces = Vec::new();
        let mut kept = VecDeque::with_capacity(out.len());
        while let Some(mut segment) = out.pop_front() {
            if segment.flight != span.flight || segment.to <= span.from || segment.from >= span.to {
                kept.push_back(segment);
                continue;
            }
            if segment.from < span.from {
                kept.push_back(segment.split_front(span.from - segment.from));
            }
            let answered = segment.split_front(span.to - segment.from);
            pieces.push(answered);
            if segment.len() > 0 {
                kept.push_back(segment);
            }
            if pieces.last().is_some_and(|piece| piece.to == span.to) {
                break;
            }
        }
        kept.append(out);
        *out = kept;
        module.in_flight -= pieces.iter().map(Segment::len).sum::<u32>();
        for piece in &pieces {
            self.forget_bytes(worker.module, piece);
        }
        pieces
    }

    pub(super) fn take_unanswered(&mut self, worker: WorkerId) -> Vec<Segment> {
        let Some(module) = self.module_mut(worker.module) else {
            return Vec::new();
        };
        let rest: Vec<Segment> = module.workers[worker.index as usize].out.drain(..).collect();
        module.in_flight -= rest.iter().map(Segment::len).sum::<u32>();
        for segment in &rest {
            self.forget_bytes(worker.module, segment);
        }
        rest
    }

    /// Settles a piece, in one go between exceptions.
    fn settle_piece(
        &mut self,
        now: Duration,
        id: ModuleId,
        mut piece: Segment,
        outcomes: &mut HashMap<(FlightId, u32), Outcome>,
        round: &mut Round,
    ) {
        if outcomes.is_empty() {
            return self.succeed(now, id, &piece);
        }
        while piece.len() > 0 {
            let good = (piece.from..piece.to)
                .take_while(|index| !outcomes.contains_key(&(piece.flight, *index)))
                .count();
            if good > 0 {
                let run = piece.split_front(super::number(good));
                self.succeed(now, id, &run);
                continue;
            }
            let one = piece.split_front(1);
            match outcomes.remove(&(one.flight, one.from)) {
                Some(Outcome::Committed) => self.commit_one(now, id, &one),
                Some(Outcome::Failed(failure)) => self.fail(now, id, &one, failure, round),
                Some(Outcome::NotTried) | None => round.untried.push(one),
            }
        }
    }

    fn succeed(&mut self, now: Duration, id: ModuleId, run: &Segment) {
        self.count_successes(now, id, run);
        if !run.attempts.is_live() {
            for index in run.from..run.to {
                self.change_row(id, run, index, Next::Acked, None);
            }
            self.end_alone(run);
        }
        self.answered(run.flight, run.from, run.to);
    }

    fn commit_one(&mut self, now: Duration, id: ModuleId, one: &Segment) {
        self.count_successes(now, id, one);
        if !one.attempts.is_live() {
            if let Some(module) = self.module_mut(id) {
                module.release_key(one.key(one.from));
            }
            self.end_alone(one);
        }
        self.answered(one.flight, one.from, one.to);
    }

    fn count_successes(&mut self, now: Duration, id: ModuleId, run: &Segment) {
        let Some(module) = self.module_mut(id) else { return };
        module.acked_total += u64::from(run.len());
        module.probe_over(run.event_type());
        if module.breaker(run.event_type()).succeeded(now, u64::from(run.len())) == Change::Closed {
            module.due_in(now);
            tracing::info!(module = &*module.spec.name, event_type = &**run.event_type(), "breaker closed");
        }
    }

    pub(super) fn fail(&mut self, now: Duration, id: ModuleId, one: &Segment, failure: Failure, round: &mut Round) {
        let attempt = one.attempts.of(one.from);
        let jitter = (self.jitter)();
        let Some(module) = self.module_mut(id) else { return };
        module.failures_total += 1;
        module.probe_over(one.event_type());
        module.last_failure = Some(failure.message.clone());
        let retryable = !matches!(failure.kind, FailureKind::Fatal | FailureKind::Decode);
        let exhausted = retryable && module.spec.retry.is_last(attempt);
        let next = if retryable && !exhausted {
            let delay = module.spec.retry.delay_after(attempt).mul_f64(jitter.clamp(0.0, 1.0));
            module.due_in(now + delay);
            round.failed_keys.extend(one.key(one.from).map(str::to_owned));
            Next::Pending(delay)
        } else {
            if module.spec.order == crate::delivery::KeyOrder::OrderedHoldingDead {
                round.failed_keys.extend(one.key(one.from).map(str::to_owned));
            }
            Next::Dead
        };
        let opened = retryable && module.breaker(one.event_type()).failed(now) == Change::Opened;
        if next == Next::Dead {
            let dead = DeadLetter {
                envelope: Arc::clone(&one.events[one.from as usize]),
                module: Arc::clone(&module.spec.name),
                attempts: attempt,
                failure: failure.clone(),
                exhausted,
            };
            self.dead.push(dead);
        }
        if one.attempts.is_live() {
            self.write_row(id, one, one.from, attempt, next, Some(failure));
        } else {
            self.change_row(id, one, one.from, next, Some(failure));
            self.end_alone(one);
        }
        self.answered(one.flight, one.from, one.to);
        if opened {
            self.opened(now, id, one.event_type());
        }
    }

    /// A breaker opened: deliveries of its type wait in the store. An ordered module
    /// has all of its deliveries claimed from there, so that keys keep their order across types.
    fn opened(&mut self, now: Duration, id: ModuleId, event_type: &Arc<str>) {
        let Some(module) = self.module(id) else { return };
        tracing::error!(module = &*module.spec.name, event_type = &**event_type, "breaker opened; deliveries wait in the store");
        if module.is_ordered() {
            self.fall_behind(now, id);
        } else {
            self.empty_queue(now, id, |segment| segment.event_type() == event_type);
        }
    }

    /// Sends queued deliveries of failed keys to the store, behind the one that failed.
    pub(super) fn hold_back(&mut self, now: Duration, id: ModuleId, failed_keys: &HashSet<String>) {
        let ordered = self.module(id).is_some_and(super::module::ModuleLedger::is_ordered);
        if ordered && !failed_keys.is_empty() {
            self.empty_queue(now, id, |segment| {
                segment.key(segment.from).is_some_and(|key| failed_keys.contains(key))
            });
        }
    }

    /// Puts untried deliveries back where they were, or into the store if their module takes none.
    pub(super) fn requeue(&mut self, now: Duration, id: ModuleId, round: Round) {
        for segment in round.untried.into_iter().rev() {
            let Some(module) = self.module(id) else {
                self.send_to_store(now, id, &segment);
                continue;
            };
            let flows = module.state != ModuleState::Paused
                && !self.draining
                && module.breakers.get(segment.event_type()).is_none_or(Breaker::is_closed);
            let held = module.is_ordered() && segment.key(segment.from).is_some_and(|key| round.failed_keys.contains(key));
            if flows && !held {
                self.enqueue(now, id, segment, End::Front);
                continue;
            }
            if !held && module.is_ordered() {
                // Later rows of its key may be queued here already: they go back too, behind it.
                self.fall_behind(now, id);
            }
            self.send_to_store(now, id, &segment);
        }
    }

    /// The delivery that runs alone has an outcome, if `segment` holds it.
    pub(super) fn end_alone(&mut self, segment: &Segment) {
        if let Some((_, Some(alone))) = self.alone
            && segment.events[segment.from as usize..segment.to as usize].iter().any(|event| event.id == alone)
        {
            self.alone = None;
        }
    }
}

/// What one report leaves to be put somewhere.
#[derive(Default)]
pub(super) struct Round {
    pub(super) untried: Vec<Segment>,
    pub(super) failed_keys: HashSet<String>,
}
