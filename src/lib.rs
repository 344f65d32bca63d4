//! Stentor: an event bus and actor runtime that a Rust service embeds.
//!
//! One event is heard by every module, and modules grow back when they break.
//! [`Bus::publish`] stores an event and returns when it is on disk; a broker
//! hands it, typed, to supervised module actors; their acknowledgements set
//! `processed_at`. The store is an SQLite file or a PostgreSQL database.
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::{Deserialize, Serialize};
//! use stentor::{Bus, Context, Event, Handle, HandlerError, Module, Subscriptions};
//!
//! #[derive(Serialize, Deserialize)]
//! struct DoorOpened { door: u32 }
//!
//! impl Event for DoorOpened {
//!     const TYPE: &'static str = "door.opened";
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct LampLit { door: u32 }
//!
//! impl Event for LampLit {
//!     const TYPE: &'static str = "lamp.lit";
//! }
//!
//! struct Lamps { lit: u32 }
//!
//! impl Module for Lamps {
//!     const NAME: &'static str = "lamps";
//!
//!     fn subscriptions(on: &mut Subscriptions<Self>) {
//!         on.event::<DoorOpened>();
//!     }
//! }
//!
//! impl Handle<DoorOpened> for Lamps {
//!     async fn handle(&mut self, event: &DoorOpened, cx: &mut Context<'_>) -> Result<(), HandlerError> {
//!         self.lit += 1;
//!         cx.publish(LampLit { door: event.door })?; // leaves together with the acknowledgement
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let database = format!("sqlite://{}", folder.path().join("house.db").display());
//! let bus = Bus::builder().database(&database).module(|| Lamps { lit: 0 }).event::<LampLit>().start().await?;
//! let receipt = bus.publish(DoorOpened { door: 7 }).await?; // durable
//! receipt.processed().await?; // every module is done with it
//! bus.shutdown(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of an event
//!
//! An event is stored in one commit with all others that wait at that moment,
//! together with its *route*: the exact list of modules that are to get it.
//! Each module gets a batch in one message, and answers with one. When every
//! target has acknowledged, one statement sets `processed_at` for all events
//! that completed. This *live path* writes no row per delivery.
//!
//! What cannot finish there becomes a row of its own: a failed attempt that
//! waits for its retry, a dead letter, a module that is behind or paused or
//! runs on another node, a replay, the receipt of a handler that wrote through
//! its transaction. Rows are claimed under a lease; whoever lost it changes
//! nothing any more. That is also how another node, or the next start, takes
//! over what a process that died left behind.
//!
//! # What holds
//!
//! - Every target gets an event at least once, through crashes and restarts,
//!   until it acknowledges it or its attempts are used up.
//! - What a handler does through [`Context::transaction`], its acknowledgement
//!   and the events that it publishes happen together and once, or not at all.
//! - A module that fails, hangs or panics delays no other module, and no publisher.
//! - Per ordering key, a module that asks for it ([`KeyOrder`]) sees events in
//!   publish order.
//! - Memory is bounded: what does not fit waits in the database.
//! - A stored event never changes.
//!
//! # Where to look
//!
//! - [`Event`], [`Module`], [`Handle`] and [`Context`]: what a module is written with.
//! - [`Bus`] and [`BusBuilder`]: starting, publishing, subscribing closures, pausing, stopping.
//! - [`ModuleOptions`], [`RetryPolicy`], [`BreakerPolicy`]: how a module is run.
//! - [`Client`]: the same database from another process; the audit trail, redrive, replay.
//!
//! # Features
//!
//! - `sqlite`, `postgres`: the databases; both by default.
//! - `cli`: a command line (`cli::App`) and a benchmark for an embedder's own binary.
//! - `testing`: help for an embedder's tests (`testing::TestBus`); implies `sqlite`.

pub mod audit;
#[cfg(feature = "cli")]
pub mod bench;
pub mod breaker;
mod broker;
pub mod bus;
pub mod catalogue;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod context;
pub mod delivery;
mod envelope;
mod error;
pub mod event;
mod inbox;
mod ledger;
mod maintenance;
pub mod module;
#[cfg(feature = "testing")]
mod progress;
pub mod publication;
mod retry;
mod routes;
mod runtime;
mod services;
pub mod store;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod worker;

pub use breaker::{BreakerPolicy, BreakerState};
pub use bus::{Bus, BusBuilder, Receipt, Subscription};
pub use catalogue::Catalogue;
pub use client::{Client, ReplayError, Submitted};
pub use context::Context;
pub use delivery::KeyOrder;
pub use envelope::{Envelope, Metadata, Payload};
pub use error::{ERROR_BYTES_MAX, Fatal, HandlerError};
pub use event::Event;
pub use maintenance::{OriginalEvent, SystemError};
pub use module::{Handle, Module, ModuleHealth, ModuleOptions, Subscriptions};
pub use publication::{Publication, PublishError, RawEvent};
pub use retry::RetryPolicy;
pub use store::{DatabaseKind, MigrationSet, Row, StoreError, StoreOptions, Transaction, Value};

/// Compiles the examples of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

/// Compiles and runs the examples of the guide.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../docs/from-calls-to-events.md")]
struct GuideExamples;
