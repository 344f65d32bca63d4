//! `catalogue`: the event types that this build knows, and who subscribes to them.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;

use super::output::Table;
use super::{CliError, Session};
use crate::catalogue::TypeInfo;

mod asyncapi;
mod check;
mod compatibility;
mod export;
mod markdown;
mod typescript;

#[derive(Debug, Subcommand)]
pub(super) enum CatalogueCommand {
    /// List the event types
    List,
    /// Write all event types as one document, for other programs and for people
    Export(export::ExportArgs),
    /// Compare with an earlier export; fails if events stored since then could not be read any more
    Check(check::CheckArgs),
    /// Show one event type
    Show {
        /// The event type
        #[arg(value_name = "TYPE")]
        event_type: String,
    },
}

/// What is printed of an event type.
#[derive(Debug, Serialize)]
struct Entry {
    #[serde(rename = "type")]
    event_type: &'static str,
    schema_version: u32,
    /// The modules that the database knows to subscribe; `None` without a database.
    subscribers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<Value>,
}

/// Modules by event type.
type Subscribers = BTreeMap<String, Vec<String>>;

pub(super) async fn run(session: &Session, command: CatalogueCommand) -> Result<(), CliError> {
    match command {
        CatalogueCommand::Export(args) => export::run(session, &args),
        CatalogueCommand::Check(args) => check::run(session, &args),
        CatalogueCommand::List => {
            let (catalogue, subscribers) = (session.catalogue()?, subscribers(session).await);
            let entries: Vec<Entry> =
                catalogue.iter().map(|info| entry(info, subscribers.as_ref(), None)).collect();
            session.output().list(&entries, table)
        }
        CatalogueCommand::Show { event_type } => {
            let (catalogue, subscribers) = (session.catalogue()?, subscribers(session).await);
            let info = catalogue.get(&event_type).ok_or_else(|| {
                CliError::NotFound(format!(
                    "event type {event_type:?} is not in the catalogue; `catalogue list` shows all"
                ))
            })?;
            let example = session.parts().examples.get(info.event_type).cloned();
            let entry = entry(info, subscribers.as_ref(), example);
            session.output().one(&entry, |out| {
                writeln!(out, "type            {}", entry.event_type)?;
                writeln!(out, "schema_version  {}", entry.schema_version)?;
                writeln!(out, "subscribers     {}", names(&entry))?;
                let Some(example) = &entry.example else { return Ok(()) };
                writeln!(out, "\nExample\n{}", serde_json::to_string_pretty(example)?)
            })
        }
    }
}

/// Asks the database who subscribes. The types themselves are this build's, so a database is not needed.
async fn subscribers(session: &Session) -> Option<Subscribers> {
    let asked = async {
        let client = session.client().await?;
        let modules = client.modules().await?;
        client.close().await;
        Ok::<_, CliError>(modules)
    };
    match asked.await {
        Ok(modules) => {
            let mut by_type = Subscribers::new();
            for module in modules {
                for event_type in module.subscriptions {
                    by_type.entry(event_type).or_default().push(module.name.clone());
                }
            }
            Some(by_type)
        }
        Err(error) => {
            session.output().note(&format!("subscribers are unknown: {error}"));
            None
        }
    }
}

fn entry(info: &TypeInfo, subscribers: Option<&Subscribers>, example: Option<Value>) -> Entry {
    Entry {
        event_type: info.event_type,
        schema_version: info.schema_version,
        subscribers: subscribers.map(|all| all.get(info.event_type).cloned().unwrap_or_default()),
        example,
    }
}

fn table(entries: &[Entry]) -> Table {
    let table = Table::new(["type", "schema_version", "subscribers"]);
    entries.iter().fold(table, |table, entry| {
        table.row([entry.event_type.to_owned(), entry.schema_version.to_string(), names(entry)])
    })
}

fn names(entry: &Entry) -> String {
    entry.subscribers.as_ref().map_or_else(|| "?".to_owned(), |names| names.join(", "))
}
