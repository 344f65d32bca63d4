//! Stentor: an event bus and actor runtime that a Rust service embeds.

pub mod catalogue;
pub mod delivery;
pub mod envelope;
pub mod error;
pub mod event;

pub use envelope::{Envelope, Metadata};
pub use error::{Fatal, HandlerError};
pub use event::Event;
