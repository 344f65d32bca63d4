//! What the ledger keeps for one module.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::keys::{Holds, Keys};
use super::{ModuleSpec, ModuleStart, Segment};
use crate::breaker::Breaker;
use crate::delivery::{KeyOrder, ModuleState, Next};

/// One worker's place.
#[derive(Debug, Default)]
pub(super) struct WorkerPlace {
    pub(super) incarnation: u32,
    /// An actor is there and takes deliveries.
    pub(super) is_ready: bool,
    /// What the worker has and has not answered, in order.
    pub(super) out: VecDeque<Segment>,
    /// What it has answered as not tried: put back, in order, when the dispatch is over.
    pub(super) untried: Vec<Segment>,
    /// A dispatch is under way; a report says when it is over.
    pub(super) is_busy: bool,
    /// Keys that failed in the dispatch under way: the worker skips their later deliveries.
    pub(super) failed_keys: HashSet<String>,
}

/// The probe of a half-open breaker that is out: claimed, queued or with a worker.
#[derive(Debug)]
pub(super) struct Probe {
    /// `None` while it is being claimed.
    pub(super) event: Option<Uuid>,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about a module, not one state")]
pub(super) struct ModuleLedger {
    pub(super) spec: ModuleSpec,
    pub(super) state: ModuleState,
    /// This node may run the module.
    pub(super) is_leased: bool,
    /// The live path may be used: no other node writes rows for the module that this one does not see.
    pub(super) is_sole: bool,
    /// One queue, or one a worker if the module is ordered.
    pub(super) queues: Vec<VecDeque<Segment>>,
    pub(super) queued: u32,
    pub(super) in_flight: u32,
    pub(super) bytes: usize,
    /// Live deliveries whose events are being committed, and their bytes.
    pub(super) incoming: u32,
    pub(super) incoming_bytes: usize,
    pub(super) workers: Vec<WorkerPlace>,
    pub(super) breakers: BTreeMap<Arc<str>, Breaker>,
    pub(super) probe: Option<Probe>,
    /// Types of which nothing was due when a probe was wanted, and until when they rest.
    pub(super) probe_rests: HashMap<Arc<str>, Duration>,
    pub(super) is_claiming: bool,
    pub(super) claim_not_before: Duration,
    pub(super) due_at: Option<Duration>,
    pub(super) alone_due: bool,
    /// `None` unless the module is ordered.
    pub(super) keys: Option<Keys>,
    pub(super) restarts: VecDeque<Duration>,
    pub(super) restarts_total: u64,
    pub(super) acked_total: u64,
    pub(super) failures_total: u64,
    pub(super) last_failure: Option<String>,
    next_queue: usize,
}

impl ModuleLedger {
    pub(super) fn new(spec: ModuleSpec, start: ModuleStart) -> Self {
        let is_ordered = spec.order != KeyOrder::Unordered;
        let queues = if is_ordered { spec.workers as usize } else { 1 };
        Self {
            state: match start {
                ModuleStart::Behind => ModuleState::Behind,
                ModuleStart::Paused => ModuleState::Paused,
            },
            is_leased: !is_ordered,
            is_sole: !is_ordered,
            queues: (0..queues).map(|_| VecDeque::new()).collect(),
            workers: (0..spec.workers).map(|_| WorkerPlace::default()).collect(),
            spec,
            queued: 0,
            in_flight: 0,
            bytes: 0,
            incoming: 0,
            incoming_bytes: 0,
            breakers: BTreeMap::new(),
            probe: None,
            probe_rests: HashMap::new(),
            is_claiming: false,
            claim_not_before: Duration::ZERO,
            due_at: None,
            alone_due: false,
            keys: is_ordered.then(Keys::default),
            restarts: VecDeque::new(),
            restarts_total: 0,
            acked_total: 0,
            failures_total: 0,
            last_failure: None,
            next_queue: 0,
        }
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.keys.is_some()
    }

    /// Returns how many deliveries the module holds in memory.
    pub(super) fn load(&self) -> u32 {
        self.queued + self.in_flight
    }

    pub(super) fn has_room_for(&self, deliveries: u32, bytes: usize) -> bool {
        let load = self.load().saturating_add(self.incoming).saturating_add(deliveries);
        let bytes = self.bytes.saturating_add(self.incoming_bytes).saturating_add(bytes);
        load <= self.spec.capacity && bytes <= self.spec.capacity_bytes
    }

    /// Returns whether the module knows all keys that have rows, or needs to know none.
    pub(super) fn knows_keys(&self) -> bool {
        self.keys.as_ref().is_none_or(Keys::is_complete)
    }

    pub(super) fn forget_keys(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.forget();
        }
    }

    /// Returns whether events of a type go to the module's queue.
    pub(super) fn takes_live(&self, event_type: &str) -> bool {
        self.state == ModuleState::Live
            && self.is_sole
            && self.is_leased
            && self.knows_keys()
            && self.lets_through(event_type)
    }

    /// Returns whether the breaker of a type is closed.
    pub(super) fn lets_through(&self, event_type: &str) -> bool {
        self.breakers.get(event_type).is_none_or(Breaker::is_closed)
    }

    pub(super) fn breaker(&mut self, event_type: &str) -> &mut Breaker {
        if !self.breakers.contains_key(event_type) {
            self.breakers.insert(event_type.into(), Breaker::new(self.spec.breaker.clone()));
        }
        self.breakers.get_mut(event_type).unwrap_or_else(|| unreachable!("inserted above"))
    }

    /// Returns whether an earlier row of the key is in the store.
    pub(super) fn is_held(&self, key: Option<&str>) -> bool {
        match (&self.keys, key) {
            (Some(keys), Some(key)) => keys.holds(key),
            _ => false,
        }
    }

    /// Returns whether a row in this state holds back later events of its key.
    pub(super) fn holds_key(&self, next: Next) -> Holds {
        let holds = match next {
            Next::Acked => false,
            Next::Dead => self.spec.order == KeyOrder::OrderedHoldingDead,
            Next::Pending(_) | Next::Untried(_) => true,
        };
        if holds { Holds::Key } else { Holds::Nothing }
    }

    /// Returns the queue for a key: always the same one for the same key.
    pub(super) fn queue_for(&mut self, key: Option<&str>) -> usize {
        if self.queues.len() == 1 {
            return 0;
        }
        let count = self.queues.len() as u64;
        if let Some(key) = key {
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
            usize::try_from(hash % count).unwrap_or(0)
        } else {
            self.next_queue = (self.next_queue + 1) % self.queues.len();
            self.next_queue
        }
    }

    /// Returns whether a segment is the probe that is out.
    pub(super) fn is_probe(&self, segment: &Segment) -> bool {
        let probe = self.probe.as_ref().and_then(|probe| probe.event);
        segment.len() == 1 && probe == Some(segment.events[segment.from as usize].id)
    }

    /// The probe, if `segment` is it, has an outcome or was put back.
    pub(super) fn probe_over(&mut self, segment: &Segment) {
        if self.is_probe(segment) {
            self.probe = None;
        }
    }

    pub(super) fn due_in(&mut self, at: Duration) {
        self.due_at = Some(self.due_at.map_or(at, |known| known.min(at)));
    }
}
