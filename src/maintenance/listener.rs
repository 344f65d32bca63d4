//! Listens to PostgreSQL's notifications: hints that make the next poll come sooner.

use std::sync::Arc;

use crate::services::Services;

/// Wakes the poller at each notification, for as long as the bus runs. SQLite has none.
pub(crate) async fn listen(services: Arc<Services>) {
    #[cfg(feature = "postgres")]
    loop {
        let Some(listener) = services.store.listener().await else {
            return;
        };
        let Ok(mut listener) = listener else {
            // A transaction pooler allows no LISTEN; polling finds everything too.
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            continue;
        };
        while listener.recv().await.is_ok() {
            services.look_now.notify_one();
        }
    }
    #[cfg(not(feature = "postgres"))]
    drop(services);
}
