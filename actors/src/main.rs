//! The binary `stentor`: the command line over the nine modules. Composition only.

use std::process::ExitCode;

use clap::{ArgMatches, Args, FromArgMatches};
use stentor::cli::{App, CliError, Session};
use stentor_actors::demo::{self, DemoError, DemoOptions};
use stentor_actors::events;

/// The flags of `demo`.
#[derive(Debug, Args)]
struct DemoArgs {
    /// So many students graduate
    #[arg(long, value_name = "N", default_value_t = DemoOptions::default().graduates)]
    graduates: u32,
    /// Keep the SQLite file in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let examples = events::examples()?;
    let demo = DemoArgs::augment_args(clap::Command::new("demo"))
        .about("Watch the main job with nothing installed: students graduate, and everything follows");
    let app = App::new("stentor", env!("CARGO_PKG_VERSION"))
        .compose_with(stentor_actors::modules_with)
        .migrations(&stentor_actors::MIGRATIONS)
        .examples(examples.into_iter().map(|example| (example.event_type, example.payload)))
        .command(demo, run_demo);
    #[cfg(feature = "ai")]
    let app = app.command(stentor_actors::ai::evaluate::command(), stentor_actors::ai::evaluate::run);
    Ok(app.run())
}

async fn run_demo(matches: ArgMatches, session: Session) -> Result<(), CliError> {
    let args = DemoArgs::from_arg_matches(&matches).map_err(|error| CliError::Usage(error.to_string()))?;
    let DemoArgs { graduates, keep } = args;
    let report = match (session.database_flag(), keep) {
        (Some(_), Some(_)) => {
            return Err(CliError::Usage(
                "--keep is for the demo's own SQLite file; leave it out with --database".to_owned(),
            ));
        }
        (Some(url), None) => demo::run_on(session.bus()?, url, graduates).await,
        (None, keep) => demo::run(&DemoOptions { graduates, keep }).await,
    };
    let report = report.map_err(demo_error)?;
    session.output().one(&report, |mut out| demo::render(&report, &mut out))?;
    if report.passed() {
        return Ok(());
    }
    Err(CliError::Failed("the demo did not find every row that it expected; the checks say which".to_owned()))
}

fn demo_error(error: DemoError) -> CliError {
    match error {
        DemoError::Graduates(_)
        | DemoError::Folder { .. }
        | DemoError::WorkWaits(_)
        | DemoError::WouldWait(_) => CliError::Usage(error.to_string()),
        DemoError::Start(error) => error.into(),
        DemoError::Store(error) => error.into(),
        DemoError::Publish(error) => error.into(),
        DemoError::TimedOut(_) => CliError::TimedOut(error.to_string()),
        other => CliError::Failed(other.to_string()),
    }
}
