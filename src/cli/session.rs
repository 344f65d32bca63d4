//! What a command works with: the settings, the output, and ways to the database.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::settings::Settings;
use super::{CliError, Format, Output, Parts, logs};
use crate::bus::{Bus, BusBuilder};
use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::store::{MigrationSet, StoreOptions};

/// What a command works with.
#[derive(Debug, Clone)]
pub struct Session {
    settings: Settings,
    output: Output,
    parts: Arc<Parts>,
}

impl Session {
    pub(super) fn new(settings: Settings, parts: Arc<Parts>) -> Self {
        let output = Output::new(settings.format, settings.quiet);
        Self { settings, output, parts }
    }

    /// Returns where to write.
    #[must_use]
    pub fn output(&self) -> Output {
        self.output
    }

    /// Returns the database that the flag `--database` names, whatever is configured.
    #[must_use]
    pub fn database_flag(&self) -> Option<&str> {
        self.settings.database_flag.as_deref()
    }

    /// Returns a builder with the embedder's modules and the configured settings.
    ///
    /// # Errors
    ///
    /// Fails if a setting of the embedder's has a value of the wrong kind.
    pub fn bus(&self) -> Result<BusBuilder, CliError> {
        let bus = &self.settings.bus;
        let mut builder = (self.parts.compose)(Bus::builder(), &self.settings)?.store(self.store_options());
        if let Some(lease) = bus.lease {
            builder = builder.lease(lease);
        }
        if let Some(interval) = bus.poll_interval {
            builder = builder.poll_interval(interval);
        }
        if let Some(bytes) = bus.payload_bytes_max {
            builder = builder.payload_bytes_max(bytes);
        }
        if let Some(threads) = bus.threads {
            builder = builder.threads(threads);
        }
        Ok(builder)
    }

    /// Returns the embedder's own settings, for a command of the embedder's.
    ///
    /// # Errors
    ///
    /// Fails if one has a value of the wrong kind.
    pub fn host_settings<S: DeserializeOwned>(&self) -> Result<S, CliError> {
        self.settings.of_host()
    }

    /// Opens the database beside whatever runs on it.
    ///
    /// # Errors
    ///
    /// Fails if the database does not exist, cannot be reached, or has another schema than this build's.
    pub async fn client(&self) -> Result<Client, CliError> {
        Ok(Client::open(&self.store_options().create(false)).await?)
    }

    /// Opens the database whatever its schema.
    pub(super) async fn client_of_any_schema(&self, create: Create) -> Result<Client, CliError> {
        Ok(Client::open_any(&self.store_options().create(create == Create::Yes)).await?)
    }

    /// Returns the event types that this build knows.
    pub(super) fn catalogue(&self) -> Result<Catalogue, CliError> {
        self.bus()?.known_types().map_err(|error| CliError::Failed(error.to_string()))
    }

    pub(super) fn migrations(&self) -> &[&'static MigrationSet] {
        &self.parts.migrations
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn is_table(&self) -> bool {
        self.output.format() == Format::Table
    }

    /// Starts the logs at the level that was set, or else at `default`.
    pub(super) fn start_logs(&self, default: &str) -> Result<(), CliError> {
        logs::start(self.settings.log_level.as_deref().unwrap_or(default))
    }

    pub(super) fn store_options(&self) -> StoreOptions {
        let database = &self.settings.database;
        let mut options = StoreOptions::new().url(&database.url);
        if let Some(connections) = database.handler_connections {
            options = options.handler_connections(connections);
        }
        if let Some(connections) = database.read_connections {
            options = options.read_connections(connections);
        }
        options
    }
}

/// Whether an SQLite file that is missing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Create {
    Yes,
    No,
}
