//! What workers report, and what follows from it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::keys::Holds;
use super::module::ModuleLedger;
use super::queue::End;
use super::{DeadLetter, FlightId, Ledger, ModuleId, Segment, WorkerId};
use crate::breaker::Change;
use crate::delivery::ModuleState;
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
        self.set_aside(worker, &mut round);
        if rest != Rest::More {
            round.untried = self.take_unanswered(worker);
        }
        self.put_rest_back(now, worker, round);
        match rest {
            Rest::More => {}
            Rest::Finished => self.idle(worker),
            Rest::Ended(end) => self.worker_gone(now, worker, end),
        }
    }

    /// Keeps what was not tried until the dispatch is over: only then is it known
    /// what else goes back, and in which order.
    fn set_aside(&mut self, worker: WorkerId, round: &mut Round) {
        let untried = std::mem::take(&mut round.untried);
        for segment in &untried {
            self.remember_bytes(worker.module, segment);
        }
        let Some(module) = self.module_mut(worker.module) else { return };
        module.in_flight += untried.iter().map(Segment::len).sum::<u32>();
        module.workers[worker.index as usize].untried.extend(untried);
    }

    /// Puts what was not tried back, behind what failed.
    pub(super) fn put_rest_back(&mut self, now: Duration, worker: WorkerId, round: Round) {
        let Some(module) = self.module_mut(worker.module) else { return };
        let Round { untried, failed_keys } = round;
        let place = &mut module.workers[worker.index as usize];
        place.failed_keys.extend(failed_keys);
        let failed_keys = std::mem::take(&mut place.failed_keys);
        self.hold_back(now, worker.module, &failed_keys);
        self.requeue(now, worker.module, untried, &failed_keys);
        if let Some(module) = self.module_mut(worker.module) {
            module.workers[worker.index as usize].failed_keys = failed_keys;
        }
    }

    /// Cuts an answered span out of what the worker has.
    fn take_answered(&mut self, worker: WorkerId, span: Span) -> Vec<Segment> {
        let Some(module) = self.module_mut(worker.module) else {
            return Vec::new();
        };
        let pieces = cut_out(&mut module.workers[worker.index as usize].out, span);
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
        let place = &mut module.workers[worker.index as usize];
        let rest: Vec<Segment> = place.untried.drain(..).chain(place.out.drain(..)).collect();
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
            if let Some(name) = self.module(id).map(|module| Arc::clone(&module.spec.name)) {
                for index in run.from..run.to {
                    self.change_row(&name, run, index, Next::Acked, None);
                }
            }
            self.end_alone(run);
        }
        self.answered(run.flight, run.from, run.to);
    }

    fn commit_one(&mut self, now: Duration, id: ModuleId, one: &Segment) {
        self.count_successes(now, id, one);
        if !one.attempts.is_live() {
            let keys = self.module_mut(id).and_then(|module| module.keys.as_mut());
            if let (Some(keys), Some(key)) = (keys, one.key(one.from)) {
                keys.release(key);
            }
            self.end_alone(one);
        }
        self.answered(one.flight, one.from, one.to);
    }

    fn count_successes(&mut self, now: Duration, id: ModuleId, run: &Segment) {
        let Some(module) = self.module_mut(id) else { return };
        module.acked_total += u64::from(run.len());
        let counts = module.counts(run);
        module.probe_over(run);
        if counts && module.breaker(run.event_type()).succeeded(now, u64::from(run.len())) == Change::Closed {
            module.due_in(now);
            module.probe_rests.remove(run.event_type());
            tracing::info!(module = &*module.spec.name, event_type = run.event_type(), "breaker closed");
        }
    }

    pub(super) fn fail(
        &mut self,
        now: Duration,
        id: ModuleId,
        one: &Segment,
        failure: Failure,
        round: &mut Round,
    ) {
        let attempt = one.attempts.of(one.from);
        let jitter = (self.jitter)().clamp(0.0, 1.0);
        let Some(module) = self.module_mut(id) else { return };
        let name = Arc::clone(&module.spec.name);
        let is_retryable = !matches!(failure.kind, FailureKind::Fatal | FailureKind::Decode);
        let exhausted = is_retryable && module.spec.retry.is_last(attempt);
        let next = if is_retryable && !exhausted {
            let delay = module.spec.retry.delay_after(attempt).mul_f64(jitter);
            module.due_in(now + delay);
            Next::Pending(delay)
        } else {
            self.dead.push(DeadLetter {
                envelope: Arc::clone(&one.events[one.from as usize]),
                module: Arc::clone(&name),
                attempts: attempt,
                failure: failure.clone(),
                exhausted,
            });
            Next::Dead
        };
        let change = self.count_failure(now, id, one, &failure);
        let holds = self.module(id).is_some_and(|module| module.holds_key(next) == Holds::Key);
        if holds {
            round.failed_keys.extend(one.key(one.from).map(str::to_owned));
        }
        if one.attempts.is_live() {
            self.write_row(&name, one, one.from, attempt, next, Some(failure));
        } else {
            self.change_row(&name, one, one.from, next, Some(failure));
            self.end_alone(one);
        }
        self.answered(one.flight, one.from, one.to);
        if change == Change::Opened {
            self.opened(now, id, one.event_type());
        }
    }

    fn count_failure(&mut self, now: Duration, id: ModuleId, one: &Segment, failure: &Failure) -> Change {
        let Some(module) = self.module_mut(id) else {
            return Change::None;
        };
        module.failures_total += 1;
        module.last_failure = Some(failure.message.clone());
        let counts = module.counts(one) && !matches!(failure.kind, FailureKind::Fatal | FailureKind::Decode);
        module.probe_over(one);
        if counts { module.breaker(one.event_type()).failed(now) } else { Change::None }
    }

    /// A breaker opened: deliveries of its type wait in the store. An ordered module
    /// has all of its deliveries claimed from there, so that keys keep their order across types.
    fn opened(&mut self, now: Duration, id: ModuleId, event_type: &str) {
        let Some(module) = self.module(id) else { return };
        tracing::error!(
            module = &*module.spec.name,
            event_type,
            "breaker opened; deliveries wait in the store"
        );
        if module.is_ordered() {
            self.fall_behind(now, id);
        } else {
            self.empty_queue(now, id, |segment| segment.event_type() == event_type);
        }
    }

    /// Sends queued deliveries of failed keys to the store, behind the one that failed.
    pub(super) fn hold_back(&mut self, now: Duration, id: ModuleId, failed_keys: &HashSet<String>) {
        let ordered = self.module(id).is_some_and(ModuleLedger::is_ordered);
        if ordered && !failed_keys.is_empty() {
            self.empty_queue(now, id, |segment| {
                segment.key(segment.from).is_some_and(|key| failed_keys.contains(key))
            });
        }
    }

    /// Puts untried deliveries back where they were, or into the store if their module takes none.
    pub(super) fn requeue(
        &mut self,
        now: Duration,
        id: ModuleId,
        untried: Vec<Segment>,
        failed_keys: &HashSet<String>,
    ) {
        for segment in untried.into_iter().rev() {
            let Some(module) = self.module(id) else { return };
            let name = Arc::clone(&module.spec.name);
            let is_ordered = module.is_ordered();
            let flows = module.state != ModuleState::Paused
                && module.is_leased
                && !self.draining
                && (module.lets_through(segment.event_type()) || module.is_probe(&segment));
            let held = is_ordered && segment.key(segment.from).is_some_and(|key| failed_keys.contains(key));
            if flows && !held {
                self.enqueue(now, id, segment, End::Front);
                continue;
            }
            if !held && is_ordered {
                // Later rows of its key may be queued here already: they go back too, behind it.
                self.fall_behind(now, id);
            }
            self.send_to_store(now, &name, &segment);
        }
    }

    /// The delivery that runs alone has an outcome, if `segment` holds it.
    pub(super) fn end_alone(&mut self, segment: &Segment) {
        if let Some((_, Some(alone))) = self.alone
            && segment.events[segment.from as usize..segment.to as usize]
                .iter()
                .any(|event| event.id == alone)
        {
            self.alone = None;
        }
    }
}

impl ModuleLedger {
    /// Returns whether an outcome counts for the breaker: while it is not closed, only the probe's does.
    fn counts(&self, segment: &Segment) -> bool {
        self.lets_through(segment.event_type()) || self.is_probe(segment)
    }
}

/// Cuts a span out of segments. Answers come in the order of dispatch, so it is
/// nearly always at the front.
fn cut_out(out: &mut VecDeque<Segment>, span: Span) -> Vec<Segment> {
    let (mut pieces, mut skipped) = (Vec::new(), Vec::new());
    while let Some(mut segment) = out.pop_front() {
        if segment.flight != span.flight || segment.to <= span.from || segment.from >= span.to {
            skipped.push(segment);
            continue;
        }
        if segment.from < span.from {
            skipped.push(segment.split_front(span.from - segment.from));
        }
        let piece = segment.split_front(span.to - segment.from);
        let is_last = piece.to == span.to;
        pieces.push(piece);
        if segment.len() > 0 {
            out.push_front(segment);
        }
        if is_last {
            break;
        }
    }
    for segment in skipped.into_iter().rev() {
        out.push_front(segment);
    }
    pieces
}

/// What one report leaves to be put somewhere.
#[derive(Default)]
pub(super) struct Round {
    pub(super) untried: Vec<Segment>,
    pub(super) failed_keys: HashSet<String>,
}
