//! The business modules that run on stentor.
//!
//! ```text
//! main → modules → events → stentor
//! ```
//!
//! [`events`] is the catalogue, the only words that modules share. Each module
//! (`academy`, `ats`, `companions`, `trikala`, `hr`, `achievements`,
//! `notifications`, `crm`, `ai`; each a feature of its own) reacts to events and
//! publishes others; none imports another. [`people`] holds the queries on the
//! tables that all of them need. [`school`] makes data, [`demo`] shows it all.
//!
//! Every reaction writes through its delivery's transaction: rows, acknowledgement
//! and published events commit together, and the keys of the tables make a second
//! effect impossible.

#[cfg(feature = "academy")]
pub mod academy;
#[cfg(feature = "achievements")]
pub mod achievements;
#[cfg(feature = "ai")]
pub mod ai;
#[cfg(feature = "ats")]
pub mod ats;
pub mod chain;
#[cfg(feature = "companions")]
pub mod companions;
#[cfg(feature = "crm")]
pub mod crm;
pub mod demo;
pub mod events;
#[cfg(feature = "hr")]
pub mod hr;
#[cfg(feature = "notifications")]
pub mod notifications;
pub mod people;
pub mod school;
#[cfg(feature = "trikala")]
pub mod trikala;

mod schema;
mod settings;
mod text;

use stentor::BusBuilder;

pub use events::catalogue;
pub use schema::MIGRATIONS;
pub use settings::{Settings, Switch};

/// The modules, and whether this build has them.
pub const MODULES: [(&str, bool); 9] = [
    ("academy", cfg!(feature = "academy")),
    ("ats", cfg!(feature = "ats")),
    ("companions", cfg!(feature = "companions")),
    ("trikala", cfg!(feature = "trikala")),
    ("hr", cfg!(feature = "hr")),
    ("achievements", cfg!(feature = "achievements")),
    ("ai", cfg!(feature = "ai")),
    ("crm", cfg!(feature = "crm")),
    ("notifications", cfg!(feature = "notifications")),
];

/// Registers the catalogue, the tables and all modules with a bus, with their default settings.
///
/// # Examples
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite://{}", folder.path().join("school.db").display());
/// let bus = stentor_actors::modules(stentor::Bus::builder().database(url)).start().await?;
/// assert!(bus.handler_count("course.graduated") > 0);
/// # bus.shutdown(std::time::Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
pub fn modules(builder: BusBuilder) -> BusBuilder {
    modules_with(builder, &Settings::default())
}

/// Registers the catalogue, the tables and the modules that `settings` do not leave out.
pub fn modules_with(builder: BusBuilder, settings: &Settings) -> BusBuilder {
    let mut bus = builder.catalogue(&catalogue()).migrations(&MIGRATIONS);
    #[cfg(feature = "academy")]
    if settings.academy.enabled {
        bus = bus.module(|| academy::Academy);
    }
    #[cfg(feature = "achievements")]
    if settings.achievements.enabled {
        let achievements = achievements::Achievements::new(&settings.achievements);
        bus = bus.module(move || achievements.clone());
    }
    #[cfg(feature = "ai")]
    if settings.ai.enabled {
        let ai = ai::Ai::new(&settings.ai);
        bus = bus.module(move || ai.clone());
    }
    #[cfg(feature = "ats")]
    if settings.ats.enabled {
        bus = bus.module(|| ats::Ats);
    }
    #[cfg(feature = "companions")]
    if settings.companions.enabled {
        let settings = settings.companions.clone();
        bus = bus.module(move || companions::Companions::new(&settings));
    }
    #[cfg(feature = "crm")]
    if settings.crm.enabled {
        bus = bus.module(|| crm::Crm);
    }
    #[cfg(feature = "hr")]
    if settings.hr.enabled {
        bus = bus.module(|| hr::Hr);
    }
    #[cfg(feature = "notifications")]
    if settings.notifications.enabled {
        bus = notifications::modules(bus, &settings.notifications);
    }
    #[cfg(feature = "trikala")]
    if settings.trikala.enabled {
        bus = bus.module(|| trikala::Trikala);
    }
    bus
}
