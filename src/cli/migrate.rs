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
    /// Whose schema: the bus's, or the book of a host's own set.
    schema: &'static str,
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
    let step = |schema, MigrationStatus { migration, applied_at }: MigrationStatus| Step {
        schema,
        version: migration.version,
        name: migration.name,
        applied_at,
        sql: (sql == Sql::Shown).then(|| migration.sql(kind)),
    };
    let bus = client.migration_status(&[]).await?;
    let bus_count = bus.len();
    let mut steps: Vec<Step> = bus.into_iter().map(|status| step("stentor", status)).collect();
    for set in session.migrations() {
        let with_bus = client.migration_status(&[set]).await?;
        steps.extend(with_bus.into_iter().skip(bus_count).map(|status| step(set.table, status)));
    }
    client.close().await;
    Ok(steps)
}

fn write(session: &Session, steps: &[Step], sql: Sql) -> Result<(), CliError> {
    if sql == Sql::Shown && session.is_table() {
        return session.output().text(|out| {
            steps.iter().try_for_each(|step| {
                let Step { schema, version, name, .. } = step;
                writeln!(
                    out,
                    "-- {schema} {version:04} {name}\n{}\n",
                    step.sql.unwrap_or_default().trim_end()
                )
            })
        });
    }
    session.output().list(steps, |steps| {
        steps.iter().fold(Table::new(["schema", "version", "name", "applied_at"]), |table, step| {
            let (version, applied_at) = (step.version.to_string(), when::show_option(step.applied_at));
            table.row([step.schema.to_owned(), version, step.name.to_owned(), applied_at])
        })
    })
}
