//! The broker of the model world: it carries inputs to the ledger and decisions to the store.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{Admission, ModuleId, ModuleStart};
use super::store::Node;
use super::world::{Happening, World};
use crate::delivery::{ClaimRequest, Claimed, KeyOrder, Routed, Settlement};
use crate::envelope::{Envelope, Metadata, Payload};
use crate::ledger::HeldKeys;

/// What the real broker keeps beside the ledger.
#[expect(clippy::struct_excessive_bools, reason = "what is under way, each on its own")]
pub(super) struct Broker {
    /// Events and settlements share a transaction.
    pub(super) one_writer: bool,
    waiting: Vec<Routed>,
    persisting: bool,
    settling: bool,
    pub(super) is_draining: bool,
}

/// A statement under way.
pub(super) enum Operation {
    Commit {
        admission: Option<Admission>,
        seqs: Vec<i64>,
        settlement: Settlement,
        /// It is the transaction of somebody else, beside the broker's own commits.
        is_extra: bool,
        result: CommitResult,
    },
    Claim {
        module: ModuleId,
        request: ClaimRequest,
        result: Option<(Vec<Claimed>, HeldKeys)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitResult {
    Done,
    Failed,
    /// It happened, but the answer got lost.
    Ambiguous,
}

impl Broker {
    pub(super) fn new(one_writer: bool) -> Self {
        Self { one_writer, waiting: Vec::new(), persisting: false, settling: false, is_draining: false }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.persisting && !self.settling
    }
}

impl World {
    pub(super) fn start_node(&mut self) {
        for index in 0..self.specs.len() {
            self.host(index);
        }
        let (poll, beat) = (self.millis(0..250), self.millis(0..500));
        self.schedule(poll, Happening::Poll);
        self.schedule(beat, Happening::Beat);
    }

    pub(super) fn host(&mut self, index: usize) {
        let spec = self.specs[index].clone();
        let name = Arc::clone(&spec.name);
        let is_ordered = spec.order != KeyOrder::Unordered;
        let start = if self.chance(0.05) { ModuleStart::Paused } else { ModuleStart::Behind };
        let id = self.ledger.add_module(spec, start);
        self.hosted.insert(id, name);
        if is_ordered {
            self.ledger.set_lease(self.now, id, true, true);
        }
    }

    /// A publisher comes with a few events.
    pub(super) fn publish(&mut self) {
        let count = self.rng.u32(1..8).min(self.to_publish);
        self.to_publish -= count;
        let keyed = self.chance(0.6);
        let events: Vec<Routed> = (0..count).map(|_| self.new_event(keyed)).collect();
        if self.broker.is_draining || events.is_empty() {
            self.say(|| "refuses events: it is stopping".to_owned());
        } else if self.chance(0.15) {
            self.commit(events, Settlement::default(), true);
        } else {
            self.broker.waiting.extend(events);
        }
        if self.to_publish > 0 {
            let pause = self.millis(0..60);
            self.schedule(pause, Happening::Publish);
        }
    }

    fn new_event(&mut self, keyed: bool) -> Routed {
        self.published += 1;
        let route = Arc::clone(&self.routes[self.rng.usize(0..self.routes.len())]);
        let key = (keyed && self.chance(0.8)).then(|| format!("key-{}", self.rng.u32(0..self.keys)));
        let envelope = Envelope {
            id: Uuid::from_u128(u128::from(self.published)),
            event_type: route.event_type.to_string().into(),
            schema_version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
            metadata: Metadata { ordering_key: key, ..Metadata::default() },
            payload: Payload::from_json("{\"score\":1}"),
        };
        Routed { envelope: Arc::new(envelope), route }
    }

    /// Carries out what the ledger decided.
    pub(super) fn flush(&mut self) {
        for rebuild in self.ledger.take_rebuilds() {
            self.schedule(rebuild.delay, Happening::Build(rebuild.worker));
        }
        for dispatch in self.ledger.take_dispatches(self.now) {
            self.check_dispatch(&dispatch);
            self.assign(&dispatch);
        }
        for dead in self.ledger.take_dead() {
            self.record_dead(&dead);
        }
        self.start_commits();
        for (module, request) in self.ledger.claims(self.now) {
            self.say(|| format!("claims {request:?}"));
            self.start(Operation::Claim { module, request, result: None });
        }
    }

    fn start_commits(&mut self) {
        let settles = self.ledger.owes_settlement();
        let one_writer = self.broker.one_writer;
        if !self.broker.persisting && (!self.broker.waiting.is_empty() || (settles && one_writer)) {
            let events = std::mem::take(&mut self.broker.waiting);
            let settlement = if one_writer { self.ledger.take_settlement() } else { Settlement::default() };
            self.broker.persisting = true;
            self.commit(events, settlement, false);
        }
        if !self.broker.settling && settles && !one_writer {
            let settlement = self.ledger.take_settlement();
            self.broker.settling = true;
            self.commit(Vec::new(), settlement, false);
        }
    }

    fn commit(&mut self, events: Vec<Routed>, settlement: Settlement, is_extra: bool) {
        let admission = (!events.is_empty()).then(|| self.ledger.admit(self.now, events));
        let mut seqs = Vec::new();
        if let Some(admission) = &admission {
            for event in &admission.events {
                self.next_seq += self.rng.i64(1..3);
                seqs.push(self.next_seq);
                self.witness.admitted(event.envelope.id, self.steps);
            }
            self.say(|| {
                format!("commits {seqs:?}, owned {:?}, spilled {:?}", admission.owned(), admission.spilled)
            });
        }
        if !settlement.is_empty() {
            self.say(|| format!("settles {settlement:?}"));
        }
        let result = match self.rng.u32(0..1_000) {
            0..30 if !self.is_calm() => CommitResult::Failed,
            30..40 if !self.is_calm() => CommitResult::Ambiguous,
            _ => CommitResult::Done,
        };
        self.start(Operation::Commit { admission, seqs, settlement, is_extra, result });
    }

    fn start(&mut self, operation: Operation) {
        self.witness.operations += 1;
        let number = self.witness.operations;
        self.operations.insert(number, operation);
        let delay = self.millis(0..15);
        self.schedule(delay, Happening::Effect(number));
    }

    pub(super) fn take_effect(&mut self, number: u32) {
        let (now, node) = (self.now, self.node);
        match self.operations.get_mut(&number) {
            Some(Operation::Commit { admission, seqs, settlement, result, .. })
                if *result != CommitResult::Failed =>
            {
                if let Some(admission) = admission {
                    self.store.insert(node, &admission.events, &admission.owned(), seqs);
                    self.store.insert_spilled(now, &admission.spilled, seqs);
                }
                let finished = self.store.settle(now, node, settlement);
                self.check_finished(&finished);
            }
            Some(Operation::Commit { .. }) | None => {}
            Some(Operation::Claim { request, result, .. }) => {
                let fails = self.faults_left > 0 && self.rng.f64() < 0.03;
                *result = (!fails).then(|| self.store.claim(now, node, request));
            }
        }
        let delay = self.millis(0..5);
        self.schedule(delay, Happening::Reply(number));
    }

    pub(super) fn reply(&mut self, number: u32) {
        match self.operations.remove(&number) {
            Some(Operation::Commit { admission, seqs, settlement, is_extra, result }) => {
                if is_extra {
                } else if self.broker.one_writer || admission.is_some() {
                    self.broker.persisting = false;
                } else {
                    self.broker.settling = false;
                }
                self.committed(admission, &seqs, settlement, result);
            }
            Some(Operation::Claim { module, request, result }) => match result {
                Some((rows, told)) => {
                    self.say(|| format!("claimed for {} {rows:?} {told:?}", request.module));
                    self.ledger.claimed(self.now, module, &request, rows, told);
                }
                None => self.ledger.claim_failed(self.now, module, &request),
            },
            None => {}
        }
    }

    fn committed(
        &mut self,
        admission: Option<Admission>,
        seqs: &[i64],
        settlement: Settlement,
        result: CommitResult,
    ) {
        self.say(|| format!("hears that {seqs:?} is {result:?}"));
        if result == CommitResult::Done {
            self.ledger.settled(self.now, &settlement);
            if let Some(admission) = admission {
                for event in &admission.events {
                    self.witness.stored(event.envelope.id, self.steps);
                }
                self.ledger.published(self.now, admission, seqs[0], seqs[seqs.len() - 1]);
            }
            return;
        }
        if result == CommitResult::Ambiguous {
            self.witness.doubt(&settlement);
        }
        self.ledger.not_settled(settlement);
        let Some(admission) = admission else { return };
        // Nobody has these events yet: the mark stays below them until they are rows.
        let mark = (result == CommitResult::Ambiguous).then(|| self.ledger.hold_low_water());
        let _events = self.ledger.refused(admission);
        if let Some(mark) = mark {
            self.ledger.rows_appeared(self.now);
            let delay = self.millis(0..500);
            self.schedule(delay, Happening::Rescue(seqs.to_vec(), mark));
        }
    }

    pub(super) fn rescue(&mut self, seqs: &[i64], mark: i64) {
        for seq in seqs {
            self.store.make_rows(self.now, *seq);
        }
        self.ledger.release_low_water(mark);
        self.ledger.rows_appeared(self.now);
    }

    pub(super) fn poll(&mut self) {
        let (due, alone) = self.store.poll(self.now);
        self.ledger.due(self.now, &due, &alone);
        if self.is_calm() {
            self.calm_down();
        }
        self.schedule(Duration::from_millis(250), Happening::Poll);
    }

    /// When the faults are over, an operator puts everything right.
    fn calm_down(&mut self) {
        for index in 0..self.specs.len() {
            if self.id_of(&Arc::clone(&self.specs[index].name)).is_none() && !self.broker.is_draining {
                self.host(index);
            }
        }
        let hosted: Vec<ModuleId> = self.hosted.keys().copied().collect();
        for id in hosted {
            self.ledger.resume(self.now, id);
            if self.spec_of(id).order != KeyOrder::Unordered {
                self.ledger.set_lease(self.now, id, true, true);
            }
        }
        if self.redrive() > 0 {
            self.ledger.rows_appeared(self.now);
        }
    }

    pub(super) fn beat(&mut self) {
        let low_water = self.ledger.low_water();
        assert!(low_water >= self.low_water, "the low-water mark went back");
        self.low_water = low_water;
        self.check_low_water();
        self.schedule(Duration::from_millis(300), Happening::Beat);
    }

    /// The node that is running ended; another takes over what it left.
    pub(super) fn next_node(&mut self) {
        let dead: Node = self.node;
        self.forget_node();
        self.node += 1;
        let adoptions = self.rng.u32(1..4);
        self.store.adopt(self.now, dead, self.low_water, adoptions);
        self.low_water = self.next_seq + 1;
        self.ledger = super::world::new_ledger(&mut self.rng, self.low_water);
        let one_writer = self.broker.one_writer;
        self.broker = Broker::new(one_writer);
        self.start_node();
    }
}
