//! Claiming rows: when, how many, and what a claim says about the module.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::flight::{Attempts, Flight};
use super::module::ClaimUnderWay;
use crate::delivery::ModuleState;
use super::queue::End;
use super::{Ledger, ModuleId, number};
use crate::breaker::BreakerState;
use crate::delivery::{ClaimRequest, Claimed, Next};

/// The most rows in one claim.
const CLAIM_MAX: u32 = 1_024;
/// How long a module rests after a claim failed, or a probe found nothing.
const REST: Duration = Duration::from_secs(1);

/// Keys that have rows in the store, as a short claim of an ordered module reports them.
#[derive(Debug, Default)]
pub(crate) struct HeldKeys {
    pub(crate) counts: Vec<(String, u32)>,
    /// There are more keys than were counted: the module stays behind.
    pub(crate) too_many: bool,
}

impl Ledger {
    /// Takes the store's word on which modules have rows that are due, and when.
    pub(crate) fn due(&mut self, now: Duration, due: &[(Arc<str>, Duration)], alone: &[Arc<str>]) {
        for (name, delay) in due {
            if let Some(module) = self.by_name.get(name).copied().and_then(|id| self.module_mut(id)) {
                module.due_in(now + *delay);
            }
        }
        for id in self.module_ids() {
            if let Some(module) = self.module_mut(id) {
                module.alone_due = alone.contains(&module.spec.name);
            }
        }
    }

    /// Returns the claims that are to be made now. One a module is under way at a time.
    pub(crate) fn claims(&mut self, now: Duration) -> Vec<(ModuleId, ClaimRequest)> {
        if self.draining {
            return Vec::new();
        }
        let mut claims = Vec::new();
        for id in self.module_ids() {
            let alone_is_free = self.alone.is_none();
            let Some(module) = self.module_mut(id) else { continue };
            let Some(request) = module.wanted_claim(now, alone_is_free) else {
                continue;
            };
            if request.alone {
                module.alone_due = false;
                self.alone = Some((id, None));
            }
            claims.push((id, request));
        }
        claims
    }

    /// Takes what a claim brought.
    pub(crate) fn claimed(&mut self, now: Duration, id: ModuleId, request: &ClaimRequest, rows: Vec<Claimed>, held: HeldKeys) {
        let short = rows.len() < request.limit as usize;
        if request.alone {
            self.alone = rows.first().map(|row| (id, Some(row.envelope.id)));
        }
        let Some(module) = self.module_mut(id) else {
            return self.give_back(now, id, rows, &HashSet::new());
        };
        let claim = module.claim.take().unwrap_or_default();
        if request.probe.is_some() && rows.is_empty() {
            module.probing = None;
            module.probe_not_before = now + REST;
        }
        if request.probe.is_none() && !request.alone && short {
            module.caught_up(&claim, held);
        }
        let suspect_keys = claim.suspect_keys;
        if module.state == ModuleState::Paused || self.draining {
            return self.give_back(now, id, rows, &HashSet::new());
        }
        self.give_back(now, id, rows, &suspect_keys);
    }

    /// A claim failed: nothing was claimed, or the node's lease will free it.
    pub(crate) fn claim_failed(&mut self, now: Duration, id: ModuleId, request: &ClaimRequest) {
        if request.alone {
            self.alone = None;
        }
        if let Some(module) = self.module_mut(id) {
            module.claim = None;
            if request.probe.is_some() {
                module.probing = None;
            }
            module.claim_not_before = now + REST;
            module.due_in(now + REST);
        }
    }

    /// Queues claimed rows, but for those of `suspect` keys: an earlier delivery of
    /// theirs was on its way into the store when they were claimed.
    fn give_back(&mut self, now: Duration, id: ModuleId, rows: Vec<Claimed>, suspect: &HashSet<String>) {
        let takes = self.module(id).is_some_and(|module| module.state != ModuleState::Paused) && !self.draining;
        let mut run: Vec<Claimed> = Vec::new();
        for row in rows {
            if run.first().is_some_and(|first| first.envelope.event_type != row.envelope.event_type) {
                self.launch_claimed(now, id, std::mem::take(&mut run), takes, suspect);
            }
            run.push(row);
        }
        if !run.is_empty() {
            self.launch_claimed(now, id, run, takes, suspect);
        }
    }

    fn launch_claimed(&mut self, now: Duration, id: ModuleId, run: Vec<Claimed>, takes: bool, suspect: &HashSet<String>) {
        let attempts: Arc<[u32]> = run.iter().map(|row| row.attempt).collect();
        let events = run.into_iter().map(|row| row.envelope).collect();
        let left = vec![1; attempts.len()];
        let flight = Flight::new(events, Attempts::Claimed(attempts), left.into(), None);
        let segment = flight.segment(super::FlightId::from_number(0), 0, number(flight.left.len()));
        let flight = self.insert_flight(flight);
        let mut rest = super::Segment { flight, ..segment };
        while rest.len() > 0 {
            let one = if suspect.is_empty() { rest.split_front(u32::MAX) } else { rest.split_front(1) };
            let is_suspect = one.key(one.from).is_some_and(|key| suspect.contains(key));
            if takes && !is_suspect {
                self.enqueue(now, id, one, End::Back);
            } else {
                self.put_back(now, id, &one);
            }
        }
    }

    /// Puts claimed rows back into the store, untried.
    fn put_back(&mut self, now: Duration, id: ModuleId, segment: &super::Segment) {
        if self.module(id).is_some() {
            return self.send_to_store(now, id, segment);
        }
        for index in segment.from..segment.to {
            self.change_row(id, segment, index, Next::Untried(Duration::ZERO), None);
        }
        self.answered(segment.flight, segment.from, segment.to);
    }
}

impl super::module::ModuleLedger {
    /// Returns the claim that the module wants now, and notes that it is under way.
    fn wanted_claim(&mut self, now: Duration, alone_is_free: bool) -> Option<ClaimRequest> {
        let behind = self.state == ModuleState::Behind;
        let due = self.due_at.is_some_and(|at| at <= now) || (self.alone_due && alone_is_free);
        let room = self.spec.capacity.saturating_sub(self.load()).min(CLAIM_MAX);
        let worthwhile = room >= (self.spec.capacity / 4).clamp(1, 256) && self.bytes < self.spec.capacity_bytes;
        if self.state == ModuleState::Paused
            || !self.is_leased
            || self.claim.is_some()
            || now < self.claim_not_before
            || !(behind || due)
            || !worthwhile
        {
            return None;
        }
        let mut request = ClaimRequest {
            module: Arc::clone(&self.spec.name),
            limit: room,
            order: self.spec.order,
            except_types: Vec::new(),
            probe: None,
            alone: self.alone_due && alone_is_free,
        };
        if request.alone {
            request.limit = 1;
        }
        for (event_type, breaker) in &self.breakers {
            if !breaker.is_closed() {
                request.except_types.push(Arc::clone(event_type));
            }
            let may_probe = self.probing.is_none() && now >= self.probe_not_before && !request.alone;
            if breaker.state(now) == BreakerState::HalfOpen && may_probe {
                request.probe = Some(Arc::clone(event_type));
                request.limit = 1;
            }
        }
        request.except_types.sort();
        if request.probe.is_some() {
            self.probing.clone_from(&request.probe);
        }
        if request.probe.is_none() && !request.alone {
            self.due_at = None;
        }
        self.claim = Some(ClaimUnderWay {
            epoch: self.rows_epoch,
            suspect_keys: self.unwritten.keys().cloned().collect(),
        });
        Some(request)
    }

    /// A claim came back short: the store has no more rows that are due. The module
    /// returns to the live path, unless rows were on their way while the claim looked.
    fn caught_up(&mut self, claim: &ClaimUnderWay, held: HeldKeys) {
        if self.state != ModuleState::Behind
            || self.rows_under_way > 0
            || claim.epoch != self.rows_epoch
            || held.too_many
        {
            return;
        }
        self.state = ModuleState::Live;
        self.held = held.counts.into_iter().collect();
        tracing::debug!(module = &*self.spec.name, "module has caught up; it is on the live path");
    }
}
