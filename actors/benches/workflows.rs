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
    let bus =
        modules_with(Bus::builder().database(&url), &settings(arguments, folder.path())?).start().await?;
    if arguments.without.is_empty() {
        for workflow in alone(&bus, arguments).await? {
            println!("{}", serde_json::to_string(&workflow.report(database))?);
        }
    }
    let report = at_once(&bus, database, arguments.graduates).await?;
    println!("{}", serde_json::to_string(&report)?);
    bus.shutdown(Duration::from_secs(30)).await?;
    Ok(())
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

/// How long one workflow took, round by round.
struct Workflow {
    name: &'static str,
    took: Vec<Duration>,
}

/// From the publish to the last effect, in milliseconds.
#[derive(Serialize)]
struct WorkflowReport {
    database: &'static str,
    workflow: &'static str,
    rounds: usize,
    /// The first round, on a bus that has done nothing of the kind before.
    cold_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Workflow {
    fn report(&self, database: &'static str) -> WorkflowReport {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let millis = |took: Duration| took.as_secs_f64() * 1_000.0;
        let quantile = |percent: usize| millis(sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]);
        WorkflowReport {
            database,
            workflow: self.name,
            rounds: sorted.len(),
            cold_ms: millis(self.took[0]),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
        }
    }
}

/// Lets one student after the other graduate, be placed, and hold a conversation.
async fn alone(bus: &Bus, arguments: &Arguments) -> Result<[Workflow; 3], Failure> {
    let rounds = arguments.rounds.max(1);
    let school = seed(bus, rounds).await?;
    let last = all_but_the_last(bus, &school).await?;
    let (job, recruiter) = job(bus, &school).await?;
    let mut graduation = Workflow { name: "graduation", took: Vec::new() };
    let mut placement = Workflow { name: "placement", took: Vec::new() };
    let mut conversation = Workflow { name: "conversation", took: Vec::new() };
    for completion in last {
        let (student, chain_id) = (completion.user_id, Uuid::now_v7());
        pause(arguments).await;
        let start = Instant::now();
        bus.publish(Publication::new(completion).correlation_id(chain_id)).await?;
        graduation.took.push(settled(bus, chain_id, start).await?);

        pause(arguments).await;
        let placed = Placement { candidate: student, job, salary: 85_000, recruiter };
        let start = Instant::now();
        let chain_id = record_placement(bus, &placed).await?;
        placement.took.push(settled(bus, chain_id, start).await?);

        let mut tx = bus.begin().await?;
        let held = insert_conversation(&mut tx, student, &SAID).await?;
        tx.commit().await?;
        pause(arguments).await;
        let start = Instant::now();
        let chain_id = end_conversation(bus, held).await?;
        conversation.took.push(settled(bus, chain_id, start).await?);
    }
    Ok([graduation, placement, conversation])
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
async fn at_once(bus: &Bus, database: &'static str, graduates: u32) -> Result<ThroughputReport, Failure> {
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
        wrong: wrong(bus, &school, graduates).await?,
    })
}

/// Counts what each graduate must have exactly once.
async fn wrong(bus: &Bus, school: &School, graduates: u32) -> Result<Vec<String>, Failure> {
    const OF_STUDENT: &str = "JOIN user_profiles p ON p.id = x.user_id WHERE p.email LIKE $1";
    let (students, team) = (school.emails(Role::Student), school.emails(Role::Recruiter));
    let mut wrong = Vec::new();
    for (what, sql, email, expected) in [
        (
            "graduations",
            format!("course_progress x {OF_STUDENT} AND x.graduated_at IS NOT NULL"),
            &students,
            1,
        ),
        ("résumés", format!("generated_documents x {OF_STUDENT}"), &students, 1),
        ("pod members", format!("pod_members x {OF_STUDENT}"), &students, 1),
        (
            "candidates",
            "user_profiles p WHERE p.email LIKE $1 AND p.candidate_status = 'bench'".to_owned(),
            &students,
            1,
        ),
        (
            "news for recruiters",
            format!("notifications x {OF_STUDENT} AND x.title = 'New Graduate'"),
            &team,
            RECRUITERS,
        ),
    ] {
        let sql = format!("SELECT COUNT(*) AS n FROM {sql}");
        let rows = bus.client().fetch_all(&sql, args![email.as_str()]).await?;
        let found: i64 = rows.first().ok_or("a count has a row")?.get("n")?;
        let expected = i64::from(expected) * i64::from(graduates);
        if found != expected {
            wrong.push(format!("{what}: {found}, expected {expected}"));
        }
    }
    Ok(wrong)
}
