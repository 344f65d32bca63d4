//! The words that the ledger and the store share: what is owed, and what became of it.
//!
//! Plain data. The ledger decides with it, the store writes it down, and neither
//! knows the other.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::envelope::Envelope;

/// One running bus. A new one for every start.
pub type NodeId = Uuid;

/// An event adopted this often may be what kills its process: it is delivered alone, through rows.
pub(crate) const ADOPTIONS_BEFORE_ALONE: u32 = 3;

/// The exact list of modules that an event goes to, fixed when it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The row in `event_routes`.
    pub id: i64,
    /// The event type that it routes.
    pub event_type: Arc<str>,
    /// The targets, sorted by name, each once.
    pub modules: Vec<Arc<str>>,
}

impl Route {
    /// Returns the route of events that a node is yet to route.
    pub(crate) fn none() -> Self {
        Self { id: 0, event_type: "".into(), modules: Vec::new() }
    }

    pub(crate) fn stored_id(&self) -> Option<i64> {
        (self.id > 0).then_some(self.id)
    }
}

/// An event and where it goes, ready to be persisted.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) route: Arc<Route>,
}

impl Routed {
    /// Returns the event's ordering key, if it has one.
    pub(crate) fn key(&self) -> Option<&str> {
        self.envelope.metadata.ordering_key.as_deref()
    }
}

/// Returns how many bytes the payloads of events have together.
pub(crate) fn payload_bytes(events: &[Routed]) -> usize {
    events.iter().map(|event| event.envelope.payload.json().len()).sum()
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Owed: waiting, running, or waiting for a retry.
    Pending,
    /// The module has handled it.
    Acked,
    /// A dead letter: given up, kept with its errors, ready to be redriven.
    Dead,
    /// Given up by an operator.
    Cancelled,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The handler returned an error that a retry may cure.
    Retryable,
    /// The handler returned an error that no retry can cure.
    Fatal,
    /// The handler did not return in time.
    Timeout,
    /// The handler panicked.
    Panic,
    /// The payload does not fit the event's type.
    Decode,
}

/// One failed attempt, as it is kept in the delivery's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// Cleaned and cut: see [`crate::error::clean`].
    pub(crate) message: String,
}

/// A delivery row that a node has claimed.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) envelope: Arc<Envelope>,
    /// The number of this attempt, counted from 1 when it was claimed. Settling checks it.
    pub(crate) attempt: u32,
}

/// A live delivery that becomes a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRow {
    pub(crate) event_id: Uuid,
    pub(crate) module: Arc<str>,
    pub(crate) ordering_key: Option<String>,
    /// Attempts already made.
    pub(crate) attempts: u32,
    pub(crate) next: Next,
    pub(crate) failure: Option<Failure>,
}

/// What becomes of a claimed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowChange {
    pub(crate) event_id: Uuid,
    pub(crate) module: Arc<str>,
    /// The attempt under which it was claimed; another value in the row means that the claim was lost.
    pub(crate) attempt: u32,
    pub(crate) next: Next,
    pub(crate) failure: Option<Failure>,
}

/// Where a delivery goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Done.
    Acked,
    /// Due again after this delay, by the database's clock.
    Pending(Duration),
    /// Back in the store untried: the attempt that the claim counted is taken off again.
    Untried(Duration),
    /// A dead letter.
    Dead,
}

/// Everything that the ledger wants written, for one transaction.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// No event in here has a lower sequence number: until it is written, the low-water mark stays below.
    pub(crate) oldest_seq: Option<i64>,
    /// Live events whose every target acked and that have no row: `processed_at` is set outright.
    pub(crate) completed: Vec<Uuid>,
    /// Live events that the node lets go of while rows exist: finished only if no row is pending.
    pub(crate) released: Vec<Uuid>,
    /// Live deliveries that become rows.
    pub(crate) rows: Vec<NewRow>,
    /// Claimed rows that have an outcome.
    pub(crate) changes: Vec<RowChange>,
}

impl Settlement {
    pub(crate) fn is_empty(&self) -> bool {
        self.completed.is_empty()
            && self.released.is_empty()
            && self.rows.is_empty()
            && self.changes.is_empty()
    }

    /// Adds what `other` wants written.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.completed.append(&mut other.completed);
        self.released.append(&mut other.released);
        self.rows.append(&mut other.rows);
        self.changes.append(&mut other.changes);
        self.guard(other.oldest_seq);
    }

    /// Keeps the low-water mark at or below `seq`.
    pub(crate) fn guard(&mut self, seq: Option<i64>) {
        self.oldest_seq = match (self.oldest_seq, seq) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
    }
}

/// A new event's share that goes straight to rows, in the commit of the event itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpilledRow {
    /// Index into the batch of events that is being committed.
    pub(crate) event_index: u32,
    pub(crate) module: Arc<str>,
}

/// What a module wants from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimRequest {
    pub(crate) module: Arc<str>,
    /// Room in memory: at most this many.
    pub(crate) limit: u32,
    /// Keep the order of keys: skip a row while an earlier one of its key is pending or, if dead ones hold, dead.
    pub(crate) order: KeyOrder,
    /// Event types whose breaker is open: left in the store.
    pub(crate) except_types: Vec<Arc<str>>,
    /// Only this type, and just one: the probe of a half-open breaker.
    pub(crate) probe: Option<Arc<str>>,
    /// One row of an event that was adopted too often, and nothing else; other claims skip such rows.
    pub(crate) alone: bool,
}

/// How a module wants deliveries of one ordering key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyOrder {
    /// No order. The default.
    #[default]
    Unordered,
    /// In publish order; when a delivery dies, its key goes on.
    Ordered,
    /// In publish order; when a delivery dies, its key waits until it is redriven or cancelled.
    OrderedHoldingDead,
}

/// Where a module's share of a new event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleState {
    /// To its queue in memory.
    Live,
    /// To the store, from which the module claims it: it has fallen behind.
    Behind,
    /// To the store, where it waits until an operator resumes the module.
    Paused,
}
