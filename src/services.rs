//! What the actors of one bus share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::broker::Input;
use crate::catalogue::{Catalogue, TypeClash, TypeInfo};
use crate::delivery::NodeId;
use crate::inbox::Inbox;
use crate::routes::Routes;
use crate::runtime::Runtime;
use crate::store::Store;

/// What the actors of one bus share. Everything in it is safe to use from any thread.
pub(crate) struct Services {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) runtime: Runtime,
    pub(crate) routes: Routes,
    pub(crate) inbox: Inbox<Input>,
    pub(crate) payload_bytes_max: usize,
    /// Set at the deadline of a shutdown: workers hand back what they have not begun.
    pub(crate) stopping: AtomicBool,
    /// A run that routes events from outside is under way.
    pub(crate) routing: AtomicBool,
    /// Makes the poller look at once.
    pub(crate) look_now: Notify,
    /// The modules that this node hosts.
    pub(crate) hosted: RwLock<Vec<Arc<str>>>,
    catalogue: RwLock<Arc<Catalogue>>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Services {
    pub(crate) fn new(
        store: Store,
        node: NodeId,
        runtime: Runtime,
        catalogue: Catalogue,
        payload_bytes_max: usize,
    ) -> Self {
        Self {
            routes: Routes::new(store.clone()),
            store,
            node,
            runtime,
            inbox: Inbox::new(),
            payload_bytes_max,
            stopping: AtomicBool::new(false),
            routing: AtomicBool::new(false),
            look_now: Notify::new(),
            hosted: RwLock::new(Vec::new()),
            catalogue: RwLock::new(Arc::new(catalogue)),
        }
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds types that a module subscribed to at run time.
    pub(crate) fn learn(&self, infos: impl IntoIterator<Item = TypeInfo>) -> Result<(), TypeClash> {
        let mut shared = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        let mut catalogue = Catalogue::clone(&shared);
        for info in infos {
            catalogue.insert(info)?;
        }
        *shared = Arc::new(catalogue);
        Ok(())
    }
}
