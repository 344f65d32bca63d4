//! The business modules that run on stentor.
//!
//! ```text
//! main → modules → events → stentor
//! ```
//!
//! [`events`] is the catalogue, the only words that modules share. Each module
//! ([`academy`], [`ats`], [`trikala`], [`notifications`]) reacts to events and
//! publishes others; none imports another. [`people`] holds the queries on the
//! tables that all of them need. [`school`] makes data, [`demo`] shows it all.
//!
//! Every reaction writes through its delivery's transaction: rows, acknowledgement
//! and published events commit together, and the keys of the tables make a second
//! effect impossible.

pub mod academy;
pub mod ats;
pub mod chain;
pub mod demo;
pub mod events;
pub mod notifications;
pub mod people;
pub mod school;
pub mod trikala;

mod schema;

use stentor::BusBuilder;

pub use events::catalogue;
pub use schema::MIGRATIONS;

/// Registers the catalogue, the tables and all modules with a bus.
///
/// # Examples
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite://{}", folder.path().join("school.db").display());
/// let bus = stentor_actors::modules(stentor::Bus::builder().database(url)).start().await?;
/// assert_eq!(bus.handler_count("course.graduated"), 3);
/// # bus.shutdown(std::time::Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
pub fn modules(builder: BusBuilder) -> BusBuilder {
    builder
        .catalogue(&catalogue())
        .migrations(&MIGRATIONS)
        .module(|| academy::Academy)
        .module(|| ats::Ats)
        .module(|| trikala::Trikala)
        .module(|| notifications::Notifications)
}
