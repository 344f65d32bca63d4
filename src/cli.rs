//! The command line, for an embedder to mount in a binary of its own.
//!
//! ```text
//! App (what the embedder brings) ─┐
//! settings (flag > environment > file > default) ─┴→ Session → one command → Output
//! ```
//!
//! One file holds one command. All printing goes through [`Output`]: data to
//! standard output, everything else to standard error. Every failure is a
//! [`CliError`], whose kind decides the exit code.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bus::BusBuilder;
use crate::store::MigrationSet;

mod bench;
mod catalogue;
mod deliveries;
mod doctor;
mod error;
mod events;
mod logs;
mod migrate;
mod modules;
mod output;
mod prune;
mod publish;
mod replay;
mod serve;
mod session;
mod settings;
mod shell;
mod stats;
mod when;

pub use error::CliError;
pub use output::{Format, Output, Table};
pub use session::Session;

use settings::{Globals, Settings};

/// A command line over a bus: what the embedder brings, and all commands.
///
/// # Examples
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     stentor::cli::App::new("herald", "1.0.0").compose(|bus| bus).run()
/// }
/// ```
#[must_use = "an app does nothing until it is run"]
pub struct App {
    parts: Parts,
    extras: Vec<Extra>,
}

/// What an embedder brings.
struct Parts {
    name: &'static str,
    version: &'static str,
    compose: Compose,
    /// The keys that the host's settings have, as `section.key`.
    keys: Vec<String>,
    migrations: Vec<&'static MigrationSet>,
    examples: BTreeMap<&'static str, Value>,
}

/// Adds the host's modules to a bus, as the settings say.
type Compose = Box<dyn Fn(BusBuilder, &Settings) -> Result<BusBuilder, CliError> + Send + Sync>;

type Running = Pin<Box<dyn Future<Output = Result<(), CliError>>>>;

/// A command of the embedder's own.
struct Extra {
    command: clap::Command,
    run: Box<dyn Fn(ArgMatches, Session) -> Running>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is told to stop; SIGTERM and ctrl-c drain it
    Serve,
    /// Store events, checked against the catalogue
    Publish(publish::PublishArgs),
    /// Read the audit trail
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Look at retries and dead letters, and decide about them
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    /// Deliver processed events again to one module
    Replay(replay::ReplayArgs),
    /// Look at the modules; pause, resume and remove them
    #[command(subcommand)]
    Modules(modules::ModulesCommand),
    /// Count events, failures and latencies, by type and by module
    Stats(stats::StatsArgs),
    /// List the event types
    #[command(subcommand)]
    Catalogue(catalogue::CatalogueCommand),
    /// Bring the database's schema up to date
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Look for what is wrong with the database, the nodes and the modules
    Doctor,
    /// Delete old events that are processed, with their deliveries
    Prune(prune::PruneArgs),
    /// Measure the bus on this database
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Write a completion script for a shell
    Completions(shell::CompletionsArgs),
    /// Write the manual page
    Man,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("name", &self.name).field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl App {
    /// Starts an app without modules. `name` is the binary's.
    pub fn new(name: &'static str, version: &'static str) -> Self {
        let parts = Parts {
            name,
            version,
            compose: Box::new(|builder, _| Ok(builder)),
            keys: Vec::new(),
            migrations: Vec::new(),
            examples: BTreeMap::new(),
        };
        Self { parts, extras: Vec::new() }
    }

    /// Sets the function that adds the modules and the event types to a bus.
    pub fn compose(mut self, compose: fn(BusBuilder) -> BusBuilder) -> Self {
        self.parts.compose = Box::new(move |builder, _| Ok(compose(builder)));
        self
    }

    /// Sets the function that adds the modules and the event types to a bus, by settings of the host's own.
    ///
    /// `S` has a field for each section, and each section a field for each key; the defaults, written as
    /// JSON, say which keys there are. They are read like the bus's own: environment, then `stentor.toml`.
    pub fn compose_with<S>(mut self, compose: fn(BusBuilder, &S) -> BusBuilder) -> Self
    where
        S: Default + Serialize + DeserializeOwned + 'static,
    {
        self.parts.keys = settings::keys_of(&S::default());
        self.parts.compose =
            Box::new(move |builder, settings| Ok(compose(builder, &settings.of_host::<S>()?)));
        self
    }

    /// Adds the host's own migrations to `migrate`. A bus runs those that `compose` hands it.
    pub fn migrations(mut self, set: &'static MigrationSet) -> Self {
        self.parts.migrations.push(set);
        self
    }

    /// Adds example payloads, by event type, to `catalogue show`.
    pub fn examples(mut self, examples: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        self.parts.examples.extend(examples);
        self
    }

    /// Adds a command of the embedder's own.
    pub fn command<F, Fut>(mut self, command: clap::Command, run: F) -> Self
    where
        F: Fn(ArgMatches, Session) -> Fut + 'static,
        Fut: Future<Output = Result<(), CliError>> + 'static,
    {
        let run = Box::new(move |matches, session| Box::pin(run(matches, session)) as Running);
        self.extras.push(Extra { command, run });
        self
    }

    /// Parses the arguments of the process, runs the command and returns the exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.parser().try_get_matches() {
            Ok(matches) => match self.execute(&matches) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => error.report(),
            },
            Err(usage) => {
                // Nobody is left to tell when standard error is closed.
                drop(usage.print());
                ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
            }
        }
    }

    /// Returns the whole grammar.
    fn parser(&self) -> clap::Command {
        let root = clap::Command::new(self.parts.name).bin_name(self.parts.name);
        // Set last, as the derived parts would put their own words in its place.
        let own = Command::augment_subcommands(Globals::augment_args(root))
            .version(self.parts.version)
            .about("One event heard by every module, and modules that grow back when they break")
            .long_about(None)
            .subcommand_required(true)
            .arg_required_else_help(true);
        own.subcommands(self.extras.iter().map(|extra| extra.command.clone()))
    }

    fn execute(self, matches: &ArgMatches) -> Result<(), CliError> {
        let globals =
            Globals::from_arg_matches(matches).map_err(|error| CliError::Usage(error.to_string()))?;
        let settings = Settings::load(globals, &self.parts.keys)?;
        let parser = self.parser();
        let session = Session::new(settings, Arc::new(self.parts));
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| CliError::Failed(format!("the threads could not be started: {error}")))?;
        let extra = matches.subcommand().and_then(|(name, rest)| {
            let found = self.extras.iter().find(|extra| extra.command.get_name() == name)?;
            Some((found, rest.clone()))
        });
        if let Some((extra, rest)) = extra {
            session.start_logs("warn")?;
            return runtime.block_on((extra.run)(rest, session));
        }
        let command =
            Command::from_arg_matches(matches).map_err(|error| CliError::Usage(error.to_string()))?;
        session.start_logs(if matches!(command, Command::Serve) { "info" } else { "warn" })?;
        runtime.block_on(command.run(&session, parser))
    }
}

impl Command {
    async fn run(self, session: &Session, parser: clap::Command) -> Result<(), CliError> {
        match self {
            Self::Serve => serve::run(session).await,
            Self::Publish(args) => publish::run(session, args).await,
            Self::Events(command) => events::run(session, command).await,
            Self::Deliveries(command) => deliveries::run(session, command).await,
            Self::Replay(args) => replay::run(session, args).await,
            Self::Modules(command) => modules::run(session, command).await,
            Self::Stats(args) => stats::run(session, args).await,
            Self::Catalogue(command) => catalogue::run(session, command).await,
            Self::Migrate(command) => migrate::run(session, command).await,
            Self::Doctor => doctor::run(session).await,
            Self::Prune(args) => prune::run(session, args).await,
            Self::Bench(command) => bench::run(session, command).await,
            Self::Completions(args) => shell::completions(session, &args, parser),
            Self::Man => shell::man(session, parser),
        }
    }
}
