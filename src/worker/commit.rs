//! Commits a handler's effects, its acknowledgement and its events as one.

use crate::broker::{CommitEvents, Input};
use crate::context::Context;
use crate::delivery::Routed;
use crate::ledger::{Attempts, Segment};
use crate::publication::Submission;
use crate::services::Services;
use crate::store::{Receipt, StoreError, Transaction};

/// Commits what the handler did under `cx`, or says why nothing of it happened.
pub(super) async fn commit(cx: Context<'_>, segment: &Segment) -> Result<(), String> {
    let services = cx.services;
    let receipt = Receipt {
        event_id: cx.envelope.id,
        module: cx.module.into(),
        live: matches!(segment.attempts, Attempts::Live),
        attempt: cx.attempt,
    };
    let transaction = match cx.transaction {
        Some(transaction) => transaction,
        None => services.store.begin_delivery().await.map_err(|error| error.to_string())?,
    };
    let written = write(services, transaction, &receipt, cx.emitted).await;
    match written {
        Err(StoreError::ClaimLost) => {
            // Whoever has the delivery now has done it or will; this attempt never happened.
            tracing::warn!(module = cx.module, event = %cx.envelope.id, "delivery was taken over; its transaction is rolled back");
            Ok(())
        }
        other => other.map_err(|error| format!("transaction could not be committed: {error}")),
    }
}

async fn write(
    services: &Services,
    mut transaction: Transaction,
    receipt: &Receipt,
    emitted: Vec<Submission>,
) -> Result<(), StoreError> {
    services.store.receipt(&mut transaction, services.node, receipt).await?;
    if emitted.is_empty() {
        return transaction.commit().await;
    }
    commit_with_events(services, transaction, emitted).await
}

/// Finds where each event goes.
pub(crate) async fn route(
    services: &Services,
    submissions: Vec<Submission>,
) -> Result<Vec<Routed>, StoreError> {
    let mut events = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let route = services.routes.get_or_store(&submission.envelope.event_type).await?;
        events.push(Routed { envelope: submission.envelope.into(), route });
    }
    Ok(events)
}

/// Lets the broker store events in `transaction` and commit it: they are live at once.
pub(crate) async fn commit_with_events(
    services: &Services,
    mut transaction: Transaction,
    submissions: Vec<Submission>,
) -> Result<(), StoreError> {
    let mut events = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let event_type = &submission.envelope.event_type;
        let route = match services.routes.get(event_type) {
            Some(route) => route,
            // In this transaction: on SQLite it holds the only connection that writes.
            None => services.store.route_within(&mut transaction, event_type).await?.into(),
        };
        events.push(Routed { envelope: submission.envelope.into(), route });
    }
    let (reply, answer) = tokio::sync::oneshot::channel();
    services.inbox.push(Input::CommitEvents(CommitEvents { transaction, events, reply }));
    answer.await.unwrap_or(Err(StoreError::Stopped))
}
