//! `doctor`: what is well and what is not, each with what to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use super::output::Table;
use super::session::Create;
use super::{CliError, Session};
use crate::audit::Health;
use crate::client::Client;

/// How long something may stand still before it is worth a word.
const STANDING_STILL_MAX: Duration = Duration::from_mins(5);
/// How far the clocks of this machine and the database may be apart.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Error,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    detail: String,
}

impl Check {
    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { name, state, detail: detail.into() }
    }

    /// Well if there are none of `count`.
    fn none(name: &'static str, count: i64, otherwise: State, what_to_do: &str) -> Self {
        let state = if count == 0 { State::Ok } else { otherwise };
        let detail = if count == 0 { "none".to_owned() } else { format!("{count}; {what_to_do}") };
        Self::new(name, state, detail)
    }
}

pub(super) async fn run(session: &Session) -> Result<(), CliError> {
    let client = session.client_of_any_schema(Create::No).await?;
    let mut checks = vec![schema(session, &client).await];
    if checks[0].state != State::Error {
        let health = client.health(STANDING_STILL_MAX).await?;
        checks.extend(of_database(&client, &health));
        checks.extend(of_work(&health));
        checks.extend(of_build(session, &client).await?);
    }
    client.close().await;
    let report = json!({ "checks": checks });
    session.output().one(&report, |out| {
        let table = checks.iter().fold(Table::new(["check", "state", "detail"]), |table, check| {
            let state = format!("{:?}", check.state).to_lowercase();
            table.row([check.name.to_owned(), state, check.detail.clone()])
        });
        writeln!(out, "{table}")
    })?;
    match checks.iter().filter(|check| check.state == State::Error).count() {
        0 => Ok(()),
        errors => Err(CliError::Failed(format!("{errors} of {} checks found an error", checks.len()))),
    }
}

async fn schema(session: &Session, client: &Client) -> Check {
    let status = client.migration_status(session.migrations()).await;
    match status.map(|steps| steps.iter().filter(|step| step.applied_at.is_none()).count()) {
        Ok(0) => Check::new("schema", State::Ok, "up to date"),
        Ok(missing) => {
            let detail = format!("{missing} migrations have not run; run `migrate up`");
            Check::new("schema", State::Error, detail)
        }
        Err(error) => Check::new("schema", State::Error, error.to_string()),
    }
}

fn of_database(client: &Client, health: &Health) -> [Check; 4] {
    let version = format!("{:?} {}", client.database_kind(), health.database_version);
    let durable = if health.durable {
        Check::new("durability", State::Ok, "a commit waits for the disk")
    } else {
        let detail = "fsync or synchronous_commit is off: a power cut loses events that were acknowledged; switch it on";
        Check::new("durability", State::Error, detail)
    };
    let apart = (OffsetDateTime::now_utc() - health.database_time).unsigned_abs();
    let clock = if apart <= CLOCK_DIFFERENCE_MAX {
        Check::new("clock", State::Ok, "agrees with this machine's")
    } else {
        let detail =
            format!("{apart:.0?} apart from this machine's; leases and due times go by the database's");
        Check::new("clock", State::Warning, detail)
    };
    [Check::new("database", State::Ok, version), durable, clock, nodes(health)]
}

fn nodes(health: &Health) -> Check {
    let versions: BTreeSet<&str> = health.nodes.iter().map(|node| node.version.as_str()).collect();
    let hosts: Vec<&str> = health.nodes.iter().map(|node| node.host.as_str()).collect();
    match (hosts.len(), versions.len()) {
        (0, _) => {
            Check::new("nodes", State::Warning, "none is running, so nothing is delivered; start the service")
        }
        (_, 1) => Check::new("nodes", State::Ok, hosts.join(", ")),
        (_, several) => {
            Check::new("nodes", State::Warning, format!("{several} versions at once: {versions:?}"))
        }
    }
}

fn of_work(health: &Health) -> [Check; 4] {
    let adopted = "a running node takes over what they left; if none does, start the service";
    let stuck = "start the service; if it is running, its log says why they do not move";
    let overdue = "`modules list` shows whose; the module is down, too slow, or its breaker is open";
    let dead = "`deliveries list --state dead` shows them and why";
    [
        Check::none("nodes that died", health.dead_nodes, State::Warning, adopted),
        Check::none("stuck events", health.stuck_events, State::Error, stuck),
        Check::none("overdue deliveries", health.overdue, State::Warning, overdue),
        Check::none("dead letters", health.dead_letters, State::Warning, dead),
    ]
}

/// Compares what this build has with what the database knows.
async fn of_build(session: &Session, client: &Client) -> Result<[Check; 2], CliError> {
    let builder = session.bus()?;
    let own: BTreeSet<&str> = builder.module_names().collect();
    let modules = client.modules().await?;
    let strangers: Vec<&str> =
        modules.iter().map(|module| module.name.as_str()).filter(|name| !own.contains(name)).collect();
    let orphans = if strangers.is_empty() {
        Check::new("orphaned subscriptions", State::Ok, "none")
    } else {
        let names = strangers.join(", ");
        let detail = format!("{names}: not in this build; `modules remove` if they run nowhere any more");
        Check::new("orphaned subscriptions", State::Warning, detail)
    };
    let heard: BTreeSet<&str> = builder.subscriptions().map(|(_, event_type)| event_type).collect();
    let catalogue = session.catalogue()?;
    let unheard: Vec<&str> =
        catalogue.iter().map(|info| info.event_type).filter(|name| !heard.contains(name)).collect();
    let unheard = if unheard.is_empty() {
        Check::new("events without a subscriber", State::Ok, "none")
    } else {
        Check::new("events without a subscriber", State::Warning, unheard.join(", "))
    };
    Ok([orphans, unheard])
}
