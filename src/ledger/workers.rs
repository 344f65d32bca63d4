//! Workers come, go, and are built anew; too many ends in too short a time open the breakers.

use std::time::Duration;

use super::report::Round;
use super::{FlightId, Ledger, ModuleId, Rebuild, WorkerEnd, WorkerId, number};
use crate::delivery::{Failure, FailureKind};

impl Ledger {
    pub(super) fn is_current(&self, worker: WorkerId) -> bool {
        self.module(worker.module)
            .and_then(|module| module.workers.get(worker.index as usize))
            .is_some_and(|place| place.incarnation == worker.incarnation)
    }

    /// A worker's actor is there.
    pub(crate) fn worker_ready(&mut self, _now: Duration, worker: WorkerId) {
        if self.is_current(worker)
            && let Some(module) = self.module_mut(worker.module)
        {
            let place = &mut module.workers[worker.index as usize];
            place.is_ready = true;
            place.is_busy = false;
        }
    }

    pub(super) fn idle(&mut self, worker: WorkerId) {
        if let Some(module) = self.module_mut(worker.module) {
            module.workers[worker.index as usize].is_busy = false;
        }
    }

    /// A worker's end was seen from outside. The delivery that ended it has failed;
    /// whatever else the worker had was not tried.
    pub(crate) fn worker_ended(
        &mut self,
        now: Duration,
        worker: WorkerId,
        end: WorkerEnd,
        culprit: Option<(FlightId, u32)>,
    ) {
        if !self.is_current(worker) {
            return;
        }
        let mut round = Round::default();
        for mut segment in self.take_unanswered(worker) {
            let guilty = culprit.filter(|(flight, index)| {
                segment.flight == *flight && (segment.from..segment.to).contains(index)
            });
            let Some((_, index)) = guilty else {
                round.untried.push(segment);
                continue;
            };
            let before = segment.split_front(index - segment.from);
            let one = segment.split_front(1);
            round.untried.extend([before, segment].into_iter().filter(|part| part.len() > 0));
            let failure = Failure {
                kind: FailureKind::Timeout,
                message: "blocked its thread past its timeout; run it on its own thread or make it async"
                    .to_owned(),
            };
            self.fail(now, worker.module, &one, failure, &mut round);
        }
        self.put_rest_back(now, worker, round);
        self.worker_gone(now, worker, end);
    }

    /// Plans the successor of a worker.
    pub(super) fn worker_gone(&mut self, now: Duration, worker: WorkerId, end: WorkerEnd) {
        let delay = self.restart_delay(now, worker.module, end);
        let Some(module) = self.module_mut(worker.module) else { return };
        module.restarts_total += 1;
        let place = &mut module.workers[worker.index as usize];
        place.incarnation += 1;
        place.is_ready = false;
        place.is_busy = false;
        self.rebuilds
            .push(Rebuild { worker: WorkerId { incarnation: worker.incarnation + 1, ..worker }, delay });
    }

    /// Returns how long the successor waits: not at all, or, past the restart
    /// intensity, as long as the module's breakers stay open.
    fn restart_delay(&mut self, now: Duration, id: ModuleId, end: WorkerEnd) -> Duration {
        let Some(module) = self.module_mut(id) else {
            return Duration::ZERO;
        };
        if end == WorkerEnd::Collateral {
            return Duration::ZERO;
        }
        let window = module.spec.restart_window;
        while module.restarts.front().is_some_and(|at| *at + window <= now) {
            module.restarts.pop_front();
        }
        module.restarts.push_back(now);
        if module.restarts.len() <= module.spec.restart_limit {
            return Duration::ZERO;
        }
        tracing::error!(
            module = &*module.spec.name,
            restarts = module.restarts.len(),
            ?window,
            "workers end too often; all breakers of the module open"
        );
        let waits = module.breakers.values_mut().map(|breaker| breaker.force_open(now));
        let delay = waits.max().unwrap_or(module.spec.breaker.open_for);
        self.fall_behind(now, id);
        delay
    }

    /// Plans the first workers of a module.
    pub(super) fn plan_workers(&mut self, id: ModuleId) {
        let Some(module) = self.module(id) else { return };
        let first = (0..module.workers.len()).map(|index| Rebuild {
            worker: WorkerId { module: id, index: number(index), incarnation: 0 },
            delay: Duration::ZERO,
        });
        let first: Vec<Rebuild> = first.collect();
        self.rebuilds.extend(first);
    }
}
