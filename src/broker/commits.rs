//! Group commit: everything that waits becomes durable together.
//!
//! One commit of new events is under way at a time, and a second one as soon as
//! as many events wait as the first has: it is made ready while the store works.
//! Where the store works on both at once, many events that wait are divided evenly:
//! publishers that all wait for one commit would leave the store idle after it.
//! One commit of settlements is under way beside them; on SQLite, which has one
//! writer, settlements share a transaction with new events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Broker, CommitEvents, Input, PublishRequest, Stored};
use crate::delivery::{Routed, Settlement, payload_bytes};
use crate::ledger::Admission;
use crate::publication::PublishError;
use crate::store::{Commit, CommitDone, CommitError, Duplicate, StoreError};

mod queue;

pub(super) use queue::Commits;

/// How long commits rest after the store failed.
const REST: Duration = Duration::from_millis(250);
/// Up to so many events and so many bytes are committed from the broker's own thread: to wake another takes
/// longer than to encode them.
const QUICK_EVENTS: usize = 32;
const QUICK_BYTES: usize = 16 * 1024;

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

impl Broker {
    pub(super) fn publish(&mut self, request: PublishRequest) {
        if self.phase.refuses_events() {
            return refused(request, PublishError::ShuttingDown);
        }
        self.commits.wait(request);
    }

    /// Returns how many more events have to come before another commit is started.
    pub(super) fn events_wanted(&self) -> usize {
        if self.now() < self.commits.rest_until { usize::MAX } else { self.commits.events_wanted() }
    }

    pub(super) fn start_commits(&mut self) {
        if self.now() < self.commits.rest_until {
            return;
        }
        while self.commits.may_persist(self.ledger.owes_settlement()) {
            let requests = self.commits.begin();
            let settlement =
                if self.commits.one_writer { self.ledger.take_settlement() } else { Settlement::default() };
            self.commit(requests, settlement);
        }
        if !self.commits.one_writer && !self.commits.settling && self.ledger.owes_settlement() {
            let settlement = self.ledger.take_settlement();
            self.commits.settling = true;
            self.commit(Vec::new(), settlement);
        }
    }

    fn commit(&mut self, mut requests: Vec<(usize, PublishRequest)>, settlement: Settlement) {
        let events: Vec<Routed> =
            requests.iter_mut().flat_map(|(_, request)| request.events.drain(..)).collect();
        let admission = (!events.is_empty()).then(|| self.ledger.admit(self.now(), events));
        let services = Arc::clone(&self.services);
        let is_quick = is_quick(admission.as_ref(), &settlement);
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
            if !is_quick {
                // The connection goes on to the next commit before the publishers wake up.
                tokio::task::yield_now().await;
            }
            for (_, request) in stored {
                answer(request);
            }
        };
        if is_quick {
            self.services.runtime.spawn_here(task);
        } else {
            drop(self.services.runtime.spawn(task));
        }
    }

    pub(super) fn committed(&mut self, committed: Committed) {
        let Committed { requests, admission, settlement, result } = committed;
        if self.commits.one_writer || admission.is_some() {
            self.commits.persisted(admission.as_ref().map_or(&[], |admission| &admission.events));
        } else {
            self.commits.settling = false;
        }
        match result {
            Ok(done) => {
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
                self.ledger.not_settled(settlement);
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
        let mark = self.ledger.hold_low_water();
        let events = self.ledger.refused(admission);
        self.ledger.rows_appeared(self.now());
        let ids = events.iter().map(|event| event.envelope.id).collect();
        crate::maintenance::rescue(Arc::clone(&self.services), ids, mark);
    }

    /// What became of a doubtful commit is known.
    pub(super) fn rescued(&mut self, mark: i64) {
        self.ledger.release_low_water(mark);
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

/// Returns whether a commit takes next to no work to prepare.
fn is_quick(admission: Option<&Admission>, settlement: &Settlement) -> bool {
    let events = admission.map_or(&[][..], |admission| &admission.events);
    let settled = settlement.completed.len() + settlement.released.len();
    !events.is_empty()
        && events.len() <= QUICK_EVENTS
        && payload_bytes(events) <= QUICK_BYTES
        && settled <= QUICK_EVENTS
        && settlement.rows.is_empty()
        && settlement.changes.is_empty()
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
