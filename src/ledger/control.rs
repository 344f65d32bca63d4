//! What an operator and a shutdown ask of the ledger.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::module::ModuleLedger;
use super::{Ledger, ModuleId, ModuleSpec, ModuleStart, WorkerId, number};
use crate::breaker::BreakerState;
use crate::delivery::ModuleState;

/// How a module is doing, as far as the ledger knows.
#[derive(Debug)]
pub(crate) struct LedgerHealth {
    pub(crate) state: ModuleState,
    pub(crate) queued: u32,
    pub(crate) in_flight: u32,
    pub(crate) workers_ready: u32,
    pub(crate) restarts_total: u64,
    pub(crate) acked_total: u64,
    pub(crate) failures_total: u64,
    pub(crate) last_failure: Option<String>,
    pub(crate) breakers: Vec<(Arc<str>, BreakerState, u64)>,
}

impl Ledger {
    /// Adds a module; its workers are to be built.
    pub(crate) fn add_module(&mut self, spec: ModuleSpec, start: ModuleStart) -> ModuleId {
        let name = Arc::clone(&spec.name);
        let id = ModuleId(self.modules_added);
        self.modules_added += 1;
        let mut module = ModuleLedger::new(spec, start);
        if let (Some(keys), Some(retired)) = (&mut module.keys, self.retired.remove(&name)) {
            *keys = retired;
        }
        self.modules.insert(id, module);
        self.by_name.insert(name, id);
        self.plan_workers(id);
        id
    }

    /// Takes a module off this node: what it has not handled becomes rows.
    pub(crate) fn remove_module(&mut self, now: Duration, id: ModuleId) {
        self.pause(now, id);
        for worker in self.workers_of(id) {
            let untried = self.take_unanswered(worker);
            self.requeue(now, id, untried, &HashSet::new());
        }
        if let Some(module) = self.modules.remove(&id) {
            self.by_name.remove(&module.spec.name);
            if let Some(mut keys) = module.keys {
                keys.forget();
                self.retired.insert(module.spec.name, keys);
            }
        }
        if self.alone.is_some_and(|(module, _)| module == id) {
            self.alone = None;
        }
    }

    pub(crate) fn is_paused(&self, id: ModuleId) -> bool {
        self.module(id).is_some_and(|module| module.state == ModuleState::Paused)
    }

    /// Holds a module's deliveries in the store; what a worker has begun is finished.
    pub(crate) fn pause(&mut self, now: Duration, id: ModuleId) {
        if let Some(module) = self.module_mut(id) {
            module.state = ModuleState::Paused;
        }
        self.empty_queue(now, id, |_| true);
    }

    pub(crate) fn resume(&mut self, now: Duration, id: ModuleId) {
        if let Some(module) = self.module_mut(id)
            && module.state == ModuleState::Paused
        {
            module.state = ModuleState::Behind;
            module.claim_not_before = now;
        }
    }

    /// Tells whether this node may run an ordered module, and from memory.
    pub(crate) fn set_lease(&mut self, now: Duration, id: ModuleId, is_leased: bool, is_sole: bool) {
        let Some(module) = self.module_mut(id) else { return };
        let was = (module.is_leased, module.is_sole);
        module.is_leased = is_leased;
        module.is_sole = is_sole;
        if was == (is_leased, is_sole) {
            return;
        }
        // What other nodes wrote in the meantime is not known here.
        module.forget_keys();
        self.fall_behind(now, id);
    }

    /// Says that others wrote rows, or may have: an adoption, a plain insert, a redrive,
    /// a replay, or a commit of which nobody knows whether it happened. Modules that are ordered find out which keys they hold before they go on
    /// from memory; call it before later events of those keys can be published.
    pub(crate) fn rows_appeared(&mut self, now: Duration) {
        for module in self.modules.values_mut() {
            module.due_in(now);
            module.forget_keys();
        }
    }

    /// Begins the end: nothing is claimed or dispatched any more, and what waits becomes rows.
    pub(crate) fn drain(&mut self, now: Duration) {
        self.draining = true;
        for id in self.module_ids() {
            self.empty_queue(now, id, |_| true);
        }
    }

    /// Gives up what workers still have: it becomes rows, untried.
    pub(crate) fn abandon(&mut self, now: Duration) {
        self.draining = true;
        for id in self.module_ids() {
            for worker in self.workers_of(id) {
                let untried = self.take_unanswered(worker);
                if let Some(module) = self.module_mut(id) {
                    // Whatever it reports from here on comes too late.
                    module.workers[worker.index as usize].incarnation += 1;
                }
                self.requeue(now, id, untried, &HashSet::new());
            }
        }
    }

    /// Returns whether nothing is in memory: no queue, nothing with a worker, no commit or claim under way.
    pub(crate) fn is_drained(&self) -> bool {
        self.settlement.is_empty()
            && self.flights.is_empty()
            && self.marks.is_empty()
            && self.modules.values().all(|module| module.load() == 0 && !module.is_claiming)
    }

    pub(crate) fn health(&self, now: Duration, id: ModuleId) -> Option<LedgerHealth> {
        let module = self.module(id)?;
        let mut breakers: Vec<_> = module
            .breakers
            .iter()
            .map(|(event_type, breaker)| (Arc::clone(event_type), breaker.state(now), breaker.opens()))
            .collect();
        breakers.sort_by(|a, b| a.0.cmp(&b.0));
        Some(LedgerHealth {
            state: module.state,
            queued: module.queued,
            in_flight: module.in_flight,
            workers_ready: number(module.workers.iter().filter(|place| place.is_ready).count()),
            restarts_total: module.restarts_total,
            acked_total: module.acked_total,
            failures_total: module.failures_total,
            last_failure: module.last_failure.clone(),
            breakers,
        })
    }

    fn workers_of(&self, id: ModuleId) -> Vec<WorkerId> {
        let Some(module) = self.module(id) else {
            return Vec::new();
        };
        (0..module.workers.len())
            .map(|index| WorkerId {
                module: id,
                index: number(index),
                incarnation: module.workers[index].incarnation,
            })
            .collect()
    }
}
