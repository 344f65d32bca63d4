//! Why a command failed. The kind is the exit code; the text is one line that says what to do.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::bus::StartError;
use crate::client::ReplayError;
use crate::publication::PublishError;
use crate::store::StoreError;

/// Why a command failed; each kind has an exit code that scripts may rely on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The operation failed. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Wrong usage or input. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there. Exit code 3.
    #[error("{0}")]
    NotFound(String),
    /// The database cannot be reached, or another process has it. Exit code 4.
    #[error("{0}")]
    Unavailable(String),
    /// Waiting took too long. Exit code 5.
    #[error("{0}")]
    TimedOut(String),
    /// Standard output takes no more. Exit code 1, or 0 if the reader just had enough.
    #[error("the output could not be written: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Returns the exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Failed(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Unavailable(_) => 4,
            Self::TimedOut(_) => 5,
        }
    }

    /// Says on standard error what went wrong, and returns the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let code = self.exit_code();
        if code != 0 {
            let text = one_line(&self.to_string());
            // Nobody is left to tell when standard error is closed.
            drop(writeln!(anstream::stderr(), "\x1b[1;31merror:\x1b[0m {text}"));
        }
        ExitCode::from(code)
    }
}

/// Drivers break their messages into lines; a log wants one.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::BadUrl { .. } | StoreError::Unsupported { .. } => Self::Usage(text),
            StoreError::Unreachable { ref url, .. } if url.starts_with("sqlite:") => Self::Unavailable(
                format!("{text}; check the path, and make a new database with `migrate up`"),
            ),
            StoreError::Unreachable { .. } => {
                Self::Unavailable(format!("{text}; check --database, and that it runs"))
            }
            unavailable if unavailable.is_unavailable() => Self::Unavailable(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Setting { .. } => Self::Usage(format!("{error}; change it in the section [bus]")),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ReplayError> for CliError {
    fn from(error: ReplayError) -> Self {
        let text = error.to_string();
        match error {
            ReplayError::NotSubscribed { module, .. } => {
                Self::Usage(format!("{text}; `modules show {module}` lists what it subscribes to"))
            }
            ReplayError::Store(error) => error.into(),
        }
    }
}

impl From<PublishError> for CliError {
    fn from(error: PublishError) -> Self {
        let text = error.to_string();
        match error {
            PublishError::UnknownType(_) => Self::Usage(format!("{text}; `catalogue list` shows the types")),
            PublishError::Conflict(_) | PublishError::Store(_) | PublishError::ShuttingDown => {
                Self::Failed(text)
            }
            _ => Self::Usage(text),
        }
    }
}
