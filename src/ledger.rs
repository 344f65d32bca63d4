//! Who owes an acknowledgement for what: a pure state machine.
//!
//! No I/O, no clock and no randomness of its own: time and jitter come in as
//! parameters, decisions go out as values. The broker feeds it every input and
//! carries out what it answers, so the whole behaviour of a node can be run in
//! a simulation.
//!
//! Its unit is the *flight*, a run of events with one route: what happens to a
//! flight as a whole costs the same for one event as for a thousand, and one
//! event's exception is kept beside it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use uuid::Uuid;

use crate::breaker::BreakerPolicy;
use crate::delivery::{Failure, KeyOrder, Settlement};
use crate::envelope::Envelope;
use crate::retry::RetryPolicy;

mod claims;
mod control;
mod flight;
mod keys;
mod module;
mod publish;
mod queue;
mod report;
mod rows;
#[cfg(test)]
mod simulation;
mod workers;

pub(crate) use control::LedgerHealth;
pub(crate) use flight::{Attempts, FlightId, Segment};
pub(crate) use keys::HeldKeys;
pub(crate) use publish::Admission;
pub(crate) use report::{Exception, Outcome, Report, Rest, Span, WorkerEnd};

use flight::Flight;
use keys::Keys;
use module::ModuleLedger;

/// A module of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ModuleId(pub(crate) u32);

/// One worker, from its building to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkerId {
    pub(crate) module: ModuleId,
    pub(crate) index: u32,
    pub(crate) incarnation: u32,
}

/// What the ledger must know of a module.
#[derive(Debug, Clone)]
pub(crate) struct ModuleSpec {
    pub(crate) name: Arc<str>,
    pub(crate) workers: u32,
    pub(crate) order: KeyOrder,
    pub(crate) retry: RetryPolicy,
    pub(crate) breaker: BreakerPolicy,
    /// Deliveries held in memory, queued and in flight.
    pub(crate) capacity: u32,
    /// Bytes of payload held in memory.
    pub(crate) capacity_bytes: usize,
    /// Worker ends within the window that are taken before the module's breakers open.
    pub(crate) restart_limit: usize,
    pub(crate) restart_window: Duration,
}

impl Default for ModuleSpec {
    fn default() -> Self {
        Self {
            name: Arc::from("module"),
            workers: 1,
            order: KeyOrder::Unordered,
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
            capacity: 16_384,
            capacity_bytes: 16 * 1024 * 1024,
            restart_limit: 5,
            restart_window: Duration::from_mins(1),
        }
    }
}

/// How a module begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModuleStart {
    /// Rows of earlier runs may wait: everything goes through the store until they are claimed.
    Behind,
    /// An operator paused it.
    Paused,
}

/// Deliveries for one worker.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) worker: WorkerId,
    pub(crate) segments: Vec<Segment>,
}

/// A worker that is to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rebuild {
    pub(crate) worker: WorkerId,
    pub(crate) delay: Duration,
}

/// A delivery that was given up.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) module: Arc<str>,
    pub(crate) attempts: u32,
    pub(crate) failure: Failure,
    /// Its attempts are used up, as opposed to an error that no attempt can cure.
    pub(crate) exhausted: bool,
}

/// A source of numbers between 0 and 1, for the jitter of retries.
pub(crate) type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// The state machine.
pub(crate) struct Ledger {
    jitter: Jitter,
    /// Ids are never used twice, so an answer for a module that is gone finds nobody.
    modules: BTreeMap<ModuleId, ModuleLedger>,
    modules_added: u32,
    by_name: HashMap<Arc<str>, ModuleId>,
    /// Keys of modules that were removed: their rows may still be on their way.
    retired: HashMap<Arc<str>, Keys>,
    flights: Slab<Flight>,
    /// Sequence numbers that the low-water mark must not pass, each with how often it is held.
    marks: BTreeMap<i64, u32>,
    /// One more than the highest sequence number seen.
    next_seq: i64,
    settlement: Settlement,
    dead: Vec<DeadLetter>,
    rebuilds: Vec<Rebuild>,
    /// The module that claims or runs the one delivery which runs alone, and its event once it is claimed.
    alone: Option<(ModuleId, Option<Uuid>)>,
    draining: bool,
}

impl Ledger {
    /// Makes a ledger for a node none of whose events has a sequence number below `start_seq`.
    pub(crate) fn new(start_seq: i64, jitter: Jitter) -> Self {
        Self {
            jitter,
            modules: BTreeMap::new(),
            modules_added: 0,
            by_name: HashMap::new(),
            retired: HashMap::new(),
            flights: Slab::new(),
            marks: BTreeMap::new(),
            next_seq: start_seq,
            settlement: Settlement::default(),
            dead: Vec::new(),
            rebuilds: Vec::new(),
            alone: None,
            draining: false,
        }
    }

    /// Returns whether anything waits to be written.
    pub(crate) fn owes_settlement(&self) -> bool {
        !self.settlement.is_empty()
    }

    /// Takes what waits to be written. Say afterwards what became of it: [`Ledger::settled`] or [`Ledger::not_settled`].
    pub(crate) fn take_settlement(&mut self) -> Settlement {
        let settlement = std::mem::take(&mut self.settlement);
        if let Some(seq) = settlement.oldest_seq {
            self.hold_mark(seq);
        }
        settlement
    }

    pub(crate) fn take_dead(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead)
    }

    pub(crate) fn take_rebuilds(&mut self) -> Vec<Rebuild> {
        std::mem::take(&mut self.rebuilds)
    }

    /// Returns a sequence number below which nothing of this node is unprocessed and without rows.
    pub(crate) fn low_water(&self) -> i64 {
        let held = self.marks.first_key_value().map(|(seq, _)| *seq);
        let marks = held.into_iter().chain(self.settlement.oldest_seq);
        marks.fold(self.next_seq, i64::min)
    }

    /// Keeps the low-water mark where it is, and returns it, until it is released.
    pub(crate) fn hold_low_water(&mut self) -> i64 {
        let mark = self.low_water();
        self.hold_mark(mark);
        mark
    }

    /// Lets go of a mark that [`Ledger::hold_low_water`] returned.
    pub(crate) fn release_low_water(&mut self, mark: i64) {
        self.release_mark(mark);
    }

    fn hold_mark(&mut self, seq: i64) {
        *self.marks.entry(seq).or_insert(0) += 1;
    }

    fn release_mark(&mut self, seq: i64) {
        if let Some(count) = self.marks.get_mut(&seq) {
            *count -= 1;
            if *count == 0 {
                self.marks.remove(&seq);
            }
        }
    }

    fn module(&self, id: ModuleId) -> Option<&ModuleLedger> {
        self.modules.get(&id)
    }

    fn module_mut(&mut self, id: ModuleId) -> Option<&mut ModuleLedger> {
        self.modules.get_mut(&id)
    }

    fn module_named(&mut self, name: &str) -> Option<&mut ModuleLedger> {
        let id = *self.by_name.get(name)?;
        self.module_mut(id)
    }

    /// Returns the keys of an ordered module, be it hosted or no longer.
    fn keys_of(&mut self, name: &str) -> Option<&mut Keys> {
        match self.by_name.get(name) {
            Some(id) => self.modules.get_mut(id)?.keys.as_mut(),
            None => self.retired.get_mut(name),
        }
    }

    fn module_ids(&self) -> Vec<ModuleId> {
        self.modules.keys().copied().collect()
    }
}

/// Narrows a count of things in memory, which never are as many as 2^32.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
