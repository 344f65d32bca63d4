//! A flight: a run of events with one route, in the air until every target answered.

use std::sync::Arc;

use super::{Ledger, ModuleId, number};
use crate::envelope::{Envelope, Value};

/// A flight of this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FlightId(u32);

impl FlightId {
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// Part of a flight on its way through one module.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) flight: FlightId,
    pub(crate) events: Arc<[Arc<Envelope>]>,
    /// The typed values of the events, side by side; empty if any was yet to be decoded.
    ///
    /// A worker that needs only those never waits for the memory of the envelopes,
    /// which a hundred modules would each fetch again.
    pub(crate) values: Arc<[Value]>,
    pub(crate) attempts: Attempts,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Segment {
    pub(crate) fn len(&self) -> u32 {
        self.to - self.from
    }

    /// Cuts off the first `count` deliveries.
    pub(super) fn split_front(&mut self, count: u32) -> Self {
        let mut front = self.clone();
        front.to = self.from + count.min(self.len());
        self.from = front.to;
        front
    }

    pub(super) fn event_type(&self) -> &str {
        &self.events[self.from as usize].event_type
    }

    pub(super) fn key(&self, index: u32) -> Option<&str> {
        self.events[index as usize].metadata.ordering_key.as_deref()
    }
}

/// The number of the attempt that each delivery of a flight is.
#[derive(Debug, Clone)]
pub(crate) enum Attempts {
    /// On the live path: the first.
    Live,
    /// Claimed rows: what the claim counted.
    Claimed(Arc<[u32]>),
}

impl Attempts {
    pub(crate) fn of(&self, index: u32) -> u32 {
        match self {
            Self::Live => 1,
            Self::Claimed(attempts) => attempts[index as usize],
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }
}

/// A run of events and who has not answered yet.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) events: Arc<[Arc<Envelope>]>,
    values: Arc<[Value]>,
    pub(super) attempts: Attempts,
    /// Targets that have not answered, for each event.
    pub(super) left: Box<[u16]>,
    /// Whether an event has rows in the store, so that its end is judged there.
    pub(super) rowed: Box<[bool]>,
    /// Events that are not finished.
    pub(super) open: u32,
    /// No event of the flight has a lower sequence number; `None` for claimed rows.
    pub(super) first_seq: Option<i64>,
    /// Bytes of payload, per event on average, rounded up.
    pub(super) bytes_each: usize,
}

impl Flight {
    pub(super) fn new(
        events: Arc<[Arc<Envelope>]>,
        attempts: Attempts,
        left: Box<[u16]>,
        first_seq: Option<i64>,
    ) -> Self {
        let values: Option<Arc<[Value]>> =
            events.iter().map(|event| event.payload.value().cloned()).collect();
        let bytes: usize = events.iter().map(|event| event.payload.json().len()).sum();
        Self {
            bytes_each: bytes.div_ceil(events.len().max(1)),
            open: number(left.iter().filter(|left| **left > 0).count()),
            rowed: vec![false; left.len()].into(),
            values: values.unwrap_or_default(),
            events,
            attempts,
            left,
            first_seq,
        }
    }

    pub(super) fn segment(&self, id: FlightId, from: u32, to: u32) -> Segment {
        let (events, values) = (Arc::clone(&self.events), Arc::clone(&self.values));
        Segment { flight: id, events, values, attempts: self.attempts.clone(), from, to }
    }
}

impl Ledger {
    pub(super) fn insert_flight(&mut self, flight: Flight) -> FlightId {
        if let Some(seq) = flight.first_seq {
            self.hold_mark(seq);
        }
        FlightId(number(self.flights.insert(flight)))
    }

    /// One target has answered for a range of a flight; events that nobody owes any more are settled.
    ///
    /// The loops are over numbers side by side, so a range costs little more than one event.
    pub(super) fn answered(&mut self, id: FlightId, from: u32, to: u32) {
        let Some(flight) = self.flights.get_mut(id.0 as usize) else {
            return;
        };
        let range = &mut flight.left[from as usize..to as usize];
        // Of a hundred targets ninety-nine are not the last one: two passes over short numbers, and nothing else.
        if range.iter().copied().fold(u16::MAX, u16::min) > 1 {
            for left in range {
                *left -= 1;
            }
            return;
        }
        let mut finished = 0;
        for (index, left) in (from as usize..).zip(range) {
            *left = left.saturating_sub(1);
            if *left > 0 {
                continue;
            }
            finished += 1;
            if flight.first_seq.is_some() {
                let list = if flight.rowed[index] {
                    &mut self.settlement.released
                } else {
                    &mut self.settlement.completed
                };
                list.push(flight.events[index].id);
            }
        }
        if finished > 0 {
            self.finish(id, finished);
        }
    }

    fn finish(&mut self, id: FlightId, finished: u32) {
        let Some(flight) = self.flights.get_mut(id.0 as usize) else {
            return;
        };
        flight.open -= finished;
        let (first_seq, is_over) = (flight.first_seq, flight.open == 0);
        self.settlement.guard(first_seq);
        if is_over {
            self.flights.remove(id.0 as usize);
            if let Some(seq) = first_seq {
                self.release_mark(seq);
            }
        }
    }

    pub(super) fn mark_rowed(&mut self, id: FlightId, index: u32) {
        if let Some(flight) = self.flights.get_mut(id.0 as usize) {
            flight.rowed[index as usize] = true;
        }
    }

    pub(super) fn bytes_each(&self, id: FlightId) -> usize {
        self.flights.get(id.0 as usize).map_or(0, |flight| flight.bytes_each)
    }

    pub(super) fn flight(&self, id: FlightId) -> Option<&Flight> {
        self.flights.get(id.0 as usize)
    }

    /// Adds a segment to a module's memory account.
    pub(super) fn remember_bytes(&mut self, module: ModuleId, segment: &Segment) {
        let bytes = self.bytes_each(segment.flight) * segment.len() as usize;
        if let Some(module) = self.module_mut(module) {
            module.bytes += bytes;
        }
    }

    /// Takes a segment back from a module's memory account.
    pub(super) fn forget_bytes(&mut self, module: ModuleId, segment: &Segment) {
        let bytes = self.bytes_each(segment.flight) * segment.len() as usize;
        if let Some(module) = self.module_mut(module) {
            module.bytes = module.bytes.saturating_sub(bytes);
        }
    }
}
