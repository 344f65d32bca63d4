//! What must hold in every world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::super::{DeadLetter, Dispatch, ModuleId};
use super::store::Node;
use super::workers::Assigned;
use super::world::World;
use crate::delivery::ModuleState;
use crate::delivery::{ADOPTIONS_BEFORE_ALONE, DeliveryState, KeyOrder, Settlement};

type Delivery = (Arc<str>, i64);

/// What has been seen from outside the ledger.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) operations: u32,
    /// For each event, when its commit began, and which commit it was.
    admitted: BTreeMap<Uuid, (u32, u32)>,
    /// When its publisher was told that it is durable.
    stored: BTreeMap<Uuid, u32>,
    acked: BTreeSet<Delivery>,
    dead: BTreeSet<Delivery>,
    /// Successes that the ledger has heard of, and on which run of the node.
    answered: BTreeMap<Delivery, Node>,
    /// Claimed rows whose settlement was written twice: their claim may have been lost.
    doubtful: BTreeSet<(Arc<str>, Uuid)>,
}

impl Witness {
    pub(super) fn admitted(&mut self, event: Uuid, step: u32) {
        self.admitted.insert(event, (step, self.operations));
    }

    pub(super) fn stored(&mut self, event: Uuid, step: u32) {
        self.stored.insert(event, step);
    }

    pub(super) fn answered(&mut self, node: Node, good: &[Delivery]) {
        self.answered.extend(good.iter().map(|delivery| (delivery.clone(), node)));
    }

    pub(super) fn doubt(&mut self, settlement: &Settlement) {
        let changes = settlement.changes.iter();
        self.doubtful.extend(changes.map(|change| (Arc::clone(&change.module), change.event_id)));
    }

    /// Returns whether `earlier` was published before `later` was begun to be.
    fn precedes(&self, earlier: Uuid, later: Uuid) -> bool {
        let (begun, commit) = self.admitted[&later];
        let same_commit = self.admitted[&earlier].1 == commit;
        self.stored.get(&earlier).is_some_and(|stored| same_commit || *stored < begun)
    }
}

impl World {
    /// A handler starts.
    pub(super) fn handled(&mut self, id: ModuleId, delivery: &Assigned) {
        let seq = self.seq_of(delivery);
        let name = Arc::clone(&self.hosted[&id]);
        self.say(|| format!("{name} handles {seq} {:?}", delivery.envelope.metadata.ordering_key));
        let event = &self.store.events[&seq];
        assert!(event.route.modules.contains(&name), "{name} got {seq}, which is not for it");
        let again = self.witness.answered.get(&(Arc::clone(&name), seq)) == Some(&self.node);
        let doubtful = self.witness.doubtful.contains(&(Arc::clone(&name), delivery.envelope.id));
        assert!(!again || doubtful, "{name} got {seq} again after it was acked");
        self.check_order(id, &name, seq);
    }

    fn check_order(&self, id: ModuleId, name: &Arc<str>, seq: i64) {
        let order = self.spec_of(id).order;
        let event = &self.store.events[&seq].envelope;
        let Some(key) = event.metadata.ordering_key.as_ref().filter(|_| order != KeyOrder::Unordered) else {
            return;
        };
        for (before, earlier) in self.store.events.range(..seq) {
            let is_same_key = earlier.envelope.metadata.ordering_key.as_ref() == Some(key);
            if !is_same_key
                || !earlier.route.modules.contains(name)
                || !self.witness.precedes(earlier.envelope.id, event.id)
            {
                continue;
            }
            let delivery = (Arc::clone(name), *before);
            let is_acked = self.witness.acked.contains(&delivery);
            let is_dead = self.witness.dead.contains(&delivery);
            let goes_on = is_acked || (is_dead && order == KeyOrder::Ordered);
            assert!(goes_on, "{name} handles {seq} before {before}, both of {key}");
        }
    }

    /// A handler ended well.
    pub(super) fn succeeded(&mut self, id: ModuleId, delivery: &Assigned) -> Delivery {
        let done = (Arc::clone(&self.hosted[&id]), self.seq_of(delivery));
        self.witness.acked.insert(done.clone());
        done
    }

    pub(super) fn record_dead(&mut self, dead: &DeadLetter) {
        let seq = self.store.seq_of(dead.envelope.id).expect("only stored events die");
        self.say(|| format!("{} gives up {seq} after {}", dead.module, dead.attempts));
        self.witness.dead.insert((Arc::clone(&dead.module), seq));
    }

    /// Nothing is dispatched through a breaker that is not closed, but its probe; and what may kill the process is alone.
    pub(super) fn check_dispatch(&self, dispatch: &Dispatch) {
        let module = self.ledger.module(dispatch.worker.module).expect("a dispatch is for a module");
        assert!(module.state != ModuleState::Paused, "a paused module gets nothing");
        for segment in &dispatch.segments {
            let passes = module.lets_through(segment.event_type()) || module.is_probe(segment);
            assert!(passes, "{} went through an open breaker", segment.event_type());
        }
        let suspects = |segment: &super::super::Segment| {
            segment.events[segment.from as usize..segment.to as usize]
                .iter()
                .filter(|event| self.adoptions_of(event.id) >= ADOPTIONS_BEFORE_ALONE)
                .count()
        };
        let out =
            self.ledger.modules.values().flat_map(|module| &module.workers).flat_map(|place| &place.out);
        assert!(out.map(suspects).sum::<usize>() <= 1, "two deliveries that may kill the process are out");
    }

    fn adoptions_of(&self, event: Uuid) -> u32 {
        let seq = self.store.seq_of(event).expect("only stored events are delivered");
        self.store.events[&seq].adoptions
    }

    /// Memory is bounded: a module's capacity, and what a claim brings while it fills up.
    pub(super) fn check_memory(&self) {
        for module in self.ledger.modules.values() {
            let bound = 2 * module.spec.capacity;
            assert!(module.load() <= bound, "{} holds {} deliveries", module.spec.name, module.load());
            let queued: u32 = module.queues.iter().flatten().map(super::super::Segment::len).sum();
            assert_eq!(queued, module.queued, "queued deliveries are counted right");
        }
        let bytes: usize = self.ledger.modules.values().map(|module| module.bytes).sum();
        let load: u32 = self.ledger.modules.values().map(super::super::module::ModuleLedger::load).sum();
        assert_eq!(bytes, load as usize * "{\"score\":1}".len(), "bytes are counted right");
    }

    /// An event is processed only when every target has acked or given up.
    pub(super) fn check_finished(&self, finished: &[i64]) {
        for seq in finished {
            for module in &self.store.events[seq].route.modules {
                let delivery = (Arc::clone(module), *seq);
                let done = self.witness.acked.contains(&delivery) || self.witness.dead.contains(&delivery);
                assert!(done, "{seq} counts as processed, and {module} has not handled it");
            }
        }
    }

    /// Below the mark this node owns nothing that is unprocessed.
    pub(super) fn check_low_water(&self) {
        let below = self.store.events.range(..self.low_water);
        for (seq, event) in below {
            assert!(event.owner != Some(self.node), "{seq} is owned and below the mark {}", self.low_water);
        }
    }

    /// A clean stop leaves nothing in the hands of the node.
    pub(super) fn check_clean_stop(&self) {
        let events = self.store.events.values().filter(|event| event.owner == Some(self.node));
        assert_eq!(events.count(), 0, "a node that stopped cleanly owns no event");
        let rows = self.store.rows.values().flat_map(BTreeMap::values);
        assert_eq!(rows.filter(|row| row.owner == Some(self.node)).count(), 0, "nor a row");
    }

    pub(super) fn has_dead_or_pending(&self) -> bool {
        let mut rows = self.store.rows.values().flat_map(BTreeMap::values);
        rows.any(|row| matches!(row.state, DeliveryState::Dead | DeliveryState::Pending))
    }

    /// An operator redrives all dead letters; returns how many.
    pub(super) fn redrive(&mut self) -> usize {
        let store = &self.store;
        let is_dead = |delivery: &Delivery| {
            let row = store.rows.get(&delivery.0).and_then(|rows| rows.get(&delivery.1));
            row.is_some_and(|row| row.state == DeliveryState::Dead)
        };
        self.witness.answered.retain(|delivery, _| !is_dead(delivery));
        self.store.redrive(self.now)
    }

    /// In the end every target of every event has handled it, and every module is on the live path.
    pub(super) fn check_the_end(&self) {
        for (seq, event) in &self.store.events {
            for module in &event.route.modules {
                let acked = self.witness.acked.contains(&(Arc::clone(module), *seq));
                assert!(acked, "{module} never handled {seq}");
            }
        }
        assert!(self.ledger.marks.is_empty() && self.ledger.flights.is_empty(), "nothing is left in the air");
        assert!(self.ledger.alone.is_none(), "nobody waits for the one that runs alone");
    }

    pub(super) fn is_everybody_live(&self) -> bool {
        self.ledger.modules.values().all(|module| module.state == ModuleState::Live && module.knows_keys())
    }
}
