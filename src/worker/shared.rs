//! Deliveries that share a transaction, so that one commit serves them all.
//!
//! Each joins the transaction of those before it. Whatever goes wrong undoes all of
//! them, and then each runs again in a transaction of its own: a failure is found
//! there, and never undoes its neighbours.

use std::time::Duration;

use tokio::time::Instant;

use super::commit::commit;
use super::guard::CallError;
use super::run::Run;
use crate::context::{SQLITE_TRANSACTION_MAX, Work};
use crate::delivery::FailureKind;
use crate::error::HandlerError;
use crate::ledger::{Attempts, Outcome};
use crate::store::{Receipts, StoreError};

/// How long a transaction stays open for others to join.
const OPEN_MAX: Duration = Duration::from_millis(20);

/// What some deliveries did, not yet committed.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) work: Work,
    /// When the first of them was done.
    since: Option<Instant>,
    /// The deliveries, by their place in the segment.
    pub(super) indices: Vec<u32>,
}

impl Run<'_> {
    /// Keeps the effects of a delivery that went well, and commits them unless others may join.
    pub(super) async fn succeeded(&mut self, index: u32) {
        let now = Instant::now();
        let since = *self.shared.since.get_or_insert(now);
        self.shared.work.keep();
        self.shared.indices.push(index);
        let is_full = self.shared.indices.len() >= self.host.sharing as usize;
        if self.alone || is_full || now - since >= OPEN_MAX {
            self.flush().await;
        }
    }

    /// Takes what is shared: nothing is held any more that others wait for.
    fn take_shared(&mut self) -> Shared {
        self.guard.deadline.set(None);
        std::mem::take(&mut self.shared)
    }

    /// Commits what is shared. If that fails, each delivery is run again alone.
    pub(super) async fn flush(&mut self) {
        let Shared { work: Work { transaction, emitted, .. }, indices, .. } = self.take_shared();
        if indices.is_empty() {
            return;
        }
        let attempts = &self.segment.attempts;
        let delivery = |index: &u32| (self.segment.events[*index as usize].id, attempts.of(*index));
        let receipts = Receipts {
            module: self.host.name.clone(),
            live: matches!(attempts, Attempts::Live),
            deliveries: indices.iter().map(delivery).collect(),
        };
        match (commit(&self.host.services, transaction, &receipts, emitted).await, indices.as_slice()) {
            (Ok(()), _) => indices.iter().for_each(|index| self.committed(*index)),
            (Err(StoreError::ClaimLost), [index]) => {
                // Whoever has the delivery now has done it or will; this attempt never happened.
                let (module, event) = (&*self.host.name, receipts.deliveries[0].0);
                tracing::warn!(module, %event, "delivery was taken over; its transaction is rolled back");
                self.committed(*index);
            }
            (Err(error), [index]) => {
                let message = format!("transaction could not be committed: {error}");
                self.failed(*index, FailureKind::Retryable, &message);
            }
            (Err(error), several) => {
                let module = &*self.host.name;
                tracing::debug!(module, %error, deliveries = several.len(), "shared transaction failed; each runs alone");
                self.again.extend(several);
            }
        }
    }

    /// Undoes what a delivery did that did not go well, and reports it; if it shared
    /// its transaction, each delivery runs again alone first.
    pub(super) async fn undo(&mut self, index: u32, error: CallError) {
        let (kind, message) = failure_of(error);
        let is_joined = self.shared.work.is_joined();
        self.shared.work.undo();
        if is_joined {
            self.guard.deadline.set(None);
        }
        let ends_worker = matches!(kind, FailureKind::Panic | FailureKind::Timeout);
        if is_joined && !self.shared.indices.is_empty() {
            let undone = self.take_shared().indices;
            self.again.extend(undone);
            if !ends_worker {
                return self.again.push_back(index);
            }
        } else if ends_worker {
            self.flush().await;
        }
        self.failed(index, kind, &message);
    }

    fn committed(&mut self, index: u32) {
        self.tally.failures_in_a_row = 0;
        self.tally.except(self.segment, index, Outcome::Committed);
    }

    /// The worker ends: what was undone or is not committed was not tried.
    pub(super) fn abandon(&mut self) {
        let shared = self.take_shared();
        for index in shared.indices.into_iter().chain(std::mem::take(&mut self.again)) {
            self.tally.except(self.segment, index, Outcome::NotTried);
        }
    }
}

/// Returns what a call that did not go well counts as.
pub(crate) fn failure_of(error: CallError) -> (FailureKind, String) {
    match error {
        CallError::Returned(error @ HandlerError::Retryable(_)) => {
            (FailureKind::Retryable, error.to_string())
        }
        CallError::Returned(error @ HandlerError::Fatal(_)) => (FailureKind::Fatal, error.to_string()),
        CallError::Panicked(message) => (FailureKind::Panic, format!("panicked: {message}")),
        CallError::TimedOut(limit) => (FailureKind::Timeout, timeout_message(limit)),
    }
}

fn timeout_message(limit: Duration) -> String {
    if limit == SQLITE_TRANSACTION_MAX {
        format!("held its SQLite transaction longer than {limit:?}; do slow work before opening it")
    } else {
        format!("did not return within {limit:?}")
    }
}
