//! Help for tests of an embedder's own modules.
//!
//! A [`TestBus`] is a real bus, no imitation of one: the same actors, retries and transactions, on an
//! SQLite database of its own in a private temporary folder. It needs nothing to be installed and leaves
//! nothing behind, so every test may have one, and they run side by side. It dereferences to
//! [`Bus`], so code under test takes it as `&Bus`.
//!
//! | a test wants to | it calls |
//! | --- | --- |
//! | publish, and wait for everything that follows | [`TestBus::publish_and_settle`] |
//! | see what was published | [`TestBus::published`], [`TestBus::events`] |
//! | run one module alone with one event | [`TestBus::deliver`] |
//! | let time pass | [`TestBus::advance`] |
//!
//! # A module grants a role
//!
//! What the bus is to host comes in as a closure over its builder: modules, options, and the migrations of
//! the application's own tables.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use stentor::store::Migration;
//! use stentor::testing::{TestBus, TestError};
//! use stentor::{Context, Event, Handle, HandlerError, MigrationSet, Module, Subscriptions, args};
//! use uuid::Uuid;
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct CourseGraduated { user_id: Uuid, course_id: Uuid, final_score: f64 }
//!
//! impl Event for CourseGraduated {
//!     const TYPE: &'static str = "course.graduated";
//! }
//!
//! struct Ats;
//!
//! impl Module for Ats {
//!     const NAME: &'static str = "ats";
//!
//!     fn subscriptions(on: &mut Subscriptions<Self>) {
//!         on.event::<CourseGraduated>();
//!     }
//! }
//!
//! impl Handle<CourseGraduated> for Ats {
//!     async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
//!         let tx = cx.transaction().await?;
//!         let sql = "INSERT INTO user_roles (user_id, role) VALUES ($1, 'candidate') ON CONFLICT DO NOTHING";
//!         tx.execute(sql, args![event.user_id]).await?;
//!         Ok(())
//!     }
//! }
//!
//! static SCHOOL: MigrationSet = MigrationSet {
//!     table: "school_migrations",
//!     migrations: &[Migration {
//!         version: 1,
//!         name: "roles",
//!         sqlite: "CREATE TABLE user_roles (user_id BLOB, role TEXT, PRIMARY KEY (user_id, role)) STRICT",
//!         postgres: "CREATE TABLE user_roles (user_id UUID, role TEXT, PRIMARY KEY (user_id, role))",
//!     }],
//! };
//!
//! async fn roles(bus: &stentor::Bus, user: Uuid) -> Vec<String> {
//!     let rows = bus.client().fetch_all("SELECT role FROM user_roles WHERE user_id = $1", args![user]).await;
//!     rows.unwrap().iter().map(|row| row.get("role").unwrap()).collect()
//! }
//!
//! // #[tokio::test]
//! async fn a_graduate_becomes_a_candidate() -> Result<(), TestError> {
//!     let bus = TestBus::start(|bus| bus.migrations(&SCHOOL).module(|| Ats)).await?;
//!     let user_id = Uuid::now_v7();
//!     let event = CourseGraduated { user_id, course_id: Uuid::now_v7(), final_score: 95.0 };
//!     let settled = bus.publish_and_settle(event).await?;
//!     assert!(settled.is_processed());
//!     assert_eq!(roles(&bus, user_id).await, ["candidate"]);
//!     bus.stop().await
//! }
//!
//! // #[tokio::test]
//! async fn the_module_alone_does_it_once() -> Result<(), TestError> {
//!     let bus = TestBus::start(|bus| bus.migrations(&SCHOOL)).await?; // hosts nobody
//!     let user_id = Uuid::now_v7();
//!     for _ in 0..2 {
//!         let event = CourseGraduated { user_id, course_id: Uuid::now_v7(), final_score: 95.0 };
//!         let delivered = bus.deliver(&mut Ats, event).await?;
//!         assert_eq!(delivered.outcome, Ok(()));
//!         assert!(delivered.published.is_empty());
//!     }
//!     assert_eq!(roles(&bus, user_id).await, ["candidate"]); // delivered twice, granted once
//!     bus.stop().await
//! }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! #     a_graduate_becomes_a_candidate().await.unwrap();
//! #     the_module_alone_does_it_once().await.unwrap();
//! # });
//! ```
//!
//! # Routes, the audit trail, failures
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use stentor::Event;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use stentor::delivery::DeliveryState;
//! use stentor::testing::{TestBus, TestError};
//! use stentor::HandlerError;
//! use tokio::sync::mpsc;
//!
//! #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
//! struct Tested { foo: String }
//!
//! impl Event for Tested {
//!     const TYPE: &'static str = "test.event";
//! }
//!
//! # fn tested() -> Tested { Tested { foo: "bar".to_owned() } }
//! // #[tokio::test]
//! async fn an_event_reaches_all_registered_handlers() -> Result<(), Box<dyn std::error::Error>> {
//!     let bus = TestBus::start(|bus| bus).await?;
//!     let (calls, mut called) = mpsc::unbounded_channel();
//!     for name in ["first", "second"] {
//!         let calls = calls.clone();
//!         bus.subscribe(name, move |event: Arc<Tested>| {
//!             let calls = calls.clone();
//!             async move { Ok(calls.send((name, event.foo.clone()))?) }
//!         })
//!         .await?;
//!     }
//!     bus.publish_and_settle(tested()).await?;
//!     let mut seen = [called.try_recv()?, called.try_recv()?];
//!     seen.sort();
//!     assert_eq!(seen, [("first", "bar".to_owned()), ("second", "bar".to_owned())]);
//!     assert!(called.try_recv().is_err(), "each is called once");
//!     Ok(bus.stop().await?)
//! }
//!
//! // #[tokio::test]
//! async fn an_event_is_kept_in_the_database() -> Result<(), TestError> {
//!     let bus = TestBus::start(|bus| bus).await?;
//!     bus.publish(tested()).await?;
//!     assert_eq!(bus.published::<Tested>().await?, [tested()]);
//!     let events = bus.events().await?;
//!     assert_eq!(events.len(), 1);
//!     assert_eq!(events[0].payload["foo"], "bar");
//!     bus.stop().await
//! }
//!
//! // #[tokio::test]
//! async fn a_failing_handler_crashes_nothing() -> Result<(), Box<dyn std::error::Error>> {
//!     let bus = TestBus::start(|bus| bus).await?;
//!     bus.subscribe("failing", |_: Arc<Tested>| async { Err(HandlerError::retryable("handler failed")) }).await?;
//!     bus.subscribe("working", |_: Arc<Tested>| async { Ok(()) }).await?;
//!     let settled = bus.publish_and_settle(tested()).await?;
//!     assert_eq!(settled.state("working"), Some(DeliveryState::Acked));
//!     assert_eq!(settled.state("failing"), Some(DeliveryState::Pending)); // it will be tried again
//!     assert!(settled.event.error.is_some_and(|error| error.contains("handler failed")));
//!
//!     bus.advance(Duration::from_secs(1)).await?; // the first retry is due
//!     let settled = bus.settle(settled.event.id).await?;
//!     assert_eq!(settled.delivery("failing").map(|delivery| delivery.attempts), Some(2));
//!     Ok(bus.stop().await?)
//! }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! #     an_event_reaches_all_registered_handlers().await.unwrap();
//! #     an_event_is_kept_in_the_database().await.unwrap();
//! #     a_failing_handler_crashes_nothing().await.unwrap();
//! # });
//! ```

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use crate::audit::{EventFilter, EventRecord};
use crate::broker::Input;
use crate::bus::{Bus, BusBuilder, ShutdownError, StartError};
use crate::catalogue::DecodeError;
use crate::event::Event;
use crate::publication::PublishError;
use crate::store::StoreError;

mod deliver;
mod settle;

pub use deliver::{Delivered, Failed};
pub use settle::Settled;

/// How long [`TestBus::settle`] waits by default: long enough for a slow machine, too short for a night.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long [`TestBus::stop`] gives handlers that run.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How soon a row that became due, or that a plain INSERT made, is found.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A bus on a database that is gone when the test is over. See the [module](self) for examples.
///
/// The database is a file and not kept in memory: connections that share a memory of SQLite's lock each
/// other out of whole tables, and that would be another bus than the one in production.
#[derive(Debug)]
pub struct TestBus {
    // Dropped first: the database must not go before those who use it.
    bus: Bus,
    folder: TempDir,
    patience: Duration,
}

/// A test could not do with its bus what it wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The temporary folder could not be made or removed.
    #[error("the temporary folder of the database: {0}")]
    Folder(#[source] io::Error),
    /// The bus did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The event was refused.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored payload does not fit the type that was asked for.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no such event.
    #[error("no event {0} is stored")]
    UnknownEvent(Uuid),
    /// Something of the chain still moves.
    #[error("not settled after {patience:?}: {moving}")]
    Unsettled {
        /// How long it was waited for.
        patience: Duration,
        /// The deliveries that a module still has, or that it would take if it could.
        moving: String,
    },
    /// The bus did not stop cleanly.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    /// The bus is shut down.
    #[error("the bus is shut down")]
    Stopped,
}

impl TestBus {
    /// Starts a bus that `compose` describes, on a new and empty database.
    ///
    /// The builder that `compose` gets looks for work every 20 ms, and retries wait all of their backoff, without
    /// jitter, so that a test knows what [`TestBus::advance`] makes due. With another
    /// [`database`](BusBuilder::database), say an empty one on PostgreSQL, the bus runs there, and that
    /// database is the test's own to remove.
    ///
    /// # Errors
    ///
    /// Fails if no temporary folder can be made, and as [`BusBuilder::start`].
    pub async fn start(compose: impl FnOnce(BusBuilder) -> BusBuilder) -> Result<Self, TestError> {
        let folder = tempfile::Builder::new().prefix("stentor-").tempdir().map_err(TestError::Folder)?;
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let builder = Bus::builder().database(url).poll_interval(POLL_EVERY).without_jitter();
        let bus = compose(builder).start().await?;
        Ok(Self { bus, folder, patience: PATIENCE })
    }

    /// Sets how long [`TestBus::settle`] waits before it says what still moves. Default 30 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Returns every event that was published, by whomever, oldest first.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn events(&self) -> Result<Vec<EventRecord>, TestError> {
        Ok(self.client().all_events(&EventFilter::default()).await?)
    }

    /// Returns every event of one type that was published, by whomever, oldest first.
    ///
    /// They are read back from the store, so this also tells whether the type can read what it wrote.
    ///
    /// # Errors
    ///
    /// Fails if a payload does not fit the type, or the store fails.
    pub async fn published<E: Event>(&self) -> Result<Vec<E>, TestError> {
        let filter = EventFilter { event_type: Some(E::TYPE.to_owned()), ..EventFilter::default() };
        settle::decoded(&self.client().all_events(&filter).await?)
    }

    /// Moves the bus's time forward by `by`.
    ///
    /// Moved: retries, and whatever else waits in the store, are due that much earlier; breakers come to
    /// their probes, and forget their calls; the window in which restarts are counted passes.
    /// What is due then is looked for at once; [`TestBus::settle`] waits until it is done.
    ///
    /// Not moved: the database's clock, so `created_at` and everything else that is stored; retention,
    /// which goes by it; the leases of nodes; what runs on timers of the machine, which are a handler's
    /// timeout, the 500 ms of a transaction on SQLite, rate limits, the pause before a worker is built
    /// anew, and every timer of your own.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub async fn advance(&self, by: Duration) -> Result<(), TestError> {
        let services = Arc::clone(self.services());
        let shared = Arc::clone(&services);
        let advancing = shared.runtime.spawn(async move {
            services.store.advance(by).await?;
            services.runtime.advance(by);
            services.inbox.push(Input::RowsAppeared);
            services.look_now.notify_one();
            Ok(())
        });
        advancing.await.unwrap_or(Err(TestError::Stopped))
    }

    /// Stops the bus as [`Bus::shutdown`] does, within 5 s, and removes its database.
    ///
    /// A test that fails drops the bus instead. That stops it at once, as a crash would, and removes the
    /// database too, unless a clone of the bus is still in use.
    ///
    /// # Errors
    ///
    /// Fails if the bus is shut down already, or the folder cannot be removed.
    pub async fn stop(self) -> Result<(), TestError> {
        let Self { bus, folder, .. } = self;
        bus.shutdown(STOP_WITHIN).await?;
        drop(bus);
        folder.close().map_err(TestError::Folder)
    }
}

impl Deref for TestBus {
    type Target = Bus;

    fn deref(&self) -> &Bus {
        &self.bus
    }
}
