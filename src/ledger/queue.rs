//! The queues in memory, and what leaves them for a worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::module::ModuleLedger;
use super::{Dispatch, FlightId, Ledger, ModuleId, Segment, WorkerId, number};
use crate::delivery::ModuleState;

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
    pub(super) fn enqueue_share(
        &mut self,
        now: Duration,
        id: ModuleId,
        name: &Arc<str>,
        flight: FlightId,
        range: (u32, u32),
    ) {
        let Some(segment) = self.flight(flight).map(|known| known.segment(flight, range.0, range.1)) else {
            return;
        };
        let takes = self.module(id).is_some_and(|module| module.takes_live(segment.event_type()));
        if !takes || self.draining {
            return self.send_to_store(now, name, &segment);
        }
        self.enqueue(now, id, segment, End::Back);
    }

    /// Puts a segment into its queue; an ordered module sorts its deliveries by key.
    pub(super) fn enqueue(&mut self, now: Duration, id: ModuleId, segment: Segment, end: End) {
        let bytes_each = self.bytes_each(segment.flight);
        let Some(module) = self.module_mut(id) else { return };
        if !module.is_ordered() {
            return module.push(segment, bytes_each, end);
        }
        let pieces = single_deliveries(&segment);
        let pieces: Vec<Segment> = match end {
            End::Back => pieces,
            End::Front => pieces.into_iter().rev().collect(),
        };
        let mut held = Vec::new();
        for piece in pieces {
            // What was in memory before precedes every row of its key; what is new does not.
            if end == End::Back && piece.attempts.is_live() && module.is_held(piece.key(piece.from)) {
                held.push(piece);
            } else {
                module.push(piece, bytes_each, end);
            }
        }
        let name = Arc::clone(&module.spec.name);
        for piece in held {
            self.send_to_store(now, &name, &piece);
        }
    }

    /// Hands queued deliveries to workers that are idle.
    pub(crate) fn take_dispatches(&mut self, _now: Duration) -> Vec<Dispatch> {
        let mut dispatches = Vec::new();
        for (id, module) in &mut self.modules {
            if module.queued > 0 {
                module.dispatch(*id, &mut dispatches);
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
            tracing::info!(
                module = &*module.spec.name,
                "module has fallen behind; its share goes through the store"
            );
        }
        self.empty_queue(now, id, |_| true);
    }

    /// Sends the queued segments that `picks` to the store.
    pub(super) fn empty_queue(&mut self, now: Duration, id: ModuleId, picks: impl Fn(&Segment) -> bool) {
        let Some(module) = self.module_mut(id) else { return };
        let name = Arc::clone(&module.spec.name);
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
            self.send_to_store(now, &name, segment);
        }
    }
}

impl ModuleLedger {
    fn push(&mut self, segment: Segment, bytes_each: usize, end: End) {
        let queue = self.queue_for(segment.key(segment.from));
        self.queued += segment.len();
        self.bytes += bytes_each * segment.len() as usize;
        match end {
            End::Back => self.queues[queue].push_back(segment),
            End::Front => self.queues[queue].push_front(segment),
        }
    }

    fn dispatch(&mut self, id: ModuleId, dispatches: &mut Vec<Dispatch>) {
        let idle: Vec<usize> = (0..self.workers.len())
            .filter(|index| self.workers[*index].is_ready && !self.workers[*index].is_busy)
            .collect();
        let shared = !self.is_ordered();
        let dispatch_max = if self.workers.len() == 1 { DISPATCH_MAX } else { DISPATCH_MAX_SHARED };
        let fair_share = self.queued.div_ceil(number(idle.len()).max(1));
        for index in idle {
            let queue = &mut self.queues[if shared { 0 } else { index }];
            let limit = if shared { fair_share.min(dispatch_max) } else { dispatch_max };
            let segments = take_front(queue, limit);
            if segments.is_empty() {
                continue;
            }
            let count: u32 = segments.iter().map(Segment::len).sum();
            self.queued -= count;
            self.in_flight += count;
            let place = &mut self.workers[index];
            place.is_busy = true;
            place.out = segments.iter().cloned().collect();
            place.failed_keys.clear();
            let worker = WorkerId { module: id, index: number(index), incarnation: place.incarnation };
            dispatches.push(Dispatch { worker, segments });
        }
    }
}

fn single_deliveries(segment: &Segment) -> Vec<Segment> {
    (segment.from..segment.to)
        .map(|index| Segment { from: index, to: index + 1, ..segment.clone() })
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
