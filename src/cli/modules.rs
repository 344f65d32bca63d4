//! `modules`: who there is, and pauses that last over restarts.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::json;

use super::output::Table;
use super::{CliError, Session, when};
use crate::audit::ModuleRecord;
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum ModulesCommand {
    /// List all modules that ever subscribed and were not removed
    List,
    /// Show one module
    Show {
        /// The module
        name: String,
    },
    /// Hold a module's deliveries in the store until it is resumed, over restarts too
    Pause {
        /// The module
        name: String,
    },
    /// End a pause
    Resume {
        /// The module
        name: String,
    },
    /// Forget a module that runs nowhere any more; what it owes is cancelled
    Remove {
        /// The module
        name: String,
    },
}

pub(super) async fn run(session: &Session, command: ModulesCommand) -> Result<(), CliError> {
    let client = session.client().await?;
    match command {
        ModulesCommand::List => session.output().list(&client.modules().await?, table)?,
        ModulesCommand::Show { name } => {
            let module = find(&client, &name).await?;
            session.output().one(&module, |out| write(&module, out))?;
        }
        ModulesCommand::Pause { name } => done(session, &name, "paused", client.pause(&name).await?)?,
        ModulesCommand::Resume { name } => done(session, &name, "resumed", client.resume(&name).await?)?,
        ModulesCommand::Remove { name } => {
            find(&client, &name).await?;
            done(session, &name, "removed", client.remove_module(&name).await?)?;
        }
    }
    client.close().await;
    Ok(())
}

/// Returns the module of that name.
pub(super) async fn find(client: &Client, name: &str) -> Result<ModuleRecord, CliError> {
    let found = client.modules().await?.into_iter().find(|module| module.name == name);
    found.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> CliError {
    CliError::NotFound(format!("no module {name:?}; `modules list` shows all"))
}

fn done(session: &Session, name: &str, what: &str, found: bool) -> Result<(), CliError> {
    if !found {
        return Err(missing(name));
    }
    session.output().one(&json!({ "name": name, "done": what }), |out| writeln!(out, "{name} {what}"))
}

fn table(modules: &[ModuleRecord]) -> Table {
    let table = Table::new(["name", "paused_at", "pending", "dead", "subscriptions"]);
    modules.iter().fold(table, |table, module| {
        table.row([
            module.name.clone(),
            when::show_option(module.paused_at),
            module.pending.to_string(),
            module.dead.to_string(),
            module.subscriptions.join(", "),
        ])
    })
}

fn write(module: &ModuleRecord, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "name           {}", module.name)?;
    writeln!(out, "paused_at      {}", when::show_option(module.paused_at))?;
    writeln!(out, "pending        {}", module.pending)?;
    writeln!(out, "dead           {}", module.dead)?;
    writeln!(out, "subscriptions  {}", module.subscriptions.join("\n               "))
}
