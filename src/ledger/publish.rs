//! New events: who gets them from memory and who from the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::flight::{Attempts, Flight};
use super::keys::{Holds, Origin};
use super::module::ModuleLedger;
use super::{Ledger, ModuleId, number};
use crate::delivery::{Route, Routed, SpilledRow};
use crate::envelope::Envelope;

/// Events on their way into the store, and where their shares will go.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) events: Vec<Routed>,
    /// Shares that are written as rows, in the same commit.
    pub(crate) spilled: Vec<SpilledRow>,
    /// For each of those, whether it may follow an event of the same commit that its module gets from memory.
    origins: Vec<Origin>,
    runs: Vec<Run>,
    floor: i64,
}

/// Events of one route that travel together.
#[derive(Debug)]
struct Run {
    /// Positions in the admission.
    indices: Vec<u32>,
    /// For each event, how many modules get it from memory.
    left: Box<[u16]>,
    bytes: usize,
    live: Vec<LiveShare>,
}

/// What one module gets of a run from memory.
#[derive(Debug)]
struct LiveShare {
    module: ModuleId,
    name: Arc<str>,
    /// Positions in the run that the module gets from the store instead, sorted.
    except: Vec<u32>,
}

impl Admission {
    /// Returns, for each event, whether the node owns it: somebody gets it from
    /// memory, or nobody gets it at all and it is finished at once.
    pub(crate) fn owned(&self) -> Vec<bool> {
        let mut owned = vec![false; self.events.len()];
        for run in &self.runs {
            for (index, left) in run.indices.iter().zip(&run.left) {
                owned[*index as usize] = *left > 0 || self.events[*index as usize].route.modules.is_empty();
            }
        }
        owned
    }
}

impl Admission {
    /// Returns whether a module gets earlier events of this commit from memory: until
    /// those are there, a claim must not bring later ones.
    fn origin(&self, name: &str) -> Origin {
        let is_live = self.runs.iter().flat_map(|run| &run.live).any(|share| *share.name == *name);
        if is_live { Origin::Memory } else { Origin::Publish }
    }
}

impl Ledger {
    /// Decides, before the commit, which shares are written as rows.
    pub(crate) fn admit(&mut self, now: Duration, events: Vec<Routed>) -> Admission {
        let floor = self.next_seq;
        self.hold_mark(floor);
        let mut admission =
            Admission { runs: Vec::new(), spilled: Vec::new(), origins: Vec::new(), events, floor };
        for indices in runs(&admission.events) {
            let run = self.admit_run(now, &mut admission, indices);
            admission.runs.push(run);
        }
        admission
    }

    fn admit_run(&mut self, now: Duration, admission: &mut Admission, indices: Vec<u32>) -> Run {
        let route = Arc::clone(&admission.events[indices[0] as usize].route);
        let payload = |index: &u32| admission.events[*index as usize].envelope.payload.json().len();
        let bytes = indices.iter().map(payload).sum();
        let mut live = Vec::with_capacity(route.modules.len());
        for name in &route.modules {
            let module = self.by_name.get(name).copied();
            let module =
                module.filter(|module| self.makes_room(now, *module, number(indices.len()), bytes, &route));
            let except = match module.and_then(|id| self.module_mut(id)) {
                Some(module) => module.admit(&admission.events, &indices, bytes),
                None => (0..number(indices.len())).collect(),
            };
            self.spill(name, admission, &indices, &except);
            live.extend(module.map(|module| LiveShare { module, name: Arc::clone(name), except }));
        }
        let mut left = vec![u16::try_from(live.len()).unwrap_or(u16::MAX); indices.len()];
        for position in live.iter().flat_map(|share| &share.except) {
            left[*position as usize] -= 1;
        }
        Run { indices, left: left.into(), bytes, live }
    }

    /// Lists the events of a run that a module gets from the store.
    fn spill(&mut self, name: &Arc<str>, admission: &mut Admission, indices: &[u32], except: &[u32]) {
        let origin = admission.origin(name);
        let mut keys = self.keys_of(name);
        for position in except {
            let event_index = indices[*position as usize];
            if let (Some(keys), Some(key)) = (&mut keys, admission.events[event_index as usize].key()) {
                keys.row_leaves(key, Holds::Key, origin);
            }
            admission.origins.push(origin);
            admission.spilled.push(SpilledRow { event_index, module: Arc::clone(name) });
        }
    }

    /// Returns whether a module takes events of a route from memory; one without room falls behind.
    fn makes_room(&mut self, now: Duration, id: ModuleId, events: u32, bytes: usize, route: &Route) -> bool {
        let draining = self.draining;
        let Some(module) = self.module(id) else {
            return false;
        };
        if draining || !module.takes_live(&route.event_type) {
            return false;
        }
        if module.has_room_for(events, bytes) {
            return true;
        }
        self.fall_behind(now, id);
        false
    }

    /// The commit succeeded: the events are in the air.
    ///
    /// None of them has a sequence number below `first_seq` or above `last_seq`.
    pub(crate) fn published(&mut self, now: Duration, admission: Admission, first_seq: i64, last_seq: i64) {
        let Admission { events, spilled, origins, runs, floor } = admission;
        self.next_seq = self.next_seq.max(last_seq + 1);
        self.rows_arrived(&events, &spilled, &origins, Some(now));
        for run in runs {
            self.launch(now, &events, &run, first_seq);
        }
        self.release_mark(floor);
    }

    /// Nothing of the commit happened; gives the events back, in order.
    pub(crate) fn refused(&mut self, admission: Admission) -> Vec<Routed> {
        let Admission { events, spilled, origins, runs, floor } = admission;
        self.rows_arrived(&events, &spilled, &origins, None);
        for run in runs {
            self.landed(&run);
        }
        self.release_mark(floor);
        events
    }

    /// Rows that went with their events are written, at some time, or never will be.
    fn rows_arrived(
        &mut self,
        events: &[Routed],
        spilled: &[SpilledRow],
        origins: &[Origin],
        written_at: Option<Duration>,
    ) {
        for (row, origin) in spilled.iter().zip(origins) {
            let key = events[row.event_index as usize].key();
            if let (Some(now), Some(module)) = (written_at, self.module_named(&row.module)) {
                module.due_in(now);
            }
            let (Some(keys), Some(key)) = (self.keys_of(&row.module), key) else {
                continue;
            };
            keys.row_arrived(key, *origin);
            if written_at.is_none() {
                keys.release(key);
            }
        }
    }

    /// What modules kept room for is no longer on its way.
    fn landed(&mut self, run: &Run) {
        let events = number(run.indices.len());
        for share in &run.live {
            if let Some(module) = self.module_mut(share.module) {
                module.incoming = module.incoming.saturating_sub(events);
                module.incoming_bytes = module.incoming_bytes.saturating_sub(run.bytes);
            }
        }
    }

    fn launch(&mut self, now: Duration, events: &[Routed], run: &Run, first_seq: i64) {
        self.landed(run);
        let envelopes: Arc<[Arc<Envelope>]> =
            run.indices.iter().map(|index| Arc::clone(&events[*index as usize].envelope)).collect();
        let route = &events[run.indices[0] as usize].route;
        if route.modules.is_empty() {
            self.settlement.completed.extend(envelopes.iter().map(|event| event.id));
            self.settlement.guard(Some(first_seq));
            return;
        }
        if run.left.iter().all(|left| *left == 0) {
            return;
        }
        let mut flight = Flight::new(envelopes, Attempts::Live, run.left.clone(), Some(first_seq));
        let targets = u16::try_from(route.modules.len()).unwrap_or(u16::MAX);
        for (rowed, left) in flight.rowed.iter_mut().zip(&run.left) {
            *rowed = *left < targets;
        }
        let id = self.insert_flight(flight);
        for share in &run.live {
            for range in gaps(&share.except, number(run.indices.len())) {
                self.enqueue_share(now, share.module, &share.name, id, range);
            }
        }
    }
}

impl ModuleLedger {
    /// Keeps room for a run; returns the positions that must wait behind a row of their key.
    fn admit(&mut self, events: &[Routed], indices: &[u32], bytes: usize) -> Vec<u32> {
        self.incoming += number(indices.len());
        self.incoming_bytes += bytes;
        if !self.is_ordered() {
            return Vec::new();
        }
        let held = (0..).zip(indices).filter(|(_, index)| self.is_held(events[**index as usize].key()));
        held.map(|(position, _)| position).collect()
    }
}

/// Cuts a batch into runs of one route.
///
/// Without ordering keys the events of a route travel together; with them, only
/// neighbours do, so that the order across types is kept.
fn runs(events: &[Routed]) -> Vec<Vec<u32>> {
    let keyed = events.iter().any(|event| event.envelope.metadata.ordering_key.is_some());
    let mut runs: Vec<Vec<u32>> = Vec::new();
    let mut by_route: HashMap<i64, usize> = HashMap::new();
    let mut last = None;
    for (index, event) in events.iter().enumerate() {
        let route = event.route.id;
        let known = if keyed {
            last.filter(|last| *last == route).map(|_| runs.len() - 1)
        } else {
            by_route.get(&route).copied()
        };
        if let Some(run) = known {
            runs[run].push(number(index));
        } else {
            by_route.insert(route, runs.len());
            runs.push(vec![number(index)]);
        }
        last = Some(route);
    }
    runs
}

/// Returns the ranges of `0..length` between the positions in `except`.
fn gaps(except: &[u32], length: u32) -> Vec<(u32, u32)> {
    let mut ranges = Vec::with_capacity(except.len() + 1);
    let mut from = 0;
    for position in except {
        if from < *position {
            ranges.push((from, *position));
        }
        from = position + 1;
    }
    if from < length {
        ranges.push((from, length));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn gaps_are_what_the_exceptions_leave() {
        assert_eq!(gaps(&[], 3), [(0, 3)]);
        assert_eq!(gaps(&[0, 1, 2], 3), []);
        assert_eq!(gaps(&[1], 3), [(0, 1), (2, 3)]);
    }
}
