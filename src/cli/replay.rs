//! `replay`: processed events, delivered again to one module.

use clap::{ArgGroup, Args};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::events::event_type;
use super::{CliError, Session, modules, when};
use crate::audit::EventFilter;
use crate::client::{Client, ReplayError};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["event", "event_type"]))]
pub(super) struct ReplayArgs {
    /// This event
    #[arg(long, value_name = "ID")]
    event: Option<Uuid>,
    /// All processed events of this type
    #[arg(long = "type", value_name = "T", value_parser = event_type)]
    event_type: Option<String>,
    /// Only those stored at this time or later: RFC 3339, or an age such as 2h or 7d
    #[arg(long, value_name = "T", value_parser = when::time, requires = "event_type")]
    since: Option<OffsetDateTime>,
    /// Only those stored before this time: RFC 3339, or an age such as 2h or 7d
    #[arg(long, value_name = "T", value_parser = when::time, requires = "event_type")]
    until: Option<OffsetDateTime>,
    /// The module that gets them
    #[arg(long, value_name = "M")]
    module: String,
    /// Only say how many it would be
    #[arg(long)]
    dry_run: bool,
    /// Replay many without asking
    #[arg(long)]
    yes: bool,
    /// Why; kept with each delivery
    #[arg(long, value_name = "TEXT", default_value = "replayed from the command line")]
    reason: String,
}

pub(super) async fn run(session: &Session, args: ReplayArgs) -> Result<(), CliError> {
    let client = session.client().await?;
    let module = modules::find(&client, &args.module).await?;
    let event_type = match args.event {
        Some(id) => Some(type_of_processed(&client, id).await?),
        None => args.event_type.clone(),
    };
    if let Some(event_type) = event_type.filter(|wanted| !module.subscriptions.contains(wanted)) {
        return Err(ReplayError::NotSubscribed { module: module.name, event_type }.into());
    }
    let filter = EventFilter {
        event_type: args.event_type.clone(),
        since: args.since,
        until: args.until,
        ..EventFilter::default()
    };
    let events = client.replayable(args.event, &filter).await?;
    let count = events.len();
    if args.dry_run {
        session
            .output()
            .one(&json!({ "would_replay": count }), |out| writeln!(out, "{count} would be replayed"))?;
    } else if args.event.is_none() && !args.yes {
        return Err(CliError::Usage(format!(
            "{count} events would be delivered again to {}; add --yes to do it",
            args.module
        )));
    } else {
        let replayed = client.replay(&events, &args.module, &args.reason).await?;
        session.output().one(&json!({ "replayed": replayed }), |out| writeln!(out, "{replayed} replayed"))?;
    }
    client.close().await;
    Ok(())
}

async fn type_of_processed(client: &Client, id: Uuid) -> Result<String, CliError> {
    match client.event(id).await? {
        None => Err(CliError::NotFound(format!("no event {id}; `events list` shows the newest"))),
        Some(detail) if detail.event.processed_at.is_some() => Ok(detail.event.event_type),
        Some(_) => Err(CliError::Failed(format!(
            "event {id} is not processed yet, so it cannot be replayed; wait for it"
        ))),
    }
}
