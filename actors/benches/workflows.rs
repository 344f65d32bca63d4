//! `cargo bench -p stentor-actors --bench workflows [-- --database URL] [--rounds N] [--graduates N] [--without MODULE]`:
//! how long the school's workflows take from the publish to the last effect, one at a time,
//! and how many graduations a second all modules together get done. One JSON object a line.
//!
//! Without a database it takes a temporary SQLite file. On a database of the user's own it
//! adds a school to what is there, and leaves it.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use serde::Serialize;
use stentor::audit::EventRecord;
use stentor::{Bus, Publication, args};
use stentor_actors::ai::end_conversation;
use stentor_actors::ats::{NewJob, Placement, post_job, record_placement};
use stentor_actors::events::TopicCompleted;
use stentor_actors::people::Role;
use stentor_actors::school::{RECRUITERS, School, insert_conversation};
use stentor_actors::{Settings, chain, modules_with};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error>;

/// A workflow has stopped if it takes longer.
const PATIENCE: Duration = Duration::from_mins(10);
/// Places in a pod.
const CAPACITY: u32 = 100;
/// A conversation with something to sell in it.
const SAID: [(&str, &str); 2] =
    [("assistant", "How was your first week?"), ("user", "Great! Our team is hiring two more developers.")];

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    database: Option<String>,
    /// How often each workflow runs by itself.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// Workflows begin so many milliseconds after one another.
    #[arg(long, default_value_t = 100)]
    pause_ms: u64,
    /// How many students graduate at once.
    #[arg(long, default_value_t = 10_000)]
    graduates: u32,
    /// Modules to leave out of the graduations, to see what they cost.
    #[arg(long, value_name = "MODULE")]
    without: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&Arguments::parse()))
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let url = match &arguments.database {
        Some(url) => url.clone(),
        None => format!("sqlite://{}", folder.path().join("bench.db").display()),
    };
    let database = if url.starts_with("sqlite") { "sqlite" } else { "postgres" };
    let place = Place { url, settings: settings(arguments, folder.path())? };
    if arguments.without.is_empty() {
        for workflow in alone(&place, arguments).await? {
            println!("{}", serde_json::to_string(&workflow.report(database))?);
        }
    }
    let bus = place.start().await?;
    let report = at_once(&bus, database, arguments).await?;
    println!("{}", serde_json::to_string(&report)?);
    stop(bus).await?;
    if report.failed > 0 || !report.wrong.is_empty() {
        return Err(
            format!("{} events failed, {} counts are wrong", report.failed, report.wrong.len()).into()
        );
    }
    Ok(())
}

/// Where buses are started, one after the other.
struct Place {
    url: String,
    settings: Settings,
}

impl Place {
    async fn start(&self) -> Result<Bus, Failure> {
        Ok(modules_with(Bus::builder().database(&self.url), &self.settings).start().await?)
    }
}

async fn stop(bus: Bus) -> Result<(), Failure> {
    Ok(bus.shutdown(Duration::from_secs(30)).await?)
}

fn settings(arguments: &Arguments, folder: &Path) -> Result<Settings, Failure> {
    let mut sections = serde_json::to_value(Settings::default())?;
    for module in &arguments.without {
        let section = sections.get_mut(module).ok_or_else(|| format!("there is no module {module}"))?;
        section["enabled"] = false.into();
    }
    let mut settings: Settings = serde_json::from_value(sections)?;
    settings.companions.folder = folder.join("documents");
    Ok(settings)
}

/// How long one workflow took: the first time on a bus, and round by round on another.
struct Workflow {
    name: &'static str,
    cold: Duration,
    took: Vec<Duration>,
}

/// From the publish to the last effect, in milliseconds.
#[derive(Serialize)]
struct WorkflowReport {
    database: &'static str,
    workflow: &'static str,
    rounds: usize,
    /// Once, on a bus that has just been started and has handled nothing yet.
    cold_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Workflow {
    fn new(name: &'static str, cold: Duration) -> Self {
        Self { name, cold, took: Vec::new() }
    }

    fn report(&self, database: &'static str) -> WorkflowReport {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let millis = |took: Duration| took.as_secs_f64() * 1_000.0;
        let quantile = |percent: usize| millis(sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]);
        WorkflowReport {
            database,
            workflow: self.name,
            rounds: sorted.len(),
            cold_ms: millis(self.cold),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
        }
    }
}

/// Lets one student after the other graduate, be placed, and hold a conversation; the first one on fresh buses.
async fn alone(place: &Place, arguments: &Arguments) -> Result<[Workflow; 3], Failure> {
    let bus = place.start().await?;
    let school = seed(&bus, arguments.rounds.max(1) + 1).await?;
    let mut last = all_but_the_last(&bus, &school).await?.into_iter();
    let (job, recruiter) = job(&bus, &school).await?;
    stop(bus).await?;

    let first = last.next().ok_or("the school has students")?;
    let student = first.user_id;
    let placed = |candidate| Placement { candidate, job, salary: 85_000, recruiter };
    let bus = place.start().await?;
    let mut graduation = Workflow::new("graduation", graduate(&bus, first).await?);
    let bus = restarted(place, bus).await?;
    let mut placement = Workflow::new("placement", be_placed(&bus, &placed(student)).await?);
    let bus = restarted(place, bus).await?;
    let mut conversation = Workflow::new("conversation", converse(&bus, student).await?);

    for completion in last {
        let student = completion.user_id;
        pause(arguments).await;
        graduation.took.push(graduate(&bus, completion).await?);
        pause(arguments).await;
        placement.took.push(be_placed(&bus, &placed(student)).await?);
        pause(arguments).await;
        conversation.took.push(converse(&bus, student).await?);
    }
    stop(bus).await?;
    Ok([graduation, placement, conversation])
}

async fn restarted(place: &Place, bus: Bus) -> Result<Bus, Failure> {
    stop(bus).await?;
    place.start().await
}

async fn graduate(bus: &Bus, completion: TopicCompleted) -> Result<Duration, Failure> {
    let (chain_id, start) = (Uuid::now_v7(), Instant::now());
    bus.publish(Publication::new(completion).correlation_id(chain_id)).await?;
    settled(bus, chain_id, start).await
}

async fn be_placed(bus: &Bus, placement: &Placement) -> Result<Duration, Failure> {
    let start = Instant::now();
    let chain_id = record_placement(bus, placement).await?;
    settled(bus, chain_id, start).await
}

async fn converse(bus: &Bus, student: Uuid) -> Result<Duration, Failure> {
    let mut tx = bus.begin().await?;
    let held = insert_conversation(&mut tx, student, &SAID).await?;
    tx.commit().await?;
    let start = Instant::now();
    let chain_id = end_conversation(bus, held).await?;
    settled(bus, chain_id, start).await
}

async fn pause(arguments: &Arguments) {
    tokio::time::sleep(Duration::from_millis(arguments.pause_ms)).await;
}

/// Waits for the last effect of a chain, and returns how long after `start` that was.
async fn settled(bus: &Bus, chain_id: Uuid, start: Instant) -> Result<Duration, Failure> {
    tokio::time::timeout(PATIENCE, chain::settled(bus.client(), chain_id)).await??;
    Ok(start.elapsed())
}

/// Adds a school of `students` to the database; there is a place in a pod for each of them.
async fn seed(bus: &Bus, students: u32) -> Result<School, Failure> {
    let school =
        School::new(students, Uuid::now_v7().as_u64_pair().1).pods(students.div_ceil(CAPACITY), CAPACITY);
    school.insert(bus).await?;
    Ok(school)
}

/// Completes all topics of all students but each one's last, and returns those.
async fn all_but_the_last(bus: &Bus, school: &School) -> Result<Vec<TopicCompleted>, Failure> {
    let all: Vec<TopicCompleted> = school.completions().collect();
    let (mut before, mut last) = (Vec::new(), Vec::new());
    for of_student in all.chunk_by(|one, next| one.user_id == next.user_id) {
        let (final_one, others) = of_student.split_last().ok_or("a student completes topics")?;
        before.extend_from_slice(others);
        last.push(final_one.clone());
    }
    let chain_id = Uuid::now_v7();
    for chunk in before.chunks(1_000) {
        let events = chunk.iter().map(|event| Publication::new(event.clone()).correlation_id(chain_id));
        bus.publish_all(events).await?;
    }
    settled(bus, chain_id, Instant::now()).await?;
    Ok(last)
}

/// Posts a job, and returns it with a recruiter.
async fn job(bus: &Bus, school: &School) -> Result<(Uuid, Uuid), Failure> {
    const RECRUITER: &str = "SELECT id FROM user_profiles WHERE email LIKE $1 ORDER BY id LIMIT 1";
    const REP: &str = "INSERT INTO sales_reps (lead_type, user_id) VALUES ('default', $1)
        ON CONFLICT (lead_type) DO UPDATE SET user_id = excluded.user_id";
    let (client, department) = (Uuid::now_v7(), Uuid::now_v7());
    let mut tx = bus.begin().await?;
    let rows = tx.fetch_all(RECRUITER, args![school.emails(Role::Recruiter)]).await?;
    let recruiter = rows.first().ok_or("the school has recruiters")?.get("id")?;
    tx.execute(REP, args![recruiter]).await?;
    tx.execute("INSERT INTO clients (id, name) VALUES ($1, 'Voice & Sons')", args![client]).await?;
    tx.execute("INSERT INTO departments (id, name) VALUES ($1, 'Engineering')", args![department]).await?;
    tx.commit().await?;
    let job = post_job(bus, &NewJob { client, department, title: "Rust Developer".to_owned() }).await?;
    settled(bus, job, Instant::now()).await?;
    Ok((job, recruiter))
}

/// What many graduations at once reached.
#[derive(Serialize)]
struct ThroughputReport {
    database: &'static str,
    graduates: u32,
    /// From the first publish to the last effect.
    elapsed_ms: u128,
    graduations_per_s: f64,
    /// Events stored, those that were caused included.
    events: usize,
    /// Deliveries, each with its effects in one transaction.
    deliveries: usize,
    /// Events with an error or a delivery that was given up.
    failed: usize,
    /// Rows that are missing or too many, by table; empty if every effect happened exactly once.
    wrong: Vec<String>,
}

/// Lets all students complete their last topic at once.
async fn at_once(
    bus: &Bus,
    database: &'static str,
    arguments: &Arguments,
) -> Result<ThroughputReport, Failure> {
    let graduates = arguments.graduates;
    let school = seed(bus, graduates).await?;
    let last = all_but_the_last(bus, &school).await?;
    let chain_id = Uuid::now_v7();
    let start = Instant::now();
    for chunk in last.chunks(1_000) {
        let events = chunk.iter().map(|event| Publication::new(event.clone()).correlation_id(chain_id));
        bus.publish_all(events).await?;
    }
    let elapsed = settled(bus, chain_id, start).await?;
    let events = chain::events(bus.client(), chain_id).await?;
    let is_failed = |event: &&EventRecord| event.error.is_some() || event.processed_at.is_none();
    Ok(ThroughputReport {
        database,
        graduates,
        elapsed_ms: elapsed.as_millis(),
        graduations_per_s: f64::from(graduates) / elapsed.as_secs_f64(),
        events: events.len(),
        deliveries: events.iter().map(|event| bus.handler_count(&event.event_type)).sum(),
        failed: events.iter().filter(is_failed).count(),
        wrong: wrong(bus, &school, arguments).await?,
    })
}

/// Counts what there must be exactly once. What a module does that is left out is not looked for.
async fn wrong(bus: &Bus, school: &School, arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let (students, team) = (school.emails(Role::Student), school.emails(Role::Recruiter));
    let graduates = i64::from(arguments.graduates);
    let completions = i64::try_from(school.completions().count())?;
    let mut wrong = Vec::new();
    for (what, modules, sql, email, expected) in [
        ("graduations", &["academy"] as &[&str], GRADUATIONS, &students, graduates),
        ("points for topics", &["achievements"], TOPIC_XP, &students, completions),
        ("résumés", &["academy", "companions"], RESUMES, &students, graduates),
        ("pod members", &["academy", "trikala"], MEMBERS, &students, graduates),
        ("candidates", &["academy", "ats"], BENCH, &students, graduates),
        ("roles of candidates", &["academy", "ats"], ROLES, &students, graduates),
        (
            "news for recruiters",
            &["academy", "notifications"],
            NEWS,
            &team,
            graduates * i64::from(RECRUITERS),
        ),
    ] {
        if modules.iter().any(|module| arguments.without.iter().any(|left_out| left_out == module)) {
            continue;
        }
        let sql = format!("SELECT COUNT(*) AS n FROM user_profiles p {sql}");
        let rows = bus.client().fetch_all(&sql, args![email.as_str()]).await?;
        let found: i64 = rows.first().ok_or("a count has a row")?.get("n")?;
        if found != expected {
            wrong.push(format!("{what}: {found}, expected {expected}"));
        }
    }
    Ok(wrong)
}

const GRADUATIONS: &str = "JOIN course_progress x ON x.user_id = p.id
    WHERE p.email LIKE $1 AND x.graduated_at IS NOT NULL";
const TOPIC_XP: &str = "JOIN xp_transactions x ON x.user_id = p.id
    WHERE p.email LIKE $1 AND x.source LIKE 'topic.completed/%' AND x.amount > 0";
const RESUMES: &str = "JOIN generated_documents x ON x.user_id = p.id WHERE p.email LIKE $1";
const MEMBERS: &str = "JOIN pod_members x ON x.user_id = p.id WHERE p.email LIKE $1";
const BENCH: &str = "WHERE p.email LIKE $1 AND p.candidate_status = 'bench'";
const ROLES: &str = "JOIN user_roles x ON x.user_id = p.id JOIN roles r ON r.id = x.role_id
    WHERE p.email LIKE $1 AND r.name = 'candidate'";
const NEWS: &str =
    "JOIN notifications x ON x.user_id = p.id WHERE p.email LIKE $1 AND x.title = 'New Graduate'";
