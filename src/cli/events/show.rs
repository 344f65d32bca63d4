//! `events show`: one event, who got it, what went wrong, and what it caused.

use std::collections::HashMap;
use std::io::{self, Write};

use uuid::Uuid;

use crate::audit::{EventDetail, EventRecord};
use crate::cli::error::one_line;
use crate::cli::{CliError, Session, deliveries, when};

/// The deepest level that the tree shows; a longer chain goes on in `events list --correlation-id`.
const DEPTH_MAX: usize = 64;

pub(super) async fn run(session: &Session, id: Uuid) -> Result<(), CliError> {
    let client = session.client().await?;
    let detail = client.event(id).await?;
    client.close().await;
    let missing = || CliError::NotFound(format!("no event {id}; `events list` shows the newest"));
    let detail = detail.ok_or_else(missing)?;
    session.output().one(&detail, |out| write(&detail, out))
}

fn write(detail: &EventDetail, out: &mut dyn Write) -> io::Result<()> {
    write_fields(&detail.event, out)?;
    writeln!(out, "\nPayload\n{}", serde_json::to_string_pretty(&detail.event.payload)?)?;
    writeln!(out, "\nDeliveries\n{}", deliveries::table(&detail.deliveries))?;
    write_errors(detail, out)?;
    if !detail.caused.is_empty() {
        writeln!(out, "\nCaused")?;
        write_tree(detail, out)?;
    }
    Ok(())
}

fn write_fields(event: &EventRecord, out: &mut dyn Write) -> io::Result<()> {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string());
    let fields = [
        ("id", Some(event.id.to_string())),
        ("seq", Some(event.seq.to_string())),
        ("type", Some(event.event_type.clone())),
        ("schema_version", Some(event.schema_version.to_string())),
        ("created_at", Some(when::show(event.created_at))),
        ("processed_at", event.processed_at.map(when::show)),
        ("error", event.error.clone()),
        ("created_by", text(event.created_by)),
        ("ip_address", event.ip_address.clone()),
        ("user_agent", event.user_agent.clone()),
        ("correlation_id", text(event.correlation_id)),
        ("causation_id", text(event.causation_id)),
        ("ordering_key", event.ordering_key.clone()),
    ];
    for (name, value) in fields {
        writeln!(out, "{name:<15} {}", value.map_or_else(|| "-".to_owned(), |value| one_line(&value)))?;
    }
    Ok(())
}

fn write_errors(detail: &EventDetail, out: &mut dyn Write) -> io::Result<()> {
    for delivery in &detail.deliveries {
        for error in delivery.errors.as_array().into_iter().flatten() {
            let field = |name: &str| error.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            let attempt = error.get("attempt").and_then(serde_json::Value::as_i64).unwrap_or_default();
            let (kind, message) = (field("kind"), one_line(field("message")));
            writeln!(out, "  {} attempt {attempt}, {kind}: {message}", delivery.module)?;
        }
    }
    Ok(())
}

fn write_tree(detail: &EventDetail, out: &mut dyn Write) -> io::Result<()> {
    let mut children: HashMap<Uuid, Vec<&EventRecord>> = HashMap::new();
    for event in &detail.caused {
        children.entry(event.causation_id.unwrap_or_default()).or_default().push(event);
    }
    let mut open: Vec<(usize, &EventRecord)> = branches(&children, detail.event.id, 1).collect();
    while let Some((depth, event)) = open.pop() {
        let state = match (&event.error, event.processed_at) {
            (Some(_), _) => "failed",
            (None, Some(_)) => "processed",
            (None, None) => "unprocessed",
        };
        writeln!(out, "{:indent$}{} {} {state}", "", event.event_type, event.id, indent = depth * 2)?;
        if depth < DEPTH_MAX {
            open.extend(branches(&children, event.id, depth + 1));
        }
    }
    Ok(())
}

/// Returns what `cause` caused, the latest first: the stack turns the order round.
fn branches<'e>(
    children: &HashMap<Uuid, Vec<&'e EventRecord>>,
    cause: Uuid,
    depth: usize,
) -> impl Iterator<Item = (usize, &'e EventRecord)> {
    let caused = children.get(&cause).cloned().unwrap_or_default();
    caused.into_iter().rev().map(move |event| (depth, event))
}
