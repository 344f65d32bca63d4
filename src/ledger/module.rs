//! What the ledger keeps for one module.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use super::{ModuleSpec, ModuleStart, Segment};
use crate::breaker::Breaker;
use crate::delivery::{KeyOrder, ModuleState};

/// One worker's place.
#[derive(Debug, Default)]
pub(super) struct WorkerPlace {
    pub(super) incarnation: u32,
    /// An actor is there and takes deliveries.
    pub(super) is_ready: bool,
    /// What the worker has and has not answered, in order.
    pub(super) out: VecDeque<Segment>,
    /// A report says that the dispatch is over.
    pub(super) is_busy: bool,
}

/// A claim under way.
#[derive(Debug, Default)]
pub(super) struct ClaimUnderWay {
    /// The module's `rows_epoch` when it began.
    pub(super) epoch: u64,
    /// Keys of which rows were not yet written at some time since then.
    pub(super) suspect_keys: HashSet<String>,
}

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
    pub(super) workers: Vec<WorkerPlace>,
    pub(super) breakers: HashMap<Arc<str>, Breaker>,
    pub(super) claim: Option<ClaimUnderWay>,
    /// The type of which a probe is out: claimed, queued or with a worker.
    pub(super) probing: Option<Arc<str>>,
    pub(super) probe_not_before: Duration,
    pub(super) claim_not_before: Duration,
    pub(super) due_at: Option<Duration>,
    pub(super) alone_due: bool,
    /// Moves when rows for the module are on their way into the store, or have arrived.
    pub(super) rows_epoch: u64,
    /// Commits under way that write rows for the module.
    pub(super) rows_under_way: u32,
    /// Rows pending for each key, as far as this node knows.
    pub(super) held: HashMap<String, u32>,
    /// Keys of rows that are on their way into the store.
    pub(super) unwritten: HashMap<String, u32>,
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
            breakers: HashMap::new(),
            claim: None,
            probing: None,
            probe_not_before: Duration::ZERO,
            claim_not_before: Duration::ZERO,
            due_at: None,
            alone_due: false,
            rows_epoch: 0,
            rows_under_way: 0,
            held: HashMap::new(),
            unwritten: HashMap::new(),
            restarts: VecDeque::new(),
            restarts_total: 0,
            acked_total: 0,
            failures_total: 0,
            last_failure: None,
            next_queue: 0,
        }
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.spec.order != KeyOrder::Unordered
    }

    /// Returns how many deliveries the module holds in memory.
    pub(super) fn load(&self) -> u32 {
        self.queued + self.in_flight
    }

    pub(super) fn has_room_for(&self, deliveries: u32, bytes: usize) -> bool {
        self.load().saturating_add(deliveries) <= self.spec.capacity
            && self.bytes.saturating_add(bytes) <= self.spec.capacity_bytes
    }

    /// Returns whether events of a type go to the module's queue.
    pub(super) fn takes_live(&self, event_type: &str) -> bool {
        self.state == ModuleState::Live
            && self.is_sole
            && self.is_leased
            && self.breakers.get(event_type).is_none_or(Breaker::is_closed)
    }

    pub(super) fn breaker(&mut self, event_type: &Arc<str>) -> &mut Breaker {
        let policy = &self.spec.breaker;
        self.breakers
            .entry(Arc::clone(event_type))
            .or_insert_with(|| Breaker::new(policy.clone()))
    }

    pub(super) fn is_held(&self, key: Option<&str>) -> bool {
        self.is_ordered() && key.is_some_and(|key| self.held.contains_key(key))
    }

    pub(super) fn hold_key(&mut self, key: Option<&str>) {
        if let (true, Some(key)) = (self.is_ordered(), key) {
            *self.held.entry(key.to_owned()).or_insert(0) += 1;
        }
    }

    pub(super) fn release_key(&mut self, key: Option<&str>) {
        if let (true, Some(key)) = (self.is_ordered(), key)
            && let Some(count) = self.held.get_mut(key)
        {
            *count -= 1;
            if *count == 0 {
                self.held.remove(key);
            }
        }
    }

    /// Notes that a row is on its way into the store: a claim that does not see it yet proves nothing.
    pub(super) fn row_leaves(&mut self, key: Option<&str>) {
        self.rows_under_way += 1;
        self.rows_epoch += 1;
        let Some(key) = key.filter(|_| self.is_ordered()) else {
            return;
        };
        *self.unwritten.entry(key.to_owned()).or_insert(0) += 1;
        if let Some(claim) = &mut self.claim {
            claim.suspect_keys.insert(key.to_owned());
        }
    }

    /// Notes that a row has arrived in the store, or never will.
    pub(super) fn row_arrived(&mut self, key: Option<&str>) {
        self.rows_under_way = self.rows_under_way.saturating_sub(1);
        self.rows_epoch += 1;
        if let Some(key) = key
            && let Some(count) = self.unwritten.get_mut(key)
        {
            *count -= 1;
            if *count == 0 {
                self.unwritten.remove(key);
            }
        }
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

    /// The probe of a type, if one was out, has an outcome or was put back.
    pub(super) fn probe_over(&mut self, event_type: &str) {
        if self.probing.as_deref() == Some(event_type) {
            self.probing = None;
        }
    }

    pub(super) fn due_in(&mut self, at: Duration) {
        self.due_at = Some(self.due_at.map_or(at, |known| known.min(at)));
    }
}
