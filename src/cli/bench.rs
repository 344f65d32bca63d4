//! `bench`: throughput on the user's own database.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{CliError, Session};
use crate::bench::{BenchError, FanOutOptions, FanOutReport, fan_out};

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Publish events that every module gets; they stay in the database
    FanOut(FanOutArgs),
}

#[derive(Debug, Args)]
pub(super) struct FanOutArgs {
    /// Modules that get every event
    #[arg(long, value_name = "N", default_value_t = FanOutOptions::default().modules)]
    modules: u32,
    /// Events to publish
    #[arg(long, value_name = "N", default_value_t = FanOutOptions::default().events)]
    events: u64,
    /// Publishers that each wait for one event before the next
    #[arg(long, value_name = "P", default_value_t = FanOutOptions::default().publishers)]
    publishers: u32,
    /// Bytes of payload
    #[arg(long, value_name = "BYTES", default_value_t = FanOutOptions::default().payload_bytes)]
    payload_bytes: usize,
    /// Run the bare statements too, and print the ratio
    #[arg(long)]
    floor: bool,
}

pub(super) async fn run(session: &Session, command: BenchCommand) -> Result<(), CliError> {
    let BenchCommand::FanOut(args) = command;
    let options = FanOutOptions {
        store: session.store_options(),
        modules: args.modules,
        events: args.events,
        publishers: args.publishers,
        payload_bytes: args.payload_bytes,
        floor: args.floor,
        ..FanOutOptions::default()
    };
    let report = fan_out(options).await?;
    session.output().one(&report, |out| write(&report, out))
}

/// Writes a line for each figure, under the name that it has in JSON.
fn write(report: &FanOutReport, out: &mut dyn Write) -> io::Result<()> {
    let Value::Object(figures) = serde_json::to_value(report)? else { return Ok(()) };
    for (name, value) in figures.iter().filter(|(_, value)| !value.is_null()) {
        match value {
            Value::String(text) => writeln!(out, "{name:<22} {text}")?,
            Value::Number(number) if number.is_f64() => {
                writeln!(out, "{name:<22} {:.2}", number.as_f64().unwrap_or_default())?;
            }
            other => writeln!(out, "{name:<22} {other}")?,
        }
    }
    Ok(())
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Option { .. } => Self::Usage(error.to_string()),
            BenchError::Start(error) => error.into(),
            BenchError::Publish(error) => error.into(),
            BenchError::Store(error) => error.into(),
            BenchError::Unfinished { .. } => Self::TimedOut(error.to_string()),
            BenchError::Shutdown(error) => Self::Failed(error.to_string()),
        }
    }
}
