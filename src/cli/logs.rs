//! Logs of the process: to standard error, never mixed with data.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::CliError;

/// Starts writing logs of `level` and above.
pub(super) fn start(level: &str) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        CliError::Usage(format!(
            "log.level {level:?} is no level: {error}; use error, warn, info, debug or trace"
        ))
    })?;
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .try_init();
    // An embedder that has set up logs of its own keeps them.
    drop(started);
    Ok(())
}
