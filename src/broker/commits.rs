//! Group commit: everything that waits becomes durable together.
//!
//! One commit of new events is under way at a time, and a second one as soon as
//! as many events wait as the first has: it is made ready while the store works.
//! Where the store works on both at once, many events that wait are divided evenly:
//! publishers that all wait for one commit would leave the store idle after it.
//! One commit of settlements is under way beside them; on SQLite, which has one
//! writer, settlements share a transaction with new events.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Broker, CommitEvents, Input, PublishRequest, Stored};
use crate::delivery::{Routed, Settlement};
use crate::ledger::Admission;
use crate::publication::PublishError;
use crate::store::{Commit, CommitDone, CommitError, Duplicate, StoreError};

/// The most events in one commit, unless one request alone has more.
const EVENTS_MAX: usize = 2_048;
/// The most bytes of payload in one commit, unless one request alone has more.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long commits rest after the store failed.
const REST: Duration = Duration::from_millis(250);
/// Commits of new events that may be under way at once.
const LANES: u32 = 2;
/// Up to so many events are committed from the broker's own thread: to wake another takes longer than to encode them.
const FEW: usize = 32;
/// Events that are divided between two commits, where the store works on two at once.
const WORTH_TWO: usize = 512;

/// What waits to be committed, and what is under way.
pub(super) struct Commits {
    one_writer: bool,
    waiting: VecDeque<PublishRequest>,
    waiting_events: usize,
    settlement: Settlement,
    /// Commits of new events under way, and how many events they have.
    persisting: u32,
    persisting_events: usize,
    settling: bool,
    /// Sequence numbers that the low-water mark must not pass while a settlement is under way.
    guards: Vec<i64>,
    rest_until: Duration,
}

/// A commit that came back.
pub(crate) struct Committed {
    /// Publishers that have no answer yet, each with the number of its events.
    requests: Vec<(usize, PublishRequest)>,
    admission: Option<Admission>,
    settlement: Settlement,
    result: Result<CommitDone, CommitError>,
}

/// A commit in somebody else's transaction that came back.
pub(crate) struct EventsCommitted {
    admission: Admission,
    result: Result<CommitDone, StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Commits {
    pub(super) fn new(one_writer: bool) -> Self {
        Self {
            one_writer,
            waiting: VecDeque::new(),
            waiting_events: 0,
            settlement: Settlement::default(),
            persisting: 0,
            persisting_events: 0,
            settling: false,
            guards: Vec::new(),
            rest_until: Duration::ZERO,
        }
    }

    /// Returns whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.settlement.is_empty() && self.persisting == 0 && !self.settling
    }

    fn wait(&mut self, request: PublishRequest) {
        self.waiting_events += request.events.len();
        self.waiting.push_back(request);
    }

    /// Returns whether a commit of new events may start: a second one only if it is worth its own.
    fn may_persist(&self) -> bool {
        let settles = self.one_writer && !self.settlement.is_empty();
        match self.persisting {
            0 => settles || !self.waiting.is_empty(),
            1..LANES => !self.waiting.is_empty() && self.waiting_events >= self.persisting_events,
            _ => false,
        }
    }

    /// Returns how many more events have to wait before another commit may start.
    fn events_wanted(&self) -> usize {
        match self.persisting {
            0 => 1,
            1..LANES => self.persisting_events.saturating_sub(self.waiting_events).max(1),
            _ => usize::MAX,
        }
    }

    /// Returns how many of the events that wait go into the next commit at most.
    fn events_max(&self) -> usize {
        let is_worth_two = !self.one_writer && self.persisting == 0 && self.waiting_events >= WORTH_TWO;
        let share = if is_worth_two { self.waiting_events / 2 } else { self.waiting_events };
        share.min(EVENTS_MAX)
    }

    /// Takes what fits in one commit, in order. An id twice waits for the next.
    fn take_requests(&mut self) -> Vec<(usize, PublishRequest)> {
        let (mut events, mut bytes, mut given) = (0, 0, HashSet::new());
        let events_max = self.events_max();
        let mut taken = Vec::with_capacity(self.waiting.len().min(events_max));
        while let Some(request) = self.waiting.front() {
            let size: usize = request.events.iter().map(|event| event.envelope.payload.json().len()).sum();
            let full = events + request.events.len() > events_max || bytes + size > BYTES_MAX;
            if full && !taken.is_empty() {
                break;
            }
            let ids = request.events.iter().map(|event| event.envelope.id);
            if request.ids_given && !ids.clone().all(|id| given.insert(id)) {
                break;
            }
            events += request.events.len();
            bytes += size;
            taken.extend(self.waiting.pop_front().map(|request| (request.events.len(), request)));
        }
        self.waiting_events -= events;
        taken
    }

    fn take_settlement(&mut self) -> Settlement {
        let settlement = std::mem::take(&mut self.settlement);
        self.guards.extend(settlement.oldest_seq);
        settlement
    }

    fn release_guard(&mut self, guard: Option<i64>) {
        if let Some(position) = guard.and_then(|guard| self.guards.iter().position(|held| *held == guard)) {
            self.guards.swap_remove(position);
        }
    }
}

impl Broker {
    pub(super) fn publish(&mut self, request: PublishRequest) {
        if self.phase.refuses_events() {
            return refused(request, PublishError::ShuttingDown);
        }
        self.commits.wait(request);
    }

    /// Returns a sequence number below which this node owns nothing unprocessed.
    pub(super) fn low_water(&self) -> i64 {
        let guards = self.commits.guards.iter().chain(&self.commits.settlement.oldest_seq);
        guards.copied().fold(self.ledger.low_water(), i64::min)
    }

    /// Returns how many more events have to come before another commit is started.
    pub(super) fn events_wanted(&self) -> usize {
        if self.now() < self.commits.rest_until { usize::MAX } else { self.commits.events_wanted() }
    }

    pub(super) fn start_commits(&mut self) {
        self.commits.settlement.absorb(self.ledger.take_settlement());
        if self.now() < self.commits.rest_until {
            return;
        }
        while self.commits.may_persist() {
            let requests = self.commits.take_requests();
            let settlement =
                if self.commits.one_writer { self.commits.take_settlement() } else { Settlement::default() };
            self.commits.persisting += 1;
            self.commits.persisting_events += requests.iter().map(|(events, _)| events).sum::<usize>();
            self.commit(requests, settlement);
        }
        let settles = !self.commits.settlement.is_empty();
        if !self.commits.settling && settles && !self.commits.one_writer {
            let settlement = self.commits.take_settlement();
            self.commits.settling = true;
            self.commit(Vec::new(), settlement);
        }
    }

    fn commit(&mut self, mut requests: Vec<(usize, PublishRequest)>, settlement: Settlement) {
        let events: Vec<Routed> =
            requests.iter_mut().flat_map(|(_, request)| request.events.drain(..)).collect();
        let admission = (!events.is_empty()).then(|| self.ledger.admit(self.now(), events));
        let services = Arc::clone(&self.services);
        let is_small = admission.as_ref().is_some_and(|admission| admission.events.len() <= FEW);
        let task = async move {
            let commit = Commit::new(services.node, admission.as_ref(), &settlement);
            let result = services.store.commit(commit).await;
            let (stored, requests) =
                if result.is_ok() { (requests, Vec::new()) } else { (Vec::new(), requests) };
            // The broker hears of it first: what a publisher does next comes behind that.
            services.inbox.push(Input::Committed(Box::new(Committed {
                requests,
                admission,
                settlement,
                result,
            })));
            // The connection goes on to the next commit before the publishers wake up.
            tokio::task::yield_now().await;
            for (_, request) in stored {
                answer(request);
            }
        };
        if is_small {
            drop(actix_rt::spawn(task));
        } else {
            drop(self.services.runtime.spawn(task));
        }
    }

    pub(super) fn committed(&mut self, committed: Committed) {
        let Committed { requests, admission, settlement, result } = committed;
        if self.commits.one_writer || admission.is_some() {
            self.commits.persisting -= 1;
            self.commits.persisting_events -=
                admission.as_ref().map_or(0, |admission| admission.events.len());
        } else {
            self.commits.settling = false;
        }
        match result {
            Ok(done) => {
                self.commits.release_guard(settlement.oldest_seq);
                self.ledger.settled(self.now(), &settlement);
                self.watches.finished(&settlement.completed);
                self.watches.finished(&done.finished);
                if let Some(admission) = admission {
                    self.ledger.published(
                        self.now(),
                        stamped(admission, &done),
                        done.first_seq,
                        done.last_seq,
                    );
                }
            }
            Err(error) => {
                // Settling again is harmless: what was settled before changes nothing.
                self.commits.release_guard(settlement.oldest_seq);
                self.commits.settlement.absorb(settlement);
                self.not_committed(requests, admission, error);
            }
        }
    }

    fn not_committed(
        &mut self,
        requests: Vec<(usize, PublishRequest)>,
        admission: Option<Admission>,
        error: CommitError,
    ) {
        match error {
            CommitError::Duplicates(duplicates) => {
                if let Some(admission) = admission {
                    let events = self.ledger.refused(admission);
                    self.without_duplicates(requests, events, &duplicates);
                }
            }
            CommitError::Store(error) => {
                tracing::error!(%error, "commit failed; nothing is acknowledged until the store works again");
                self.commits.rest_until = self.now() + REST;
                for (_, request) in requests {
                    refused(request, PublishError::Store(error.to_string()));
                }
                if let Some(admission) = admission {
                    self.give_up(admission, error.is_ambiguous());
                }
            }
        }
    }

    /// Queues the requests again, in order, without the events that are stored already.
    fn without_duplicates(
        &mut self,
        requests: Vec<(usize, PublishRequest)>,
        events: Vec<Routed>,
        duplicates: &[Duplicate],
    ) {
        let mut events = events.into_iter();
        let mut again = VecDeque::new();
        for (count, mut request) in requests {
            request.events = events.by_ref().take(count).collect();
            let mine =
                |duplicate: &&Duplicate| request.events.iter().any(|event| event.envelope.id == duplicate.id);
            if let Some(conflict) = duplicates.iter().filter(mine).find(|duplicate| !duplicate.same) {
                refused(request, PublishError::Conflict(conflict.id));
                continue;
            }
            let known: Vec<Uuid> = duplicates.iter().filter(mine).map(|duplicate| duplicate.id).collect();
            request.events.retain(|event| !known.contains(&event.envelope.id));
            request.duplicates.extend(known);
            if request.events.is_empty() {
                answer(request);
            } else {
                self.commits.waiting_events += request.events.len();
                again.push_back(request);
            }
        }
        again.append(&mut self.commits.waiting);
        self.commits.waiting = again;
    }

    /// Forgets events that were not stored. If that is not sure, the low-water mark
    /// stays below them until it is, and their deliveries become rows.
    fn give_up(&mut self, admission: Admission, ambiguous: bool) {
        if !ambiguous {
            self.ledger.refused(admission);
            return;
        }
        let guard = self.low_water();
        self.commits.guards.push(guard);
        let events = self.ledger.refused(admission);
        self.ledger.rows_appeared(self.now());
        let ids = events.iter().map(|event| event.envelope.id).collect();
        crate::maintenance::rescue(Arc::clone(&self.services), ids, guard);
    }

    /// What became of a doubtful commit is known.
    pub(super) fn rescued(&mut self, guard: i64) {
        self.commits.release_guard(Some(guard));
        self.ledger.rows_appeared(self.now());
    }

    pub(super) fn commit_events(&mut self, request: CommitEvents) {
        let CommitEvents { mut transaction, events, reply } = request;
        let admission = self.ledger.admit(self.now(), events);
        let services = Arc::clone(&self.services);
        drop(self.services.runtime.spawn(async move {
            let inserted = services.store.insert_events(&mut transaction, services.node, &admission).await;
            let result = match inserted {
                Ok(done) => transaction.commit().await.map(|()| done),
                Err(error) => Err(error),
            };
            services.inbox.push(Input::EventsCommitted(Box::new(EventsCommitted {
                admission,
                result,
                reply,
            })));
        }));
    }

    pub(super) fn events_committed(&mut self, committed: EventsCommitted) {
        let EventsCommitted { admission, result, reply } = committed;
        let answer = match result {
            Ok(done) => {
                self.ledger.published(self.now(), stamped(admission, &done), done.first_seq, done.last_seq);
                Ok(())
            }
            Err(error) => {
                self.give_up(admission, error.is_ambiguous());
                Err(error)
            }
        };
        reply.send(answer).ok();
    }
}

/// Writes the store's time into envelopes that nobody shares yet.
fn stamped(mut admission: Admission, done: &CommitDone) -> Admission {
    for event in &mut admission.events {
        if let Some(envelope) = Arc::get_mut(&mut event.envelope) {
            envelope.created_at = done.created_at;
        }
    }
    admission
}

/// Answers a publisher that its events are durable; one that went away wants no answer.
fn answer(request: PublishRequest) {
    let duplicates = request.duplicates;
    request.reply.send(Ok(Stored { duplicates })).ok();
}

fn refused(request: PublishRequest, error: PublishError) {
    request.reply.send(Err(error)).ok();
}
