//! Looks for work that other processes, retries and the past left in the store.
//!
//! Polling is the truth; a notification only makes the next look come sooner.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::broker::Input;
use crate::services::Services;

/// Polls the store every `interval`, and at once when something hints at work.
pub(crate) async fn poll(services: Arc<Services>, interval: Duration) {
    loop {
        let modules = services.hosted(|_| true);
        let pauses = services.pauses.load(Ordering::Acquire);
        match services.store.poll(&modules).await {
            Ok(poll) => services.inbox.push(Input::Polled { poll, pauses }),
            Err(error) => tracing::warn!(%error, "the store could not be polled; trying again"),
        }
        // A hint or the interval, whichever comes first: either way it is time to look.
        drop(tokio::time::timeout(interval, services.look_now.notified()).await);
    }
}
