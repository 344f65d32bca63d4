//! The queues in memory, what leaves them for a worker, and what leaves them for the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::flight::Attempts;
use super::module::ModuleState;
use super::{Dispatch, FlightId, Ledger, ModuleId, Segment, WorkerId, number};
use crate::delivery::{Failure, NewRow, Next, RowChange, Settlement};

/// Deliveries in one dispatch to a module with one worker, and with several that share a queue.
const DISPATCH_MAX: u32 = 4_096;
const DISPATCH_MAX_SHARED: u32 = 256;

/// At which end of the queue a segment goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
}

impl Ledger {
    /// Queues part of a new flight; if the module changed its mind meanwhile, the part becomes rows.
    pub(super) fn enqueue_share(&mut self, now: Duration, id: ModuleId, flight: FlightId, from: u32, to: u32) {
        let Some(segment) = self.flight(flight).map(|known| known.segment(flight, from, to)) else {
            return;
        };
        let takes = self.module(id).is_some_and(|module| module.takes_live(segment.event_type()));
        if !takes || self.draining {
            return self.send_to_store(now, id, &segment);
        }
        self.enqueue(now, id, segment, End::Back);
    }

    /// Puts a segment into its queue; an ordered module sorts its deliveries by key.
    pub(super) fn enqueue(&mut self, now: Duration, id: ModuleId, segment: Segment, end: End) {
        let bytes_each = self.bytes_each(segment.flight);
        let Some(module) = self.module(id) else {
            return self.send_to_store(now, id, &segment);
        };
        let pieces = if module.is_ordered() { single_deliveries(&segment) } else { vec![segment] };
        let pieces: Vec<Segment> = match end {
            End::Back => pieces,
            End::Front => pieces.into_iter().rev().collect(),
        };
        for piece in pieces {
            let Some(module) = self.module_mut(id) else { return };
            let key = piece.key(piece.from);
            // What was in memory before precedes every row of its key; what is new does not.
            if end == End::Back && piece.attempts.is_live() && module.is_held(key) {
                self.send_to_store(now, id, &piece);
                continue;
            }
            let queue = module.queue_for(key);
            module.queued += piece.len();
            module.bytes += bytes_each * piece.len() as usize;
            match end {
                End::Back => module.queues[queue].push_back(piece),
                End::Front => module.queues[queue].push_front(piece),
            }
        }
    }

    /// Hands queued deliveries to workers that are idle.
    pub(crate) fn take_dispatches(&mut self, _now: Duration) -> Vec<Dispatch> {
        let mut dispatches = Vec::new();
        for (slot, module) in &mut self.modules {
            if module.queued == 0 {
                continue;
            }
            let idle: Vec<usize> = (0..module.workers.len())
                .filter(|index| module.workers[*index].is_ready && !module.workers[*index].is_busy)
                .collect();
            let shared = module.queues.len() == 1;
            let dispatch_max = if module.workers.len() == 1 { DISPATCH_MAX } else { DISPATCH_MAX_SHARED };
            let fair_share = module.queued.div_ceil(number(idle.len()).max(1));
            for index in idle {
                let queue = &mut module.queues[if shared { 0 } else { index }];
                let limit = if shared { fair_share.min(dispatch_max) } else { dispatch_max };
                let segments = take_front(queue, limit);
                if segments.is_empty() {
                    continue;
                }
                let count: u32 = segments.iter().map(Segment::len).sum();
                module.queued -= count;
                module.in_flight += count;
                let place = &mut module.workers[index];
                place.is_busy = true;
                place.out = segments.iter().cloned().collect();
                let worker = WorkerId {
                    module: ModuleId(number(slot)),
                    index: number(index),
                    incarnation: place.incarnation,
                };
                dispatches.push(Dispatch { worker, segments });
            }
        }
        dispatches
    }

    /// Leaves the live path: what waits in memory goes to the store.
    pub(super) fn fall_behind(&mut self, now: Duration, id: ModuleId) {
        if let Some(module) = self.module_mut(id)
            && module.state == ModuleState::Live
        {
            module.state = ModuleState::Behind;
            tracing::info!(module = &*module.spec.name, "module has fallen behind; its share goes through the store");
        }
        self.empty_queue(now, id, |_| true);
    }

    /// Sends the queued segments that `picks` to the store.
    pub(super) fn empty_queue(&mut self, now: Duration, id: ModuleId, picks: impl Fn(&Segment) -> bool) {
        let Some(module) = self.module_mut(id) else { return };
        let mut leaving = Vec::new();
        for queue in &mut module.queues {
            let (out, stay): (VecDeque<Segment>, VecDeque<Segment>) =
                std::mem::take(queue).into_iter().partition(|segment| picks(segment));
            *queue = stay;
            leaving.extend(out);
        }
        module.queued -= leaving.iter().map(Segment::len).sum::<u32>();
        for segment in &leaving {
            self.forget_bytes(id, segment);
            self.send_to_store(now, id, segment);
        }
    }

    /// Turns untried deliveries into rows: new ones for live, unchanged ones for claimed deliveries.
    pub(super) fn send_to_store(&mut self, now: Duration, id: ModuleId, segment: &Segment) {
        for index in segment.from..segment.to {
            match &segment.attempts {
                Attempts::Live => self.write_row(id, segment, index, 0, Next::Pending(Duration::ZERO), None),
                Attempts::Claimed(_) => self.change_row(id, segment, index, Next::Untried(Duration::ZERO), None),
            }
        }
        if let Some(module) = self.module_mut(id) {
            module.due_in(now);
            module.probe_over(segment.event_type());
        }
        if !segment.attempts.is_live() {
            self.end_alone(segment);
        }
        self.answered(segment.flight, segment.from, segment.to);
    }

    /// A live delivery becomes a row. The caller answers for it in the flight.
    pub(super) fn write_row(
        &mut self,
        id: ModuleId,
        segment: &Segment,
        index: u32,
        attempts: u32,
        next: Next,
        failure: Option<Failure>,
    ) {
        self.mark_rowed(segment.flight, index);
        let key = segment.key(index);
        let Some(module) = self.module_mut(id) else { return };
        module.row_leaves(key);
        if next != Next::Dead || module.spec.order == crate::delivery::KeyOrder::OrderedHoldingDead {
            module.hold_key(key);
        }
        let row = NewRow {
            event_id: segment.events[index as usize].id,
            module: Arc::clone(&module.spec.name),
            ordering_key: key.map(str::to_owned),
            attempts,
            next,
            failure,
        };
        self.settlement.rows.push(row);
    }

    /// A claimed row has an outcome. The caller answers for it in the flight.
    pub(super) fn change_row(&mut self, id: ModuleId, segment: &Segment, index: u32, next: Next, failure: Option<Failure>) {
        let Some(module) = self.module_mut(id) else { return };
        let keeps_key = match next {
            Next::Acked => false,
            Next::Dead => module.spec.order == crate::delivery::KeyOrder::OrderedHoldingDead,
            Next::Pending(_) | Next::Untried(_) => true,
        };
        if !keeps_key {
            module.release_key(segment.key(index));
        }
        let change = RowChange {
            event_id: segment.events[index as usize].id,
            module: Arc::clone(&module.spec.name),
            attempt: segment.attempts.of(index),
            next,
            failure,
        };
        self.settlement.changes.push(change);
    }

    /// Says that a settlement is written: claims may rely on seeing its rows.
    pub(crate) fn settled(&mut self, _now: Duration, settlement: &Settlement) {
        for row in &settlement.rows {
            if let Some(module) = self.by_name.get(&row.module).copied().and_then(|id| self.module_mut(id)) {
                module.row_arrived(row.ordering_key.as_deref());
            }
        }
    }
}

fn single_deliveries(segment: &Segment) -> Vec<Segment> {
    (segment.from..segment.to)
        .map(|index| Segment {
            from: index,
            to: index + 1,
            ..segment.clone()
        })
        .collect()
}

fn take_front(queue: &mut VecDeque<Segment>, limit: u32) -> Vec<Segment> {
    let mut taken: Vec<Segment> = Vec::new();
    let mut room = limit;
    while room > 0 {
        let Some(front) = queue.front_mut() else { break };
        let piece = front.split_front(room);
        room -= piece.len();
        if front.len() == 0 {
            queue.pop_front();
        }
        taken.push(piece);
    }
    taken
}
