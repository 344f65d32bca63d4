//! Stentor: an event bus and actor runtime that a Rust service embeds.

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
pub mod publication;
mod retry;
mod routes;
mod runtime;
mod services;
pub mod store;
mod supervisor;
mod worker;

pub use breaker::{BreakerPolicy, BreakerState};
pub use bus::{Bus, BusBuilder, Receipt, Subscription};
pub use catalogue::Catalogue;
pub use client::{Client, Submitted};
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
