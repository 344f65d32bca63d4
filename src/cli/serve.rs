//! `serve`: the bus and its modules, until the process is told to stop.

use std::io;

use super::{CliError, Session};
use crate::store::DatabaseKind;

pub(super) async fn run(session: &Session) -> Result<(), CliError> {
    // Asked for first, so that a signal during the start is not lost.
    let mut signals = Signals::listen()?;
    let bus = session.bus()?.start().await?;
    let modules = bus.modules().await.map_or(0, |modules| modules.len());
    let database = match bus.client().database_kind() {
        DatabaseKind::Sqlite => "SQLite",
        DatabaseKind::Postgres => "PostgreSQL",
    };
    session.output().note(&format!("serving {modules} modules on {database}; ctrl-c or SIGTERM stops"));
    signals.next().await;
    let drain = session.settings().drain;
    session
        .output()
        .note(&format!("stopping; work that does not end within {drain:?} is left for the next start"));
    tokio::select! {
        stopped = bus.shutdown(drain) => stopped.map_err(|error| CliError::Failed(error.to_string())),
        () = signals.next() => Err(CliError::Failed(
            "told to stop twice, so stopped at once; what was under way is delivered again at the next start".to_owned(),
        )),
    }
}

/// What tells a service to stop.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What tells a service to stop.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
