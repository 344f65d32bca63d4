//! `migrate`: the schema of the bus and of the host's own tables.

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use super::output::Table;
use super::session::Create;
use super::{CliError, Session, when};
use crate::client::Client;
use crate::store::MigrationStatus;

#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// Run the migrations that have not run; makes an SQLite file that is missing
    Up {
        /// Only print the SQL that would run
        #[arg(long)]
        show_sql: bool,
    },
    /// List the migrations, and which have run
    Status {
        /// Print the SQL of each
        #[arg(long)]
        show_sql: bool,
    },
}

/// What is printed of a migration.
#[derive(Debug, Serialize)]
struct Step {
    version: i64,
    name: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    applied_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<&'static str>,
}

pub(super) async fn run(session: &Session, command: MigrateCommand) -> Result<(), CliError> {
    match command {
        MigrateCommand::Up { show_sql: false } => up(session).await,
        MigrateCommand::Up { show_sql: true } => {
            let client = session.client_of_any_schema(Create::No).await?;
            let mut steps = steps(session, &client, Sql::Shown).await?;
            steps.retain(|step| step.applied_at.is_none());
            write(session, &steps, Sql::Shown)
        }
        MigrateCommand::Status { show_sql } => {
            let sql = if show_sql { Sql::Shown } else { Sql::Hidden };
            let client = session.client_of_any_schema(Create::No).await?;
            write(session, &steps(session, &client, sql).await?, sql)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sql {
    Shown,
    Hidden,
}

async fn up(session: &Session) -> Result<(), CliError> {
    let client = session.client_of_any_schema(Create::Yes).await?;
    let count = client.migrate(session.migrations()).await?;
    client.close().await;
    session.output().one(&json!({ "applied": count }), |out| match count {
        0 => writeln!(out, "the schema is up to date"),
        1 => writeln!(out, "1 migration ran"),
        _ => writeln!(out, "{count} migrations ran"),
    })
}

async fn steps(session: &Session, client: &Client, sql: Sql) -> Result<Vec<Step>, CliError> {
    let kind = client.database_kind();
    let status = client.migration_status(session.migrations()).await?;
    client.close().await;
    let step = |MigrationStatus { migration, applied_at }| Step {
        version: migration.version,
        name: migration.name,
        applied_at,
        sql: (sql == Sql::Shown).then(|| migration.sql(kind)),
    };
    Ok(status.into_iter().map(step).collect())
}

fn write(session: &Session, steps: &[Step], sql: Sql) -> Result<(), CliError> {
    if sql == Sql::Shown && session.is_table() {
        return session.output().text(|out| {
            steps.iter().try_for_each(|step| {
                let (version, name) = (step.version, step.name);
                writeln!(out, "-- {version:04} {name}\n{}\n", step.sql.unwrap_or_default().trim_end())
            })
        });
    }
    session.output().list(steps, |steps| {
        steps.iter().fold(Table::new(["version", "name", "applied_at"]), |table, step| {
            table.row([step.version.to_string(), step.name.to_owned(), when::show_option(step.applied_at)])
        })
    })
}
