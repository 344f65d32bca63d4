//! Claiming rows: when, how many, and what a claim says about the module.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::flight::{Attempts, Flight};
use super::keys::{HeldKeys, Keys, Suspects};
use super::module::{ModuleLedger, Probe};
use super::queue::End;
use super::{Ledger, ModuleId, number};
use crate::breaker::{Breaker, BreakerState};
use crate::delivery::ModuleState;
use crate::delivery::{ClaimRequest, Claimed, Next};

/// The most rows in one claim.
const CLAIM_MAX: u32 = 1_024;
/// How long a module rests after a claim failed, or a probe found nothing.
const REST: Duration = Duration::from_secs(1);
/// How long a module rests that came back short but cannot return to the live path.
const SHORT_REST: Duration = Duration::from_millis(100);

impl Ledger {
    /// Takes the store's word on which modules have rows that are due, and when.
    pub(crate) fn due(&mut self, now: Duration, due: &[(Arc<str>, Duration)], alone: &[Arc<str>]) {
        for (name, delay) in due {
            if let Some(module) = self.module_named(name) {
                module.due_in(now + *delay);
            }
        }
        for module in self.modules.values_mut() {
            module.alone_due = alone.contains(&module.spec.name);
        }
    }

    /// Returns the claims that are to be made now. One a module is under way at a time.
    pub(crate) fn claims(&mut self, now: Duration) -> Vec<(ModuleId, ClaimRequest)> {
        let mut claims = Vec::new();
        if self.draining {
            return claims;
        }
        for (id, module) in &mut self.modules {
            let Some(request) = module.wanted_claim(now, self.alone.is_none()) else {
                continue;
            };
            if request.alone {
                self.alone = Some((*id, None));
            }
            claims.push((*id, request));
        }
        claims
    }

    /// Takes what a claim brought.
    pub(crate) fn claimed(
        &mut self,
        now: Duration,
        id: ModuleId,
        request: &ClaimRequest,
        rows: Vec<Claimed>,
        told: HeldKeys,
    ) {
        if request.alone && self.alone == Some((id, None)) {
            self.alone = rows.first().map(|row| (id, Some(row.envelope.id)));
        }
        let draining = self.draining;
        let Some(module) = self.module_mut(id) else {
            return self.put_back(now, &request.module, rows);
        };
        let suspects = module.claim_over(now, request, &rows, told);
        let (accepted, refused) = if draining || module.state == ModuleState::Paused || !module.is_leased {
            (Vec::new(), rows)
        } else {
            module.sort_out(rows, &suspects)
        };
        self.launch_claimed(now, id, &accepted);
        self.put_back(now, &request.module, refused);
    }

    /// A claim failed: nothing is claimed.
    pub(crate) fn claim_failed(&mut self, now: Duration, id: ModuleId, request: &ClaimRequest) {
        if request.alone && self.alone == Some((id, None)) {
            self.alone = None;
        }
        if let Some(module) = self.module_mut(id) {
            module.is_claiming = false;
            module.keys.as_mut().map(Keys::claim_ends);
            if request.probe.is_some() {
                module.probe = None;
            }
            module.claim_not_before = now + REST;
            module.due_in(now + REST);
        }
    }

    /// Queues claimed rows; neighbours of one type share a flight.
    fn launch_claimed(&mut self, now: Duration, id: ModuleId, rows: &[Claimed]) {
        for run in rows.chunk_by(|a, b| a.envelope.event_type == b.envelope.event_type) {
            let attempts: Arc<[u32]> = run.iter().map(|row| row.attempt).collect();
            let events = run.iter().map(|row| Arc::clone(&row.envelope)).collect();
            let flight = Flight::new(events, Attempts::Claimed(attempts), vec![1; run.len()].into(), None);
            let flight = self.insert_flight(flight);
            let all = self.flight(flight).map(|known| known.segment(flight, 0, number(run.len())));
            if let Some(segment) = all {
                self.enqueue(now, id, segment, End::Back);
            }
        }
    }

    /// Puts claimed rows that were never queued back into the store, untried.
    fn put_back(&mut self, now: Duration, name: &Arc<str>, rows: Vec<Claimed>) {
        for row in rows {
            self.change_claimed(name, &row, Next::Untried(Duration::ZERO), None);
            let event = Some(row.envelope.id);
            if self.alone.is_some_and(|(_, alone)| alone == event) {
                self.alone = None;
            }
            if let Some(module) = self.module_named(name) {
                module.due_in(now);
                if module.probe.as_ref().is_some_and(|probe| probe.event == event) {
                    module.probe = None;
                }
            }
        }
    }
}

impl ModuleLedger {
    /// Returns the claim that the module wants now, and notes that it is under way.
    fn wanted_claim(&mut self, now: Duration, alone_is_free: bool) -> Option<ClaimRequest> {
        let alone = self.alone_due && alone_is_free;
        let behind = self.state == ModuleState::Behind || !self.knows_keys();
        let is_wanted = behind || alone || self.due_at.is_some_and(|at| at <= now);
        let is_allowed = self.state != ModuleState::Paused && self.is_leased && !self.is_claiming;
        let room = self.room();
        if !is_wanted || !is_allowed || now < self.claim_not_before || room == 0 {
            return None;
        }
        let probe = if alone { None } else { self.wanted_probe(now) };
        if behind && !alone && probe.is_none() && !self.lets_claim_in_order() {
            return None;
        }
        let excepted = |(event_type, breaker): &(&Arc<str>, &Breaker)| match breaker.state(now) {
            BreakerState::Closed => false,
            BreakerState::Open => true,
            // The one that runs alone may be all that there is to probe with.
            BreakerState::HalfOpen if alone => self.probe.is_some(),
            BreakerState::HalfOpen => Some(*event_type) != probe.as_ref(),
        };
        let except_types = self.breakers.iter().filter(excepted);
        let request = ClaimRequest {
            module: Arc::clone(&self.spec.name),
            limit: if alone || probe.is_some() { 1 } else { room },
            order: self.spec.order,
            except_types: except_types.map(|(event_type, _)| Arc::clone(event_type)).collect(),
            probe,
            alone,
        };
        self.claim_begins(&request);
        Some(request)
    }

    /// Returns whether a claim of a backlog can find keys that are free.
    ///
    /// A row that is claimed holds back those of its key behind it until its outcome is written: before
    /// that, an ordered claim would look through the whole backlog and bring next to nothing.
    fn lets_claim_in_order(&self) -> bool {
        let Some(keys) = &self.keys else { return true };
        self.queued == 0 && !keys.is_changing() && self.workers.iter().any(|place| !place.is_busy)
    }

    /// Returns how many rows are worth claiming: none while there is just a little room.
    fn room(&self) -> u32 {
        let load = self.load().saturating_add(self.incoming);
        let room = self.spec.capacity.saturating_sub(load).min(CLAIM_MAX);
        let is_worthwhile = room >= (self.spec.capacity / 4).clamp(1, 256);
        if is_worthwhile && self.bytes < self.spec.capacity_bytes { room } else { 0 }
    }

    /// Returns the type of which one delivery may try, if a breaker is half-open.
    fn wanted_probe(&self, now: Duration) -> Option<Arc<str>> {
        if self.probe.is_some() {
            return None;
        }
        let mut half_open = self.breakers.iter().filter(|(event_type, breaker)| {
            let rests = self.probe_rests.get(*event_type).is_some_and(|until| now < *until);
            breaker.state(now) == BreakerState::HalfOpen && !rests
        });
        half_open.next().map(|(event_type, _)| Arc::clone(event_type))
    }

    fn claim_begins(&mut self, request: &ClaimRequest) {
        self.is_claiming = true;
        if let Some(keys) = &mut self.keys {
            keys.claim_begins();
        }
        if request.probe.is_some() {
            self.probe = Some(Probe { event: None });
        } else if request.alone {
            self.alone_due = false;
        } else {
            self.due_at = None;
        }
    }

    /// Draws conclusions from a claim; returns the keys that moved while it was under way.
    fn claim_over(
        &mut self,
        now: Duration,
        request: &ClaimRequest,
        rows: &[Claimed],
        told: HeldKeys,
    ) -> Suspects {
        self.is_claiming = false;
        let suspects = self.keys.as_mut().map(Keys::claim_ends).unwrap_or_default();
        if let Some(event_type) = &request.probe {
            let event = rows.first().map(|row| row.envelope.id);
            if event.is_none() {
                self.probe_rests.insert(Arc::clone(event_type), now + REST);
            }
            self.probe = event.map(|event| Probe { event: Some(event) });
        } else if request.alone {
            let row = rows
                .first()
                .filter(|row| self.probe.is_none() && !self.lets_through(&row.envelope.event_type));
            if let Some(row) = row {
                self.probe = Some(Probe { event: Some(row.envelope.id) });
            }
        } else if rows.len() < request.limit as usize {
            self.caught_up(now, told, &suspects);
        } else {
            self.due_in(now);
        }
        suspects
    }

    /// A claim came back short: the store has no more rows that are due, so the
    /// module returns to the live path. Rows that are still on their way there are
    /// claimed when they are due; only their keys must not be overtaken.
    fn caught_up(&mut self, now: Duration, told: HeldKeys, suspects: &Suspects) {
        let running = self.running_rows();
        let is_exact = self.keys.as_mut().is_none_or(|keys| keys.recount(told, suspects, &running));
        if !is_exact {
            self.due_in(now + REST);
        }
        if !self.knows_keys() {
            self.claim_not_before = now + SHORT_REST;
        } else if self.state == ModuleState::Behind {
            self.state = ModuleState::Live;
            tracing::debug!(module = &*self.spec.name, "module has caught up; it is on the live path");
        }
    }

    /// Returns the keys of claimed rows that workers have, with how many of each.
    fn running_rows(&self) -> HashMap<String, u32> {
        let mut running = HashMap::new();
        if !self.is_ordered() {
            return running;
        }
        let out = self.workers.iter().flat_map(|place| &place.out);
        for segment in out.filter(|segment| !segment.attempts.is_live()) {
            for key in (segment.from..segment.to).filter_map(|index| segment.key(index)) {
                *running.entry(key.to_owned()).or_insert(0) += 1;
            }
        }
        running
    }

    /// Parts claimed rows into those that are queued and those that go back: of keys
    /// that moved, because an earlier delivery may have been on its way into the
    /// store, and of types whose breaker opened meanwhile.
    fn sort_out(&mut self, rows: Vec<Claimed>, suspects: &Suspects) -> (Vec<Claimed>, Vec<Claimed>) {
        let mut refused_keys: HashSet<String> = HashSet::new();
        let (mut accepted, mut refused) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let event_type = &row.envelope.event_type;
            let is_probe = self.probe.as_ref().is_some_and(|probe| probe.event == Some(row.envelope.id));
            let passes = is_probe || self.lets_through(event_type);
            let key = row.envelope.metadata.ordering_key.as_deref().filter(|_| self.is_ordered());
            if let Some(key) = key
                && self.knows_keys()
                && !self.is_held(Some(key))
            {
                // A row that nobody here counted: others write rows too.
                self.forget_keys();
            }
            let is_suspect = key.is_some_and(|key| suspects.may_precede(key) || refused_keys.contains(key));
            if passes && !is_suspect {
                accepted.push(row);
            } else {
                refused_keys.extend(key.map(str::to_owned));
                refused.push(row);
            }
        }
        (accepted, refused)
    }
}
