//! The workers of the model world: they run handlers, fail, and report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Attempts, Dispatch, Exception, FlightId, ModuleId, Outcome, Report, Rest, Span, WorkerEnd, WorkerId,
};
use super::world::{Happening, World};
use crate::delivery::{Failure, FailureKind, KeyOrder};
use crate::envelope::Envelope;

/// One delivery in a worker's hands.
#[derive(Clone)]
pub(super) struct Assigned {
    pub(super) flight: FlightId,
    pub(super) index: u32,
    pub(super) envelope: Arc<Envelope>,
    attempts: Attempts,
}

/// A worker that is alive.
pub(super) struct SimWorker {
    pub(super) id: WorkerId,
    pub(super) assigned: Vec<Assigned>,
    pub(super) next: usize,
    failed_keys: BTreeSet<String>,
    failures_in_a_row: u32,
    reported_at: Duration,
}

/// What a worker answers in one report.
#[derive(Default)]
struct Answer {
    done: Vec<Span>,
    exceptions: Vec<Exception>,
    good: Vec<(Arc<str>, i64)>,
    end: Option<WorkerEnd>,
}

impl Answer {
    fn answer(&mut self, delivery: &Assigned, exception: Option<Outcome>) {
        let (flight, index) = (delivery.flight, delivery.index);
        match self.done.last_mut() {
            Some(span) if span.flight == flight && span.to == index => span.to += 1,
            _ => self.done.push(Span { flight, from: index, to: index + 1 }),
        }
        self.exceptions.extend(exception.map(|outcome| Exception { flight, index, outcome }));
    }
}

impl World {
    pub(super) fn build(&mut self, worker: WorkerId) {
        if !self.hosted.contains_key(&worker.module) {
            return;
        }
        if self.is_troubled() && self.chance(0.1) {
            self.report_later(
                worker,
                Answer::default(),
                Rest::Ended(WorkerEnd::FactoryFailed),
                Duration::ZERO,
            );
            return;
        }
        let built = SimWorker {
            id: worker,
            assigned: Vec::new(),
            next: 0,
            failed_keys: BTreeSet::new(),
            failures_in_a_row: 0,
            reported_at: Duration::ZERO,
        };
        self.workers.insert((worker.module, worker.index), built);
        let delay = self.millis(0..10);
        self.schedule(delay, Happening::Ready(worker));
    }

    pub(super) fn assign(&mut self, dispatch: &Dispatch) {
        let id = dispatch.worker;
        self.say(|| {
            format!(
                "gives {id:?} {:?}",
                dispatch
                    .segments
                    .iter()
                    .map(|segment| (segment.flight, segment.from, segment.to))
                    .collect::<Vec<_>>()
            )
        });
        let worker = self.workers.get_mut(&(id.module, id.index)).expect("a ready worker is alive");
        assert!(
            worker.id == id && worker.next == worker.assigned.len(),
            "one dispatch at a time, to those who are alive"
        );
        worker.assigned = dispatch
            .segments
            .iter()
            .flat_map(|segment| {
                (segment.from..segment.to).map(|index| Assigned {
                    flight: segment.flight,
                    index,
                    envelope: Arc::clone(&segment.events[index as usize]),
                    attempts: segment.attempts.clone(),
                })
            })
            .collect();
        worker.next = 0;
        worker.failed_keys.clear();
        let delay = self.millis(0..10);
        self.schedule(delay, Happening::Work(id));
    }

    /// A worker runs some of its deliveries and reports them.
    pub(super) fn work(&mut self, id: WorkerId) {
        let Some(mut worker) = self.workers.remove(&(id.module, id.index)) else { return };
        if worker.id != id {
            self.workers.insert((id.module, id.index), worker);
            return;
        }
        let mut answer = Answer::default();
        for _ in 0..self.rng.u32(1..12) {
            let Some(delivery) = worker.assigned.get(worker.next).cloned() else { break };
            worker.next += 1;
            self.run_one(&mut worker, &delivery, &mut answer);
            if answer.end.is_some() {
                break;
            }
        }
        let is_over = worker.next == worker.assigned.len();
        let rest = match answer.end {
            Some(end) => Rest::Ended(end),
            None if is_over => Rest::Finished,
            None => Rest::More,
        };
        let earliest = worker.reported_at;
        worker.reported_at = self.report_later(id, answer, rest, earliest);
        match rest {
            Rest::Ended(_) => return,
            Rest::More => {
                let delay = self.millis(0..20);
                self.schedule(delay, Happening::Work(id));
            }
            Rest::Finished => {}
        }
        self.workers.insert((id.module, id.index), worker);
    }

    fn run_one(&mut self, worker: &mut SimWorker, delivery: &Assigned, answer: &mut Answer) {
        let module = worker.id.module;
        let key = delivery.envelope.metadata.ordering_key.clone();
        if self.is_skipped(worker, delivery) {
            return answer.answer(delivery, Some(Outcome::NotTried));
        }
        self.handled(module, delivery);
        let outcome = self.outcome(module, delivery);
        if let Some(Outcome::Failed(failure)) = &outcome {
            worker.failed_keys.extend(key);
            answer.end = match failure.kind {
                FailureKind::Panic => Some(WorkerEnd::Panicked),
                FailureKind::Timeout => Some(WorkerEnd::TimedOut),
                FailureKind::Fatal | FailureKind::Decode => None,
                FailureKind::Retryable => {
                    worker.failures_in_a_row += 1;
                    (worker.failures_in_a_row >= 5).then_some(WorkerEnd::RepeatedFailures)
                }
            };
        } else {
            worker.failures_in_a_row = 0;
            answer.good.push(self.succeeded(module, delivery));
        }
        answer.answer(delivery, outcome);
    }

    /// Returns whether a worker does not begin a delivery.
    pub(super) fn is_skipped(&self, worker: &SimWorker, delivery: &Assigned) -> bool {
        let is_ordered = self.spec_of(worker.id.module).order != KeyOrder::Unordered;
        let key = delivery.envelope.metadata.ordering_key.as_ref();
        self.broker.is_draining || (is_ordered && key.is_some_and(|key| worker.failed_keys.contains(key)))
    }

    fn outcome(&mut self, module: ModuleId, delivery: &Assigned) -> Option<Outcome> {
        let failed = |kind| {
            let message = "the model world is against it".to_owned();
            Some(Outcome::Failed(Failure { kind, message }))
        };
        if self.is_troubled() && self.chance(self.failure_rate) {
            return failed(match self.rng.u32(0..100) {
                0..60 => FailureKind::Retryable,
                60..70 => FailureKind::Fatal,
                70..75 => FailureKind::Decode,
                75..85 => FailureKind::Timeout,
                _ => FailureKind::Panic,
            });
        }
        if !self.chance(0.3) {
            return None;
        }
        let claimed = (!delivery.attempts.is_live()).then(|| delivery.attempts.of(delivery.index));
        let seq = self.seq_of(delivery);
        let name = Arc::clone(&self.hosted[&module]);
        if self.store.receipt(self.now, self.node, &name, seq, claimed) {
            Some(Outcome::Committed)
        } else {
            failed(FailureKind::Retryable)
        }
    }

    /// Sends a report; reports of one worker never overtake each other.
    fn report_later(&mut self, worker: WorkerId, answer: Answer, rest: Rest, earliest: Duration) -> Duration {
        let at = (self.now + self.millis(0..8)).max(earliest);
        let report = Report { worker, done: answer.done, exceptions: answer.exceptions, rest };
        self.schedule(at.saturating_sub(self.now), Happening::Report(report, answer.good));
        at
    }

    pub(super) fn report(&mut self, report: Report, good: &[(Arc<str>, i64)]) {
        self.say(|| format!("hears {report:?}"));
        if self.ledger.is_current(report.worker) {
            self.witness.answered(self.node, good);
        }
        self.ledger.report(self.now, report);
    }

    pub(super) fn seq_of(&self, delivery: &Assigned) -> i64 {
        self.store.seq_of(delivery.envelope.id).expect("only stored events are delivered")
    }

    /// Returns whether handlers may still fail.
    pub(super) fn is_troubled(&self) -> bool {
        !self.is_calm()
    }
}
