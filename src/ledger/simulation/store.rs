//! A model of the store: what its statements do, without the SQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::HeldKeys;
use crate::delivery::{
    ADOPTIONS_BEFORE_ALONE, ClaimRequest, Claimed, DeliveryState, KeyOrder, Next, Route, Routed, Settlement,
    SpilledRow,
};
use crate::envelope::Envelope;

/// The number of one run of the node.
pub(super) type Node = u32;

pub(super) struct StoredEvent {
    pub(super) envelope: Arc<Envelope>,
    pub(super) route: Arc<Route>,
    pub(super) owner: Option<Node>,
    pub(super) adoptions: u32,
    pub(super) is_processed: bool,
}

impl StoredEvent {
    fn key(&self) -> Option<&str> {
        self.envelope.metadata.ordering_key.as_deref()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) state: DeliveryState,
    pub(super) attempts: u32,
    pub(super) available_at: Duration,
    pub(super) owner: Option<Node>,
}

impl Row {
    fn pending(attempts: u32, available_at: Duration) -> Self {
        Self { state: DeliveryState::Pending, attempts, available_at, owner: None }
    }
}

/// A module with rows that wait, and until when they do.
pub(super) type Due = (Arc<str>, Duration);

/// The tables.
#[derive(Default)]
pub(super) struct ModelStore {
    pub(super) events: BTreeMap<i64, StoredEvent>,
    seqs: BTreeMap<Uuid, i64>,
    /// By module, then by sequence number.
    pub(super) rows: BTreeMap<Arc<str>, BTreeMap<i64, Row>>,
}

impl ModelStore {
    pub(super) fn seq_of(&self, event: Uuid) -> Option<i64> {
        self.seqs.get(&event).copied()
    }

    pub(super) fn row_mut(&mut self, module: &Arc<str>, seq: i64) -> Option<&mut Row> {
        self.rows.get_mut(module)?.get_mut(&seq)
    }

    pub(super) fn insert(&mut self, node: Node, events: &[Routed], owned: &[bool], seqs: &[i64]) {
        for ((event, owned), seq) in events.iter().zip(owned).zip(seqs) {
            self.seqs.insert(event.envelope.id, *seq);
            let stored = StoredEvent {
                envelope: Arc::clone(&event.envelope),
                route: Arc::clone(&event.route),
                owner: owned.then_some(node),
                adoptions: 0,
                is_processed: false,
            };
            assert!(self.events.insert(*seq, stored).is_none(), "a sequence number was used twice");
        }
    }

    pub(super) fn insert_spilled(&mut self, now: Duration, spilled: &[SpilledRow], seqs: &[i64]) {
        for row in spilled {
            let rows = self.rows.entry(Arc::clone(&row.module)).or_default();
            let known = rows.insert(seqs[row.event_index as usize], Row::pending(0, now));
            assert!(known.is_none(), "a share was spilled twice");
        }
    }

    /// Writes a settlement; returns the events that are processed now.
    pub(super) fn settle(&mut self, now: Duration, node: Node, settlement: &Settlement) -> Vec<i64> {
        let mut touched = Vec::new();
        for id in &settlement.completed {
            let event = self.seqs.get(id).and_then(|seq| self.events.get_mut(seq));
            if let Some(event) = event.filter(|event| event.owner == Some(node)) {
                event.owner = None;
                touched.push(self.seqs[id]);
            }
        }
        for row in &settlement.rows {
            let seq = self.seqs[&row.event_id];
            if self.events[&seq].owner == Some(node) {
                let rows = self.rows.entry(Arc::clone(&row.module)).or_default();
                rows.entry(seq).or_insert_with(|| next_row(now, row.attempts, row.next));
            }
        }
        for change in &settlement.changes {
            let seq = self.seqs[&change.event_id];
            if self.change(now, node, &change.module, seq, change.attempt, change.next) {
                touched.push(seq);
            }
        }
        for id in &settlement.released {
            let seq = self.seqs[id];
            if let Some(event) = self.events.get_mut(&seq)
                && event.owner == Some(node)
            {
                event.owner = None;
                touched.push(seq);
            }
        }
        touched.retain(|seq| self.finish(*seq));
        touched
    }

    /// Settles one claimed row if the claim still holds.
    pub(super) fn change(
        &mut self,
        now: Duration,
        node: Node,
        module: &Arc<str>,
        seq: i64,
        attempt: u32,
        next: Next,
    ) -> bool {
        let Some(row) = self.row_mut(module, seq) else {
            return false;
        };
        if row.owner != Some(node) || row.attempts != attempt || row.state != DeliveryState::Pending {
            return false;
        }
        *row = next_row(now, attempt, next);
        true
    }

    /// The acknowledgement that a handler's own transaction writes; `false` if the claim is lost.
    pub(super) fn receipt(
        &mut self,
        now: Duration,
        node: Node,
        module: &Arc<str>,
        seq: i64,
        claimed: Option<u32>,
    ) -> bool {
        if let Some(attempt) = claimed {
            let done = self.change(now, node, module, seq, attempt, Next::Acked);
            if done {
                self.finish(seq);
            }
            return done;
        }
        let rows = self.rows.entry(Arc::clone(module)).or_default();
        if self.events[&seq].owner != Some(node) || rows.contains_key(&seq) {
            return false;
        }
        rows.insert(seq, next_row(now, 1, Next::Acked));
        true
    }

    /// Finishes an event that nobody owns and that has no pending row.
    fn finish(&mut self, seq: i64) -> bool {
        let pending =
            |rows: &BTreeMap<i64, Row>| rows.get(&seq).is_some_and(|row| row.state == DeliveryState::Pending);
        let is_over = !self.rows.values().any(pending);
        match self.events.get_mut(&seq) {
            Some(event) if event.owner.is_none() && is_over && !event.is_processed => {
                event.is_processed = true;
                true
            }
            _ => false,
        }
    }

    pub(super) fn claim(
        &mut self,
        now: Duration,
        node: Node,
        request: &ClaimRequest,
    ) -> (Vec<Claimed>, HeldKeys) {
        let mut picked = Vec::new();
        let mut blocked: Vec<&str> = Vec::new();
        let Some(rows) = self.rows.get(&request.module) else {
            return (Vec::new(), HeldKeys::default());
        };
        for (seq, row) in rows {
            let event = &self.events[seq];
            let key = event.key().filter(|_| request.order != KeyOrder::Unordered);
            let is_claimable = row.state == DeliveryState::Pending
                && row.owner.is_none()
                && row.available_at <= now
                && picked.len() < request.limit as usize
                && wants(request, event)
                && !key.is_some_and(|key| blocked.contains(&key));
            if is_claimable {
                picked.push(*seq);
            } else if holds(request.order, row.state) {
                blocked.extend(key);
            }
        }
        let claimed = picked.into_iter().map(|seq| self.take(node, &request.module, seq)).collect::<Vec<_>>();
        let short = claimed.len() < request.limit as usize;
        let held = if short { self.held(request) } else { HeldKeys::default() };
        (claimed, held)
    }

    fn take(&mut self, node: Node, module: &Arc<str>, seq: i64) -> Claimed {
        let envelope = Arc::clone(&self.events[&seq].envelope);
        let row = self.row_mut(module, seq).expect("the row was just picked");
        row.owner = Some(node);
        row.attempts += 1;
        Claimed { envelope, attempt: row.attempts }
    }

    fn held(&self, request: &ClaimRequest) -> HeldKeys {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for (seq, row) in &self.rows[&request.module] {
            if let Some(key) = self.events[seq].key().filter(|_| holds(request.order, row.state)) {
                *counts.entry(key).or_insert(0) += 1;
            }
        }
        HeldKeys {
            counts: counts.into_iter().map(|(key, rows)| (key.to_owned(), rows)).collect(),
            too_many: false,
        }
    }

    /// Modules with rows that wait, and those with a row that is to be claimed alone.
    pub(super) fn poll(&self, now: Duration) -> (Vec<Due>, Vec<Arc<str>>) {
        let (mut due, mut alone) = (Vec::new(), Vec::new());
        for (module, rows) in &self.rows {
            let waiting =
                rows.iter().filter(|(_, row)| row.state == DeliveryState::Pending && row.owner.is_none());
            let (mut first, mut first_alone) = (None::<Duration>, None::<Duration>);
            for (seq, row) in waiting {
                let is_alone = self.events[seq].adoptions >= ADOPTIONS_BEFORE_ALONE;
                let least = if is_alone { &mut first_alone } else { &mut first };
                *least = Some(least.map_or(row.available_at, |known| known.min(row.available_at)));
            }
            due.extend(first.map(|at| (Arc::clone(module), at.saturating_sub(now))));
            alone.extend(first_alone.filter(|at| *at <= now).map(|_| Arc::clone(module)));
        }
        (due, alone)
    }

    /// Takes over what a dead node left: its events above its mark become rows, its rows are free.
    pub(super) fn adopt(&mut self, now: Duration, dead: Node, low_water: i64, adoptions: u32) {
        let left: Vec<i64> = self
            .events
            .range(low_water..)
            .filter(|(_, event)| event.owner == Some(dead))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in left {
            self.make_rows(now, seq);
            if let Some(event) = self.events.get_mut(&seq) {
                event.adoptions += adoptions;
            }
        }
        for row in self.rows.values_mut().flat_map(BTreeMap::values_mut) {
            if row.owner == Some(dead) {
                row.owner = None;
            }
        }
    }

    /// Turns what an event's targets are owed into rows.
    pub(super) fn make_rows(&mut self, now: Duration, seq: i64) {
        let route = Arc::clone(&self.events[&seq].route);
        for module in &route.modules {
            let rows = self.rows.entry(Arc::clone(module)).or_default();
            rows.entry(seq).or_insert_with(|| Row::pending(0, now));
        }
        if let Some(event) = self.events.get_mut(&seq) {
            event.owner = None;
        }
        self.finish(seq);
    }

    /// Makes dead letters pending again; returns how many.
    pub(super) fn redrive(&mut self, now: Duration) -> usize {
        let mut redriven = 0;
        for row in self.rows.values_mut().flat_map(BTreeMap::values_mut) {
            if row.state == DeliveryState::Dead {
                *row = Row::pending(0, now);
                redriven += 1;
            }
        }
        redriven
    }
}

fn wants(request: &ClaimRequest, event: &StoredEvent) -> bool {
    let event_type = &event.envelope.event_type;
    let is_alone = event.adoptions >= ADOPTIONS_BEFORE_ALONE;
    is_alone == request.alone
        && !request.except_types.iter().any(|except| **except == **event_type)
        && request.probe.as_ref().is_none_or(|probe| **probe == **event_type)
}

fn holds(order: KeyOrder, state: DeliveryState) -> bool {
    match state {
        DeliveryState::Pending => order != KeyOrder::Unordered,
        DeliveryState::Dead => order == KeyOrder::OrderedHoldingDead,
        DeliveryState::Acked | DeliveryState::Cancelled => false,
    }
}

fn next_row(now: Duration, attempts: u32, next: Next) -> Row {
    let (state, attempts, delay) = match next {
        Next::Acked => (DeliveryState::Acked, attempts, Duration::ZERO),
        Next::Dead => (DeliveryState::Dead, attempts, Duration::ZERO),
        Next::Pending(delay) => (DeliveryState::Pending, attempts, delay),
        Next::Untried(delay) => (DeliveryState::Pending, attempts - 1, delay),
    };
    Row { state, attempts, available_at: now + delay, owner: None }
}
