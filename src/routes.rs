//! The routes in force: for each event type, the exact list of modules.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::delivery::Route;
use crate::store::{Store, StoreError};

/// The routes in force, read by every publisher and replaced when subscriptions change.
pub(crate) struct Routes {
    store: Store,
    by_type: RwLock<HashMap<Arc<str>, Arc<Route>>>,
    /// The newest route that was read.
    version: AtomicI64,
}

impl Routes {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, by_type: RwLock::new(HashMap::new()), version: AtomicI64::new(0) }
    }

    /// Reads all routes again, after subscriptions have changed here or elsewhere.
    pub(crate) async fn reload(&self) -> Result<(), StoreError> {
        let routes = self.store.load_routes().await?;
        let newest = routes.iter().map(|route| route.id).max().unwrap_or(0);
        self.version.fetch_max(newest, Ordering::AcqRel);
        let by_type =
            routes.into_iter().map(|route| (Arc::clone(&route.event_type), Arc::new(route))).collect();
        *self.by_type.write().unwrap_or_else(PoisonError::into_inner) = by_type;
        Ok(())
    }

    /// Returns whether `version`, the newest route in the store, is not known here yet.
    pub(crate) fn is_older_than(&self, version: i64) -> bool {
        self.version.load(Ordering::Acquire) < version
    }

    pub(crate) fn get(&self, event_type: &str) -> Option<Arc<Route>> {
        self.by_type.read().unwrap_or_else(PoisonError::into_inner).get(event_type).map(Arc::clone)
    }

    /// Stores the route of a type that had none yet: one without targets, at its first use.
    pub(crate) async fn store_route(&self, event_type: &str) -> Result<Arc<Route>, StoreError> {
        let route = Arc::new(self.store.route_for(event_type).await?);
        self.by_type
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(Arc::clone(&route.event_type))
            .or_insert_with(|| Arc::clone(&route));
        Ok(route)
    }
}
