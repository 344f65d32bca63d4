//! `events`: the audit trail, as a list, in detail, and live.

use clap::{Args, Subcommand};
use time::OffsetDateTime;
use uuid::Uuid;

use super::output::Table;
use super::{CliError, Session, when};
use crate::audit::{EventFilter, EventRecord, EventState};
use crate::event::is_event_type;

mod show;
mod tail;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List events, newest first
    List(ListArgs),
    /// Show one event with every delivery, and the tree of what it caused
    Show {
        /// The event
        id: Uuid,
    },
    /// Show events as they come, until ctrl-c
    Tail {
        /// Only of this type
        #[arg(long = "type", value_name = "T", value_parser = event_type)]
        event_type: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this type
    #[arg(long = "type", value_name = "T", value_parser = event_type)]
    event_type: Option<String>,
    /// Only in this state: unprocessed, processed or failed
    #[arg(long, value_parser = state)]
    state: Option<EventState>,
    /// Stored at this time or later: RFC 3339, or an age such as 2h or 7d
    #[arg(long, value_name = "T", value_parser = when::time)]
    since: Option<OffsetDateTime>,
    /// Stored before this time: RFC 3339, or an age such as 2h or 7d
    #[arg(long, value_name = "T", value_parser = when::time)]
    until: Option<OffsetDateTime>,
    /// Only of the chain that this id names
    #[arg(long, value_name = "ID")]
    correlation_id: Option<Uuid>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on below this one: the seq of the last event of the page before
    #[arg(long, value_name = "C", value_parser = cursor)]
    cursor: Option<i64>,
}

pub(super) async fn run(session: &Session, command: EventsCommand) -> Result<(), CliError> {
    match command {
        EventsCommand::List(args) => list(session, args).await,
        EventsCommand::Show { id } => show::run(session, id).await,
        EventsCommand::Tail { event_type } => tail::run(session, event_type).await,
    }
}

async fn list(session: &Session, args: ListArgs) -> Result<(), CliError> {
    let filter = EventFilter {
        event_type: args.event_type,
        state: args.state,
        since: args.since,
        until: args.until,
        correlation_id: args.correlation_id,
    };
    let client = session.client().await?;
    let page = client.events(&filter, args.cursor, args.limit).await?;
    session.output().list(&page.items, table)?;
    if let Some(cursor) = page.next_cursor {
        session.output().note(&format!("there may be more: --cursor {cursor}"));
    }
    client.close().await;
    Ok(())
}

fn table(events: &[EventRecord]) -> Table {
    let table = Table::new(["seq", "id", "type", "created_at", "processed_at", "error"]);
    events.iter().fold(table, |table, event| {
        table.row([
            event.seq.to_string(),
            event.id.to_string(),
            event.event_type.clone(),
            when::show(event.created_at),
            when::show_option(event.processed_at),
            event.error.clone().unwrap_or_default(),
        ])
    })
}

/// Reads the name of an event type.
pub(super) fn event_type(text: &str) -> Result<String, String> {
    if is_event_type(text) {
        Ok(text.to_owned())
    } else {
        Err("an event type reads module.action_past_tense, such as course.graduated".to_owned())
    }
}

fn state(text: &str) -> Result<EventState, String> {
    match text {
        "unprocessed" => Ok(EventState::Unprocessed),
        "processed" => Ok(EventState::Processed),
        "failed" => Ok(EventState::Failed),
        _ => Err("use unprocessed, processed or failed".to_owned()),
    }
}

fn cursor(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a cursor is the seq of the last event of the page before".to_owned())
}
