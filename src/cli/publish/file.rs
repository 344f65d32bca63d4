//! `publish --file`: one event a line, stored a batch at a time.
//!
//! A batch is stored whole or not at all, so after an error everything up to a
//! line that the message names is stored, and nothing behind it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{report, wait_until_processed};
use crate::catalogue::Catalogue;
use crate::cli::{CliError, Session};
use crate::client::Client;
use crate::envelope::Metadata;
use crate::publication::{PublishError, RawEvent};

/// Events that are stored together.
const BATCH_EVENTS: usize = 1_000;
/// A batch ends early when its lines have this many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// The longest line.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "type")]
    event_type: String,
    payload: Value,
    id: Option<Uuid>,
    created_by: Option<Uuid>,
    ip_address: Option<IpAddr>,
    user_agent: Option<String>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    ordering_key: Option<String>,
    trace_context: Option<String>,
}

impl From<Line> for RawEvent {
    fn from(line: Line) -> Self {
        Self {
            event_type: line.event_type,
            payload: line.payload,
            id: line.id,
            metadata: Metadata {
                created_by: line.created_by,
                ip_address: line.ip_address,
                user_agent: line.user_agent,
                correlation_id: line.correlation_id,
                causation_id: line.causation_id,
                ordering_key: line.ordering_key,
                trace_context: line.trace_context,
            },
        }
    }
}

/// Stores the events of a file.
pub(super) async fn run(session: &Session, path: &Path, wait: Option<Duration>) -> Result<(), CliError> {
    let catalogue = session.catalogue()?;
    let (input, bytes) = open(path)?;
    let client = session.client().await?;
    let mut loading = Loading {
        client: &client,
        catalogue: &catalogue,
        bar: session.output().progress(bytes),
        lines_stored: 0,
        duplicates: 0,
        ids: wait.is_some().then(Vec::new),
        events: 0,
    };
    let loaded = loading.load(input).await;
    loading.bar.finish_and_clear();
    loaded?;
    report(session, loading.events - loading.duplicates, loading.duplicates)?;
    if let (Some(patience), Some(ids)) = (wait, &loading.ids) {
        wait_until_processed(&client, ids, patience).await?;
    }
    client.close().await;
    Ok(())
}

/// Opens the file, and returns its size; 0 if it has none.
fn open(path: &Path) -> Result<(Box<dyn BufRead>, u64), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), 0));
    }
    let wrong = |error| CliError::Usage(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(wrong)?;
    let bytes = file.metadata().map_err(wrong)?.len();
    Ok((Box::new(BufReader::new(file)), bytes))
}

/// A file on its way into the store.
struct Loading<'a> {
    client: &'a Client,
    catalogue: &'a Catalogue,
    bar: ProgressBar,
    /// Everything up to this line is stored.
    lines_stored: u64,
    events: u64,
    duplicates: u64,
    /// Kept only if somebody waits for them.
    ids: Option<Vec<Uuid>>,
}

/// Events that are stored together, with the lines they came from.
#[derive(Default)]
struct Batch {
    events: Vec<RawEvent>,
    lines: Vec<u64>,
    bytes: usize,
}

impl Loading<'_> {
    async fn load(&mut self, mut input: Box<dyn BufRead>) -> Result<(), CliError> {
        let (mut batch, mut number, mut text) = (Batch::default(), 0, Vec::new());
        loop {
            text.clear();
            let read = input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut text);
            let read = read.map_err(|error| self.stopped(number + 1, &error.to_string()))?;
            if read == 0 {
                return self.store(batch, number).await;
            }
            number += 1;
            let event = parse(&text).map_err(|problem| self.stopped(number, &problem))?;
            if let Some(event) = event {
                batch.events.push(event);
                batch.lines.push(number);
            }
            batch.bytes += read;
            if batch.events.len() >= BATCH_EVENTS || batch.bytes >= BATCH_BYTES {
                self.store(std::mem::take(&mut batch), number).await?;
            }
        }
    }

    async fn store(&mut self, batch: Batch, last_line: u64) -> Result<(), CliError> {
        if !batch.events.is_empty() {
            let stored = self.client.publish(batch.events, self.catalogue).await;
            let stored = stored.map_err(|(position, error)| self.refused(&batch.lines, position, error))?;
            self.events += stored.len() as u64;
            self.duplicates += stored.iter().filter(|event| event.duplicate).count() as u64;
            if let Some(ids) = &mut self.ids {
                ids.extend(stored.iter().map(|event| event.id));
            }
        }
        self.lines_stored = last_line;
        self.bar.inc(batch.bytes as u64);
        self.bar.set_message(format!("{} events", self.events));
        Ok(())
    }

    fn refused(&self, lines: &[u64], position: usize, error: PublishError) -> CliError {
        let line = lines.get(position).copied().unwrap_or_default();
        let is_conflict = matches!(error, PublishError::Conflict(_));
        match CliError::from(error) {
            CliError::Usage(problem) => self.stopped(line, &problem),
            CliError::Failed(problem) if is_conflict => CliError::Failed(self.at(line, &problem)),
            CliError::Failed(problem) => CliError::Failed(format!("{problem}; {}", self.kept())),
            other => other,
        }
    }

    fn stopped(&self, line: u64, problem: &str) -> CliError {
        CliError::Usage(self.at(line, problem))
    }

    fn at(&self, line: u64, problem: &str) -> String {
        format!("line {line}: {problem}; {}", self.kept())
    }

    fn kept(&self) -> String {
        match self.lines_stored {
            0 => "nothing was stored".to_owned(),
            last => {
                format!("lines 1 to {last} are stored and nothing after them: go on from line {}", last + 1)
            }
        }
    }
}

/// Reads an event from a line; an empty line is none.
fn parse(text: &[u8]) -> Result<Option<RawEvent>, String> {
    if text.len() > LINE_BYTES_MAX {
        return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
    }
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(text.trim_ascii_end()).map_err(|error| {
        format!("not an event: {}", error.to_string().replace("at line 1 column", "at column"))
    })?;
    Ok(Some(line.into()))
}
