//! `publish`: stores one event, or a file of them.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{CliError, Session};
use crate::client::Client;
use crate::envelope::Metadata;
use crate::publication::RawEvent;

mod file;

/// More than any payload may have; the exact limit is checked when the event is.
const INPUT_BYTES_MAX: u64 = 32 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The event's type, such as course.graduated
    #[arg(value_name = "TYPE", required_unless_present = "file")]
    event_type: Option<String>,
    /// The payload: JSON, @FILE, or - for standard input [default: {}]
    #[arg(value_name = "JSON|@FILE|-")]
    payload: Option<String>,
    /// Store a file of events, one JSON object a line: {"type", "payload", "id"?, …}; - for standard input
    #[arg(long, value_name = "EVENTS.ndjson",
          conflicts_with_all = ["event_type", "payload", "id", "created_by", "correlation_id", "key"])]
    file: Option<PathBuf>,
    /// Choose the event's id: storing the same one twice stores it once
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// Name the user on whose behalf the event is published
    #[arg(long, value_name = "UUID")]
    created_by: Option<Uuid>,
    /// Join the chain of events that this id names
    #[arg(long, value_name = "UUID")]
    correlation_id: Option<Uuid>,
    /// Set the ordering key
    #[arg(long, value_name = "K")]
    key: Option<String>,
    /// Return when the event is processed, or after so many seconds [default: 60]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60")]
    wait: Option<u64>,
}

/// What is printed of a stored event.
#[derive(Debug, Serialize)]
struct Published {
    id: Uuid,
    duplicate: bool,
}

pub(super) async fn run(session: &Session, args: PublishArgs) -> Result<(), CliError> {
    let wait = args.wait.map(Duration::from_secs);
    if let Some(path) = &args.file {
        return file::run(session, path, wait).await;
    }
    let catalogue = session.catalogue()?;
    let event = read_event(args)?;
    let client = session.client().await?;
    let stored = client.publish(vec![event], &catalogue).await.map_err(|(_, error)| error)?;
    for event in &stored {
        let published = Published { id: event.id, duplicate: event.duplicate };
        session.output().one(&published, |out| writeln!(out, "{}", published.id))?;
        if event.duplicate {
            session.output().note("the event was stored before, with the same content");
        }
    }
    if let Some(patience) = wait {
        let ids: Vec<Uuid> = stored.iter().map(|event| event.id).collect();
        wait_until_processed(&client, &ids, patience).await?;
    }
    client.close().await;
    Ok(())
}

fn read_event(args: PublishArgs) -> Result<RawEvent, CliError> {
    let text = args.payload.map_or_else(|| Ok("{}".to_owned()), |source| read_payload(&source))?;
    let payload: Value = serde_json::from_str(&text)
        .map_err(|error| CliError::Usage(format!("the payload is not JSON: {error}")))?;
    Ok(RawEvent {
        event_type: args.event_type.unwrap_or_default(),
        payload,
        id: args.id,
        metadata: Metadata {
            created_by: args.created_by,
            correlation_id: args.correlation_id,
            ordering_key: args.key,
            ..Metadata::default()
        },
    })
}

fn read_payload(source: &str) -> Result<String, CliError> {
    let wrong =
        |error: std::io::Error| CliError::Usage(format!("the payload {source} cannot be read: {error}"));
    let mut text = String::new();
    let read = match source.strip_prefix('@') {
        None if source != "-" => return Ok(source.to_owned()),
        None => std::io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text),
        Some(path) => {
            std::fs::File::open(path).map_err(wrong)?.take(INPUT_BYTES_MAX).read_to_string(&mut text)
        }
    };
    read.map_err(wrong)?;
    Ok(text)
}

/// Waits until all events are processed.
async fn wait_until_processed(client: &Client, ids: &[Uuid], patience: Duration) -> Result<(), CliError> {
    let deadline = Instant::now() + patience;
    for (position, id) in ids.iter().enumerate() {
        let mut pause = Duration::from_millis(20);
        while !client.is_processed(*id).await? {
            if Instant::now() >= deadline {
                let waiting = ids.len() - position;
                return Err(CliError::TimedOut(format!(
                    "{waiting} stored but not known to be processed within {} s, the first is {id}; \
                     see `modules list`, and whether a service runs on this database",
                    patience.as_secs()
                )));
            }
            sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
    Ok(())
}

/// Says what came of a file.
fn report(session: &Session, stored: u64, duplicates: u64) -> Result<(), CliError> {
    let summary = json!({ "stored": stored, "duplicates": duplicates });
    session.output().one(&summary, |out| match duplicates {
        0 => writeln!(out, "{stored} events stored"),
        _ => writeln!(out, "{stored} events stored, {duplicates} were stored before"),
    })
}
