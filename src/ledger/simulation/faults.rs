//! What goes wrong in the model world, and what its operators do.

use std::sync::Arc;

use super::super::{ModuleId, WorkerEnd, WorkerId};
use super::world::{Happening, World};
use crate::delivery::KeyOrder;

impl World {
    pub(super) fn fault(&mut self) {
        if self.faults_left == 0 && !self.broker.is_draining {
            return;
        }
        if self.broker.is_draining {
            self.drain_on();
        } else {
            self.faults_left -= 1;
            match self.rng.u32(0..100) {
                0..12 => self.crash(),
                12..20 => self.drain(),
                20..35 => self.end_worker(),
                35..45 => self.pause_or_resume(),
                45..55 => self.remove_or_host(),
                55..65 => self.lease(),
                65..75 => {
                    self.say(|| "redrives".to_owned());
                    if self.redrive() > 0 {
                        self.ledger.rows_appeared(self.now);
                    }
                }
                _ => {}
            }
        }
        let pause = self.millis(0..150);
        self.schedule(pause, Happening::Fault);
    }

    fn crash(&mut self) {
        self.say(|| "crashes".to_owned());
        self.next_node();
    }

    fn drain(&mut self) {
        self.say(|| "is told to stop".to_owned());
        self.broker.is_draining = true;
        self.ledger.drain(self.now);
    }

    /// A stop goes on until everything is in the store, or what is left is given up.
    fn drain_on(&mut self) {
        if self.ledger.is_drained() && self.broker.is_idle() && self.operations.is_empty() {
            self.check_clean_stop();
            self.say(|| "has stopped".to_owned());
            self.next_node();
        } else if self.chance(0.3) {
            self.say(|| "gives up what is left".to_owned());
            self.ledger.abandon(self.now);
        }
    }

    /// A worker's end is seen from outside: its thread is blocked, it died, or it is restarted.
    fn end_worker(&mut self) {
        let alive: Vec<(ModuleId, u32)> = self.workers.keys().copied().collect();
        if alive.is_empty() {
            return;
        }
        let place = alive[self.rng.usize(0..alive.len())];
        let Some(worker) = self.workers.remove(&place) else { return };
        let current = worker.assigned.get(worker.next);
        let (end, culprit) = match self.rng.u32(0..4) {
            0 | 1 => (WorkerEnd::Blocked, current.map(|delivery| (delivery.flight, delivery.index))),
            2 => (WorkerEnd::Panicked, None),
            _ => (WorkerEnd::Collateral, None),
        };
        if let (Some(delivery), Some(_)) = (current, culprit)
            && !self.is_skipped(&worker, delivery)
        {
            self.handled(place.0, delivery);
            self.end(worker.id, end, culprit);
        } else {
            self.end(worker.id, WorkerEnd::Collateral, None);
        }
    }

    fn end(&mut self, worker: WorkerId, end: WorkerEnd, culprit: Option<(super::super::FlightId, u32)>) {
        self.say(|| format!("loses {worker:?} {end:?} {culprit:?}"));
        self.ledger.worker_ended(self.now, worker, end, culprit);
    }

    fn any_module(&mut self) -> Option<ModuleId> {
        let hosted: Vec<ModuleId> = self.hosted.keys().copied().collect();
        (!hosted.is_empty()).then(|| hosted[self.rng.usize(0..hosted.len())])
    }

    fn pause_or_resume(&mut self) {
        let Some(id) = self.any_module() else { return };
        self.say(|| format!("pauses or resumes {id:?}"));
        if self.ledger.is_paused(id) {
            self.ledger.resume(self.now, id);
        } else {
            self.ledger.pause(self.now, id);
        }
    }

    fn remove_or_host(&mut self) {
        let missing =
            (0..self.specs.len()).find(|index| self.id_of(&Arc::clone(&self.specs[*index].name)).is_none());
        if let Some(index) = missing {
            return self.host(index);
        }
        let Some(id) = self.any_module() else { return };
        self.say(|| format!("removes {id:?}"));
        self.ledger.remove_module(self.now, id);
        self.hosted.remove(&id);
        self.workers.retain(|(module, _), _| *module != id);
    }

    fn lease(&mut self) {
        let Some(id) = self.any_module() else { return };
        if self.spec_of(id).order != KeyOrder::Unordered {
            let (is_leased, is_sole) = [(false, false), (true, false), (true, true)][self.rng.usize(0..3)];
            self.say(|| format!("{id:?} is leased {is_leased}, sole {is_sole}"));
            self.ledger.set_lease(self.now, id, is_leased, is_sole);
        }
    }
}
