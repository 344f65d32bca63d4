//! Commits what handlers did, their acknowledgements and their events as one.

use crate::broker::{CommitEvents, Input};
use crate::delivery::Routed;
use crate::publication::Submission;
use crate::services::Services;
use crate::store::{Receipts, StoreError, Transaction};

/// Commits what was written in `transaction`, if anything, the acknowledgements and the events.
pub(super) async fn commit(
    services: &Services,
    transaction: Option<Transaction>,
    receipts: &Receipts,
    emitted: Vec<Submission>,
) -> Result<(), StoreError> {
    let mut transaction = match transaction {
        Some(transaction) => transaction,
        None => services.store.begin_delivery().await?,
    };
    services.store.acknowledge(&mut transaction, services.node, receipts).await?;
    if emitted.is_empty() {
        return transaction.commit().await;
    }
    commit_with_events(services, transaction, emitted).await
}

/// Finds where each event goes.
pub(crate) async fn route(
    services: &Services,
    submissions: impl IntoIterator<Item = Submission, IntoIter: ExactSizeIterator>,
) -> Result<Vec<Routed>, StoreError> {
    let submissions = submissions.into_iter();
    let mut events = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let event_type = &submission.envelope.event_type;
        let route = match services.routes.get(event_type) {
            Some(route) => route,
            // Seldom: not worth its room in every publisher's future.
            None => Box::pin(services.routes.store_route(event_type)).await?,
        };
        events.push(Routed { envelope: submission.envelope, route });
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
        events.push(Routed { envelope: submission.envelope, route });
    }
    let (reply, answer) = tokio::sync::oneshot::channel();
    services.inbox.push(Input::CommitEvents(CommitEvents { transaction, events, reply }));
    answer.await.unwrap_or(Err(StoreError::Stopped))
}
