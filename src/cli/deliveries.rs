//! `deliveries`: what could not finish at once, and what an operator decides about it.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::events::event_type;
use super::output::Table;
use super::{CliError, Session, when};
use crate::audit::{DeliveryFilter, DeliveryRecord, PAGE_MAX};
use crate::client::Client;
use crate::delivery::DeliveryState;

#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List the deliveries that have a history: retries, dead letters, what waits
    List(ListArgs),
    /// Make dead letters pending again, with all of their attempts
    Redrive(TargetArgs),
    /// Give up deliveries that wait or are dead
    Cancel(TargetArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only to this module
    #[arg(long, value_name = "M")]
    module: Option<String>,
    /// Only in this state: pending, acked, dead or cancelled
    #[arg(long, value_name = "S", value_parser = state)]
    state: Option<DeliveryState>,
    /// Only of events of this type
    #[arg(long = "type", value_name = "T", value_parser = event_type)]
    event_type: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// One delivery, or all of a module.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["id", "module"]))]
pub(super) struct TargetArgs {
    /// The event
    #[arg(requires = "target")]
    id: Option<Uuid>,
    /// The module that it was to be delivered to
    #[arg(value_name = "MODULE")]
    target: Option<String>,
    /// All of this module
    #[arg(long, value_name = "M", conflicts_with_all = ["id", "target"])]
    module: Option<String>,
    /// Only of events of this type
    #[arg(long = "type", value_name = "T", requires = "module", value_parser = event_type)]
    event_type: Option<String>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// What is done to deliveries.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verb {
    Redrive,
    Cancel,
}

impl Verb {
    fn done(self) -> &'static str {
        match self {
            Self::Redrive => "redriven",
            Self::Cancel => "cancelled",
        }
    }

    /// The states that it acts on when all of a module are meant.
    fn states(self) -> &'static [DeliveryState] {
        match self {
            Self::Redrive => &[DeliveryState::Dead],
            Self::Cancel => &[DeliveryState::Dead, DeliveryState::Pending],
        }
    }

    async fn act(self, client: &Client, filter: &DeliveryFilter) -> Result<u64, CliError> {
        Ok(match self {
            Self::Redrive => client.redrive(filter).await?,
            Self::Cancel => client.cancel(filter).await?,
        })
    }
}

pub(super) async fn run(session: &Session, command: DeliveriesCommand) -> Result<(), CliError> {
    let client = session.client().await?;
    match command {
        DeliveriesCommand::List(args) => list(session, &client, args).await?,
        DeliveriesCommand::Redrive(args) => change(session, &client, Verb::Redrive, args).await?,
        DeliveriesCommand::Cancel(args) => change(session, &client, Verb::Cancel, args).await?,
    }
    client.close().await;
    Ok(())
}

async fn list(session: &Session, client: &Client, args: ListArgs) -> Result<(), CliError> {
    let ListArgs { module, state, event_type, limit } = args;
    let filter = DeliveryFilter { event_id: None, module, state, event_type };
    let deliveries = client.deliveries(&filter, limit).await?;
    session.output().list(&deliveries, table)
}

/// Writes deliveries as a table.
pub(super) fn table(deliveries: &[DeliveryRecord]) -> Table {
    let columns =
        ["event_id", "type", "module", "state", "attempts", "available_at", "updated_at", "last_error"];
    deliveries.iter().fold(Table::new(columns), |table, delivery| {
        table.row([
            delivery.event_id.to_string(),
            delivery.event_type.clone(),
            delivery.module.clone(),
            state_name(delivery.state).to_owned(),
            delivery.attempts.to_string(),
            when::show_option(delivery.available_at),
            when::show(delivery.updated_at),
            last_error(delivery).to_owned(),
        ])
    })
}

fn last_error(delivery: &DeliveryRecord) -> &str {
    let last = delivery.errors.as_array().and_then(|errors| errors.last());
    last.and_then(|error| error.get("message")).and_then(|message| message.as_str()).unwrap_or_default()
}

async fn change(session: &Session, client: &Client, verb: Verb, args: TargetArgs) -> Result<(), CliError> {
    let one = args.id.zip(args.target.clone());
    let filter = DeliveryFilter {
        event_id: args.id,
        module: args.target.or(args.module),
        state: None,
        event_type: args.event_type,
    };
    if one.is_none() && !args.yes {
        return Err(unconfirmed(client, verb, &filter).await?);
    }
    let count = verb.act(client, &filter).await?;
    if let (Some((id, module)), 0) = (one, count) {
        let open = if verb == Verb::Redrive { "dead or cancelled" } else { "pending or dead" };
        return Err(CliError::NotFound(format!(
            "no {open} delivery of event {id} to module {module:?}; `events show {id}` lists its deliveries"
        )));
    }
    let done = verb.done();
    session.output().one(&json!({ done: count }), |out| writeln!(out, "{count} {done}"))
}

/// Says how many deliveries it would be.
async fn unconfirmed(client: &Client, verb: Verb, filter: &DeliveryFilter) -> Result<CliError, CliError> {
    let mut count = 0;
    for state in verb.states() {
        let filter = DeliveryFilter { state: Some(*state), ..filter.clone() };
        count += client.deliveries(&filter, PAGE_MAX).await?.len();
    }
    let more = if count >= PAGE_MAX as usize { " or more" } else { "" };
    Ok(CliError::Usage(format!("{count}{more} deliveries would be {}; add --yes to do it", verb.done())))
}

fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Acked => "acked",
        DeliveryState::Dead => "dead",
        DeliveryState::Cancelled => "cancelled",
    }
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let all = [DeliveryState::Pending, DeliveryState::Acked, DeliveryState::Dead, DeliveryState::Cancelled];
    let found = all.into_iter().find(|state| state_name(*state) == text);
    found.ok_or_else(|| "use pending, acked, dead or cancelled".to_owned())
}
