//! Stentor: an event bus and actor runtime that a Rust service embeds.

pub mod breaker;
pub mod catalogue;
pub mod delivery;
pub mod envelope;
pub mod error;
pub mod event;
mod ledger;
pub mod retry;

pub use envelope::{Envelope, Metadata};
pub use error::{Fatal, HandlerError};
pub use event::Event;
