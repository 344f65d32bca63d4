//! What leaves memory for the store: new rows, and outcomes of claimed ones.

use std::sync::Arc;
use std::time::Duration;

use super::flight::Attempts;
use super::keys::{Holds, Origin};
use super::{Ledger, Segment};
use crate::delivery::{Claimed, Failure, NewRow, Next, RowChange, Settlement};

impl Ledger {
    /// Turns untried deliveries into rows: new ones for live, unchanged ones for claimed deliveries.
    pub(super) fn send_to_store(&mut self, now: Duration, name: &Arc<str>, segment: &Segment) {
        for index in segment.from..segment.to {
            match &segment.attempts {
                Attempts::Live => {
                    self.write_row(name, segment, index, 0, Next::Pending(Duration::ZERO), None);
                }
                Attempts::Claimed(_) => {
                    self.change_row(name, segment, index, Next::Untried(Duration::ZERO), None);
                }
            }
        }
        if let Some(module) = self.module_named(name) {
            module.due_in(now);
            module.probe_over(segment);
        }
        self.end_alone(segment);
        self.answered(segment.flight, segment.from, segment.to);
    }

    /// A live delivery becomes a row. The caller answers for it in the flight.
    pub(super) fn write_row(
        &mut self,
        name: &Arc<str>,
        segment: &Segment,
        index: u32,
        attempts: u32,
        next: Next,
        failure: Option<Failure>,
    ) {
        self.mark_rowed(segment.flight, index);
        let key = segment.key(index);
        let holds = self.module_named(name).map_or(Holds::Key, |module| module.holds_key(next));
        if let (Some(keys), Some(key)) = (self.keys_of(name), key) {
            keys.row_leaves(key, holds, Origin::Memory);
        }
        self.settlement.rows.push(NewRow {
            event_id: segment.events[index as usize].id,
            module: Arc::clone(name),
            ordering_key: key.map(str::to_owned),
            attempts,
            next,
            failure,
        });
    }

    /// A claimed row has an outcome. The caller answers for it in the flight.
    pub(super) fn change_row(
        &mut self,
        name: &Arc<str>,
        segment: &Segment,
        index: u32,
        next: Next,
        failure: Option<Failure>,
    ) {
        let row = Claimed {
            envelope: Arc::clone(&segment.events[index as usize]),
            attempt: segment.attempts.of(index),
        };
        self.change_claimed(name, &row, next, failure);
    }

    /// A claimed row has an outcome, whether it was in a flight or not.
    pub(super) fn change_claimed(
        &mut self,
        name: &Arc<str>,
        row: &Claimed,
        next: Next,
        failure: Option<Failure>,
    ) {
        let event_id = row.envelope.id;
        let holds = self.module_named(name).map_or(Holds::Key, |module| module.holds_key(next));
        if let (Some(keys), Some(key)) = (self.keys_of(name), &row.envelope.metadata.ordering_key) {
            keys.change_leaves(event_id, key, holds);
        }
        self.settlement.changes.push(RowChange {
            event_id,
            module: Arc::clone(name),
            attempt: row.attempt,
            next,
            failure,
        });
    }

    /// Says that a settlement may not be written: it waits again. Should it be, writing it twice changes nothing.
    pub(crate) fn not_settled(&mut self, settlement: Settlement) {
        if let Some(seq) = settlement.oldest_seq {
            self.release_mark(seq);
        }
        self.settlement.absorb(settlement);
    }

    /// Says that a settlement is written: claims see its rows from now on.
    pub(crate) fn settled(&mut self, now: Duration, settlement: &Settlement) {
        if let Some(seq) = settlement.oldest_seq {
            self.release_mark(seq);
        }
        for row in &settlement.rows {
            if let (Some(keys), Some(key)) = (self.keys_of(&row.module), &row.ordering_key) {
                keys.row_arrived(key, Origin::Memory);
            }
            if let (Next::Pending(delay), Some(module)) = (row.next, self.module_named(&row.module)) {
                module.due_in(now + delay);
            }
        }
        for change in &settlement.changes {
            let keys = self.keys_of(&change.module);
            let has_followers = keys.is_some_and(|keys| keys.change_arrived(change.event_id));
            let Some(module) = self.module_named(&change.module) else { continue };
            match change.next {
                Next::Pending(delay) | Next::Untried(delay) => module.due_in(now + delay),
                Next::Acked | Next::Dead if has_followers => module.due_in(now),
                Next::Acked | Next::Dead => {}
            }
        }
    }
}
