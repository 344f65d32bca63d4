//! The main job with nothing installed: students graduate, find work, and everything that
//! follows happens by itself.
//!
//! [`run`] makes a school, publishes what its students completed, waits until
//! nothing is left to do, and then looks into the tables for every row that must
//! be there. [`run_on`] does so on a database of the user's own, once nothing waits
//! in it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use stentor::audit::EventRecord;
use stentor::bus::{ModuleError, ShutdownError, StartError};
use stentor::{Bus, BusBuilder, Client, Publication, PublishError, StoreError};
use tempfile::TempDir;
use uuid::Uuid;

use crate::Settings;
use crate::chain;
use crate::events::CourseGraduated;
use crate::school::School;

mod careers;
mod checks;
mod precautions;
mod render;
mod story;

use careers::Careers;
pub use checks::Check;
pub use render::render;
pub use story::{Deed, Moment, Story, TrailEntry};

/// The most students that a demo graduates.
pub const GRADUATES_MAX: u32 = 100_000;

/// How long the bus may take to stop.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// What a demo is run with.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// How many students graduate. Default 25; 1 to [`GRADUATES_MAX`].
    pub graduates: u32,
    /// The folder to keep the SQLite file in, as `stentor.db`. Made if it is missing. Default: none, the file is
    /// removed at the end.
    pub keep: Option<PathBuf>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { graduates: 25, keep: None }
    }
}

/// What a demo did, and whether the tables agree.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Events stored.
    pub events: u64,
    /// Deliveries to modules.
    pub deliveries: u64,
    /// Milliseconds from the first publish until nothing was left to do.
    pub elapsed_ms: u64,
    /// What was looked for in the tables.
    pub checks: Vec<Check>,
    /// What there is to tell of it.
    #[serde(skip)]
    pub story: Story,
}

impl DemoReport {
    /// Returns whether every expected row was found.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// A demo could not be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// Too few or too many graduates.
    #[error("graduates is {0}, allowed are 1 to {GRADUATES_MAX}")]
    Graduates(u32),
    /// The folder for the database cannot be used.
    #[error("folder {path:?} for the database cannot be made: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something waits in the database that the demo would do too.
    #[error(
        "work waits in this database ({0}), and the demo would do it; let `serve` finish it, or give the demo another database"
    )]
    WorkWaits(String),
    /// A module that the database knows is paused, or does not run with these settings.
    #[error(
        "module {0:?} gets events in this database, but is paused or switched off, so the demo's would wait for it; \
         see `modules resume` and `modules remove`, or give the demo another database"
    )]
    WouldWait(String),
    /// The bus did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Events could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus could not say what it runs.
    #[error(transparent)]
    Modules(#[from] ModuleError),
    /// The bus did not stop cleanly.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    /// Something was still left to do after a long wait.
    #[error(
        "after {0:?} events are still unprocessed; look for them with `stentor events list --state unprocessed`"
    )]
    TimedOut(Duration),
}

/// Runs the demo on an SQLite file of its own, with the default settings.
///
/// # Errors
///
/// Fails if the file cannot be used or the work does not end; rows that are
/// missing in the end are no error but a failed check.
pub async fn run(options: &DemoOptions) -> Result<DemoReport, DemoError> {
    check_graduates(options.graduates)?;
    let place = Place::prepare(options.keep.as_deref())?;
    let bus = crate::modules_with(Bus::builder().database(&place.url), &place.settings);
    graduate_on(bus, options.graduates).await
}

/// Runs the demo with the modules and settings of `bus`, whose database is the one at `url`.
///
/// The demo's rows and files stay there.
///
/// # Errors
///
/// Fails like [`run`], and before anything happens if deliveries wait in the database
/// or would wait there, as the demo is a node like any other.
pub async fn run_on(bus: BusBuilder, url: &str, graduates: u32) -> Result<DemoReport, DemoError> {
    check_graduates(graduates)?;
    precautions::refuse_if_work_waits(url, &bus).await?;
    graduate_on(bus, graduates).await
}

fn check_graduates(graduates: u32) -> Result<(), DemoError> {
    if (1..=GRADUATES_MAX).contains(&graduates) { Ok(()) } else { Err(DemoError::Graduates(graduates)) }
}

async fn graduate_on(bus: BusBuilder, graduates: u32) -> Result<DemoReport, DemoError> {
    let bus = bus.start().await?;
    let report = graduate(&bus, graduates).await;
    let stopped = bus.shutdown(SHUTDOWN_DEADLINE).await;
    let report = report?;
    stopped?;
    Ok(report)
}

/// Where the demo's database and documents are; a folder of its own is removed with it.
struct Place {
    url: String,
    settings: Settings,
    _folder: Option<TempDir>,
}

impl Place {
    fn prepare(keep: Option<&Path>) -> Result<Self, DemoError> {
        let refused = |path: PathBuf| move |source| DemoError::Folder { path, source };
        if let Some(path) = keep {
            std::fs::create_dir_all(path).map_err(refused(path.to_owned()))?;
            return Ok(Self { url: sqlite_url(path), settings: settings(path), _folder: None });
        }
        let folder = tempfile::tempdir().map_err(refused(std::env::temp_dir()))?;
        let (url, settings) = (sqlite_url(folder.path()), settings(folder.path()));
        Ok(Self { url, settings, _folder: Some(folder) })
    }
}

/// Returns the default settings, with documents kept within `folder`.
#[cfg(feature = "companions")]
fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.companions.folder = folder.join("documents");
    settings
}

#[cfg(not(feature = "companions"))]
fn settings(_folder: &Path) -> Settings {
    Settings::default()
}

fn sqlite_url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("stentor.db").display())
}

/// Graduates a school of its own, so that the demo can be run again on the same database.
async fn graduate(bus: &Bus, graduates: u32) -> Result<DemoReport, DemoError> {
    let (seed, chain_id) = (Uuid::now_v7().as_u64_pair().1, Uuid::now_v7());
    let running = Running::of(bus).await?;
    let school = School::new(graduates, seed);
    school.insert(bus).await?;
    let start = Instant::now();
    let completions = school.completions().map(|completion| {
        let student = completion.user_id;
        Publication::new(completion).created_by(student).correlation_id(chain_id)
    });
    bus.publish_all(completions).await?;
    if !running.all(&["academy"]) {
        graduate_without_academy(bus, &school, chain_id).await?;
    }
    let patience = Duration::from_mins(1) + Duration::from_millis(100) * graduates;
    settle(bus, chain_id, patience).await?;
    let careers = careers::run(bus, &school, graduates, chain_id, patience).await?;
    let elapsed = start.elapsed();
    let events = chain::events(bus.client(), chain_id).await?;
    let deliveries: usize = events.iter().map(|event| bus.handler_count(&event.event_type)).sum();
    let scene = Scene { client: bus.client(), running, school: &school, careers: &careers, events: &events };
    Ok(DemoReport {
        events: events.len() as u64,
        deliveries: deliveries as u64,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        checks: checks::all(&scene).await?,
        story: story::tell(&scene).await?,
    })
}

/// Publishes what the academy would, so that the other modules have something to react to.
async fn graduate_without_academy(bus: &Bus, school: &School, chain_id: Uuid) -> Result<(), PublishError> {
    let graduations = (0..).zip(school.student_ids()).map(|(number, user_id)| {
        let graduated = CourseGraduated { user_id, course_id: school.course_id(number), final_score: 80.0 };
        Publication::new(graduated).created_by(user_id).correlation_id(chain_id)
    });
    bus.publish_all(graduations).await.map(drop)
}

/// What has been played, and where it can be looked at.
struct Scene<'a> {
    client: &'a Client,
    running: Running,
    school: &'a School,
    careers: &'a Careers,
    events: &'a [EventRecord],
}

/// The modules that run, by name.
struct Running(Vec<String>);

impl Running {
    async fn of(bus: &Bus) -> Result<Self, ModuleError> {
        Ok(Self(bus.modules().await?.into_iter().map(|module| module.name).collect()))
    }

    /// Returns whether all of these modules run.
    fn all(&self, modules: &[&str]) -> bool {
        modules.iter().all(|module| self.0.iter().any(|running| running == module))
    }
}

/// Waits until nothing of the chain is left to do.
async fn settle(bus: &Bus, chain_id: Uuid, patience: Duration) -> Result<(), DemoError> {
    tokio::time::timeout(patience, chain::settled(bus.client(), chain_id))
        .await
        .map_err(|_| DemoError::TimedOut(patience))??;
    Ok(())
}
