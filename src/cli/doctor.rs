//! `doctor`: what is well and what is not, each with what to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use super::output::Table;
use super::session::Create;
use super::{CliError, Session};
use crate::audit::{Health, ModuleRecord};
use crate::catalogue::{Catalogue, TypeInfo};
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
        let table = Table::new(["check", "state", "detail"]).with_whole_last_column();
        let table = checks.iter().fold(table, |table, check| {
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
    let heard: BTreeSet<&str> = builder.subscriptions().map(|(_, event_type)| event_type).collect();
    let orphans = orphans(&client.modules().await?, &own);
    Ok([orphans, unheard(&session.catalogue()?, &heard)])
}

fn orphans(modules: &[ModuleRecord], own: &BTreeSet<&str>) -> Check {
    const NAME: &str = "orphaned subscriptions";
    let strangers = modules.iter().filter(|module| !own.contains(module.name.as_str()));
    let strangers: Vec<String> =
        strangers.map(|module| format!("{} (deliveries waiting: {})", module.name, module.pending)).collect();
    if strangers.is_empty() {
        return Check::new(NAME, State::Ok, "none");
    }
    let detail = format!(
        "{}: switched off or not in this build; \
         `modules remove NAME` forgets one that runs nowhere any more, and cancels what waits for it",
        strangers.join(", ")
    );
    Check::new(NAME, State::Warning, detail)
}

fn unheard(catalogue: &Catalogue, heard: &BTreeSet<&str>) -> Check {
    const NAME: &str = "events without a subscriber";
    let unheard = catalogue.iter().filter(|info| !heard.contains(info.event_type));
    let (missing, kept): (Vec<&TypeInfo>, Vec<&TypeInfo>) = unheard.partition(|info| info.expects_subscriber);
    let names = |types: &[&TypeInfo]| types.iter().map(|info| info.event_type).collect::<Vec<_>>().join(", ");
    match (missing.is_empty(), kept.is_empty()) {
        (false, _) => Check::new(NAME, State::Warning, names(&missing)),
        (true, false) => Check::new(NAME, State::Ok, format!("none but what expects none: {}", names(&kept))),
        (true, true) => Check::new(NAME, State::Ok, "none"),
    }
}
