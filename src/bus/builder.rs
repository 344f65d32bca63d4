//! Describes and starts a bus.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use tokio::sync::oneshot;

use super::{Bus, Inner};
use crate::broker::{Broker, Control, Input};
use crate::catalogue::{Catalogue, TypeClash, TypeInfo};
use crate::client::Client;
use crate::delivery::KeyOrder;
use crate::event::{Event, is_module_name};
use crate::ledger::{Ledger, ModuleStart};
use crate::maintenance::{Heart, SystemError, poll};
use crate::module::{InvalidOptions, Module, ModuleOptions, Subscriptions};
use crate::publication::PAYLOAD_BYTES_MAX;
use crate::runtime::Runtime;
use crate::services::{Hosted, Services};
use crate::store::{MigrationSet, Registered, Store, StoreError, StoreOptions};
use crate::supervisor::{Definition, Supervisor};
use crate::worker::HostedModule;
use crate::worker::run::Limiter;

/// Describes a bus; see [`Bus::builder`].
#[derive(Debug)]
#[must_use = "a bus does nothing until it is started"]
pub struct BusBuilder {
    store: StoreOptions,
    definitions: Vec<Definition>,
    types: Vec<TypeInfo>,
    migrations: Vec<&'static MigrationSet>,
    lease: Duration,
    poll_interval: Duration,
    payload_bytes_max: usize,
    threads: usize,
    /// What share of its backoff a retry waits.
    jitter: fn() -> f64,
}

/// A bus could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two Rust types claim one event type.
    #[error(transparent)]
    TypeClash(#[from] TypeClash),
    /// A module's option is out of bounds.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// A module's name has the wrong form.
    #[error("module name {0:?} must be one lower-case word of a-z, 0-9, _ and -, 100 bytes at most")]
    BadModuleName(String),
    /// Two modules have one name.
    #[error("module {0:?} is registered twice")]
    DuplicateModule(String),
    /// A setting is out of bounds.
    #[error("{setting} is {value}, allowed are {allowed}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The bounds.
        allowed: &'static str,
    },
    /// The operating system refused a thread.
    #[error("the bus's threads could not be started: {0}")]
    Threads(#[from] io::Error),
}

impl BusBuilder {
    pub(super) fn new() -> Self {
        Self {
            store: StoreOptions::default(),
            definitions: Vec::new(),
            types: vec![TypeInfo::of::<SystemError>()],
            migrations: Vec::new(),
            lease: Duration::from_secs(15),
            poll_interval: Duration::from_millis(250),
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            jitter: fastrand::f64,
        }
    }

    /// Sets the database: `sqlite://PATH` or `postgres://…`. Default `sqlite://stentor.db`.
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.store = self.store.url(url);
        self
    }

    /// Sets how the database is opened.
    pub fn store(mut self, options: StoreOptions) -> Self {
        self.store = options;
        self
    }

    /// Hosts a module, with the options that it names itself.
    ///
    /// `factory` makes the state of one worker; it is called for each worker, and again
    /// whenever one is rebuilt.
    pub fn module<M: Module>(self, factory: impl Fn() -> M + Send + Sync + 'static) -> Self {
        self.module_with(M::options(), factory)
    }

    /// Hosts a module with other options than its own.
    pub fn module_with<M: Module>(
        mut self,
        options: ModuleOptions,
        factory: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        self.definitions.push(Definition::of(M::NAME, options, factory));
        self
    }

    /// Hosts a module under a name that is made at run time.
    #[cfg(feature = "cli")]
    pub(crate) fn definition(mut self, definition: Definition) -> Self {
        self.definitions.push(definition);
        self
    }

    /// Adds an event type that this process publishes and no module here handles.
    pub fn event<E: Event>(mut self) -> Self {
        self.types.push(TypeInfo::of::<E>());
        self
    }

    /// Adds all event types of `catalogue`.
    pub fn catalogue(mut self, catalogue: &Catalogue) -> Self {
        self.types.extend(catalogue.iter());
        self
    }

    /// Runs the host's own migrations at start, after the bus's.
    pub fn migrations(mut self, set: &'static MigrationSet) -> Self {
        self.migrations.push(set);
        self
    }

    /// Sets how long the node counts as alive after its last heartbeat.
    ///
    /// Default 15 s; 300 ms to 1 h. After it, other nodes take over what this one held.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how often the store is searched for work that nothing announced.
    ///
    /// Default 250 ms; 10 ms to 1 min.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the largest payload, in bytes of JSON. Default 256 KiB; 1 KiB to 16 MiB.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = bytes;
        self
    }

    /// Sets how many threads the modules share. Default: the number of cores; 1 to 256.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Makes each retry wait all of its backoff, so that a test knows when it is due.
    #[cfg(feature = "testing")]
    pub(crate) fn without_jitter(mut self) -> Self {
        self.jitter = || 1.0;
        self
    }

    /// Returns the event types that the bus would know.
    ///
    /// # Errors
    ///
    /// Fails if two Rust types claim one event type.
    pub fn known_types(&self) -> Result<Catalogue, TypeClash> {
        let mut catalogue = Catalogue::new();
        let of_modules = self.definitions.iter().flat_map(|definition| &definition.types);
        for info in self.types.iter().chain(of_modules) {
            catalogue.insert(*info)?;
        }
        Ok(catalogue)
    }

    /// Returns the names of the modules, in no particular order.
    pub fn module_names(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|definition| &*definition.name)
    }

    /// Returns which module subscribes to which event type, in no particular order.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.definitions
            .iter()
            .flat_map(|definition| definition.types.iter().map(|info| (&*definition.name, info.event_type)))
    }

    /// Opens the database, brings its schema up to date, takes over what an
    /// earlier process left behind, and starts the modules.
    ///
    /// When it returns, every module's subscriptions are in force.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be used or a setting is out of bounds; nothing keeps running then.
    pub async fn start(self) -> Result<Bus, StartError> {
        self.check()?;
        let catalogue = self.known_types()?;
        let runtime = Runtime::start()?;
        let starting = runtime.clone();
        let started = runtime.spawn(async move { self.start_on(starting, catalogue).await }).await;
        match started {
            Ok(Ok(bus)) => Ok(bus),
            Ok(Err(error)) => {
                runtime.stop();
                Err(error)
            }
            Err(_) => Err(StartError::Store(StoreError::Stopped)),
        }
    }

    fn check(&self) -> Result<(), StartError> {
        let mut names = BTreeSet::new();
        for definition in &self.definitions {
            if !is_module_name(&definition.name) {
                return Err(StartError::BadModuleName(definition.name.to_string()));
            }
            if !names.insert(&definition.name) {
                return Err(StartError::DuplicateModule(definition.name.to_string()));
            }
            definition.options.check(&definition.name)?;
        }
        let within = |setting, value: Duration, min: Duration, max: Duration, allowed| {
            let value = (min..=max).contains(&value).then_some(()).ok_or(format!("{value:?}"));
            value.map_err(|value| StartError::Setting { setting, value, allowed })
        };
        let ms = Duration::from_millis;
        within("lease", self.lease, ms(300), ms(3_600_000), "300 ms to 1 h")?;
        within("poll_interval", self.poll_interval, ms(10), ms(60_000), "10 ms to 1 min")?;
        let bounded = |setting, value: usize, bounds: std::ops::RangeInclusive<usize>, allowed| {
            let error = StartError::Setting { setting, value: value.to_string(), allowed };
            bounds.contains(&value).then_some(()).ok_or(error)
        };
        bounded("payload_bytes_max", self.payload_bytes_max, 1_024..=16 * 1024 * 1024, "1 KiB to 16 MiB")?;
        bounded("threads", self.threads, 1..=256, "1 to 256")
    }

    async fn start_on(self, runtime: Runtime, catalogue: Catalogue) -> Result<Bus, StartError> {
        let store = Store::open(&self.store, runtime.handle().clone()).await?;
        store.migrate().await?;
        for set in &self.migrations {
            store.migrate_set(set).await?;
        }
        let registered = store.register_node(env!("CARGO_PKG_VERSION"), self.lease).await?;
        let services = Services::new(store, registered.node, runtime, catalogue, self.payload_bytes_max);
        let services = Arc::new(services);
        let alone =
            services.store.heartbeat(registered.node, self.lease, registered.start_seq).await?.live_nodes
                <= 1;
        for definition in &self.definitions {
            subscribe(&services, definition).await?;
        }
        services.routes.reload().await?;
        if !alone {
            // The other nodes route by what they last polled and heard: give them the time to.
            tokio::time::sleep((self.lease / 3).max(self.poll_interval)).await;
        }
        start_broker(&services, &registered, self.threads, self.jitter).await?;
        let heart = Heart { services: Arc::clone(&services), lease: self.lease };
        for definition in self.definitions {
            host(&services, definition).await?;
        }
        heart.beat().await?;
        let poller = services.runtime.spawn(poll(Arc::clone(&services), self.poll_interval));
        let listener = services.runtime.spawn(crate::maintenance::listen(Arc::clone(&services)));
        let heart = services.runtime.spawn(heart.run());
        let client = Client::of(&services);
        Ok(Bus {
            inner: Arc::new(Inner {
                services,
                client,
                loops: vec![poller.abort_handle(), listener.abort_handle(), heart.abort_handle()],
                stopped: false.into(),
                write_down_max: Duration::from_secs(12),
            }),
        })
    }
}

impl Definition {
    pub(crate) fn of<M: Module>(
        name: &str,
        options: ModuleOptions,
        factory: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        let handlers = Subscriptions::<M>::collect();
        Self {
            name: name.into(),
            types: handlers.iter().map(|handler| handler.info).collect(),
            limiter: options.rate_limit.map(Limiter::new),
            options,
            factory: Arc::new(move || {
                Box::new(HostedModule { module: factory(), handlers: Arc::clone(&handlers) })
            }),
        }
    }
}

/// Makes a module's subscriptions durable; types it no longer handles are dropped.
pub(super) async fn subscribe(services: &Services, definition: &Definition) -> Result<(), StoreError> {
    let types: Vec<&str> = definition.types.iter().map(|info| info.event_type).collect();
    services.store.subscribe(&definition.name, &types).await
}

/// Hands a module to the broker and waits until it takes deliveries.
pub(super) async fn host(services: &Services, definition: Definition) -> Result<(), StoreError> {
    let start = if services.store.is_paused(&definition.name).await? {
        ModuleStart::Paused
    } else {
        ModuleStart::Behind
    };
    let is_ordered = definition.options.order != KeyOrder::Unordered;
    services.host(Hosted { name: Arc::clone(&definition.name), order: definition.options.order });
    let (reply, answer) = oneshot::channel();
    services.inbox.push(Input::Control(Control::Add { definition: Box::new(definition), start, reply }));
    answer.await.map_err(|_| StoreError::Stopped)?;
    if is_ordered {
        services.beat_now.notify_one();
    }
    Ok(())
}

/// Starts the broker on a thread of its own.
async fn start_broker(
    services: &Arc<Services>,
    registered: &Registered,
    threads: usize,
    jitter: fn() -> f64,
) -> Result<(), StartError> {
    let arbiter = services.runtime.new_arbiter()?;
    let (started, ready) = oneshot::channel();
    let services = Arc::clone(services);
    let start_seq = registered.start_seq;
    arbiter.spawn_fn(move || {
        let ledger = Ledger::new(start_seq, Box::new(jitter));
        let supervisor = Supervisor::new(Arc::clone(&services), threads);
        Broker::new(services, ledger, supervisor).start();
        started.send(()).ok();
    });
    ready.await.map_err(|_| StartError::Store(StoreError::Stopped))
}
