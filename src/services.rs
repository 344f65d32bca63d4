//! What the actors of one bus share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::broker::{Input, PublishRequest};
use crate::catalogue::{Catalogue, TypeClash, TypeInfo};
use crate::delivery::{KeyOrder, NodeId};
use crate::inbox::Inbox;
use crate::routes::Routes;
use crate::runtime::Runtime;
use crate::store::Store;

/// A module that this node hosts.
#[derive(Debug, Clone)]
pub(crate) struct Hosted {
    pub(crate) name: Arc<str>,
    /// An ordered module runs on one node at a time, by lease.
    pub(crate) order: KeyOrder,
}

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
    /// Pauses and resumptions that were asked for here and are in the store: a look from before knows no better.
    pub(crate) pauses: AtomicU64,
    /// Makes the poller look at once.
    pub(crate) look_now: Notify,
    /// The modules that this node hosts.
    hosted: RwLock<Vec<Hosted>>,
    /// Makes the heart beat at once.
    pub(crate) beat_now: Notify,
    catalogue: RwLock<Arc<Catalogue>>,
    #[cfg(feature = "testing")]
    pub(crate) progress: crate::progress::Progress,
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
            pauses: AtomicU64::new(0),
            look_now: Notify::new(),
            hosted: RwLock::new(Vec::new()),
            beat_now: Notify::new(),
            catalogue: RwLock::new(Arc::new(catalogue)),
            #[cfg(feature = "testing")]
            progress: crate::progress::Progress::default(),
        }
    }

    /// Hands events to the broker, which need not look at them before it can commit them.
    pub(crate) fn publish(&self, request: PublishRequest) {
        let events = request.events.len();
        self.inbox.push_patiently(Input::Publish(request), events);
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn hosts(&self, module: &str) -> bool {
        self.hosted
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|hosted| *hosted.name == *module)
    }

    /// Returns the names of the hosted modules that `wanted` picks.
    pub(crate) fn hosted(&self, wanted: impl Fn(&Hosted) -> bool) -> Vec<Arc<str>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.iter().filter(|hosted| wanted(hosted)).map(|hosted| Arc::clone(&hosted.name)).collect()
    }

    /// Returns how a hosted module wants the deliveries of one key; none that is not hosted wants any order.
    #[cfg(feature = "testing")]
    pub(crate) fn order_of(&self, module: &str) -> KeyOrder {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.iter().find(|hosted| *hosted.name == *module).map(|hosted| hosted.order).unwrap_or_default()
    }

    pub(crate) fn host(&self, module: Hosted) {
        self.hosted.write().unwrap_or_else(PoisonError::into_inner).push(module);
    }

    pub(crate) fn host_no_more(&self, module: &str) {
        self.hosted.write().unwrap_or_else(PoisonError::into_inner).retain(|hosted| *hosted.name != *module);
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
