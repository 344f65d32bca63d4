//! What there is to tell of a demo: when what happened, who did what, and one graduate's trail.

use std::collections::BTreeMap;

use stentor::audit::EventRecord;
use stentor::{Client, Event, StoreError, args};
use time::Duration;
use uuid::Uuid;

use super::Scene;
use super::careers::Careers;
use super::checks::count;
use crate::events::CourseGraduated;
use crate::people::Role;
use crate::school::School;

/// What there is to tell.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// When which type of event happened, by first appearance.
    pub timeline: Vec<Moment>,
    /// What each module did.
    pub deeds: Vec<Deed>,
    /// Whose trail this is.
    pub graduate: String,
    /// The events of one graduation, oldest first.
    pub trail: Vec<TrailEntry>,
}

/// All events of one type.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The type.
    pub event_type: String,
    /// How many.
    pub events: u64,
    /// When the first was stored, counted from the first of all.
    pub first: Duration,
    /// When the last was processed, counted likewise.
    pub last_done: Duration,
}

/// What a module did.
#[derive(Debug, Clone)]
pub struct Deed {
    /// The module.
    pub module: &'static str,
    /// What it did.
    pub did: String,
}

/// An event of the audit trail.
#[derive(Debug, Clone)]
pub struct TrailEntry {
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Its payload.
    pub payload: String,
    /// When it was stored, counted from the first of all.
    pub at: Duration,
    /// From when it was stored until every module had handled it.
    pub took: Option<Duration>,
    /// The event that caused it.
    pub caused_by: Option<Uuid>,
}

pub(super) async fn tell(scene: &Scene<'_>) -> Result<Story, StoreError> {
    let Scene { client, running, school, careers, events } = scene;
    let graduation = events.iter().find(|event| event.event_type == CourseGraduated::TYPE);
    let graduate = match graduation {
        Some(graduation) => name(client, graduation).await?,
        None => String::new(),
    };
    let mut deeds = deeds(client, school, careers).await?;
    deeds.retain(|deed| running.all(&[deed.module]));
    Ok(Story {
        timeline: timeline(events),
        deeds,
        graduate,
        trail: graduation.map_or_else(Vec::new, |graduation| trail(events, graduation)),
    })
}

async fn name(client: &Client, graduation: &EventRecord) -> Result<String, StoreError> {
    const NAME: &str = "SELECT full_name FROM user_profiles WHERE id = $1";
    let rows = client.fetch_all(NAME, args![graduation.created_by]).await?;
    rows.first().map_or_else(|| Ok(String::new()), |row| row.get("full_name"))
}

fn timeline(events: &[EventRecord]) -> Vec<Moment> {
    let Some(start) = events.first().map(|event| event.created_at) else {
        return Vec::new();
    };
    let mut moments: BTreeMap<&str, Moment> = BTreeMap::new();
    for event in events {
        let stored = event.created_at - start;
        let done = event.processed_at.map_or(stored, |at| at - start);
        let moment = moments.entry(&event.event_type).or_insert_with(|| Moment {
            event_type: event.event_type.clone(),
            events: 0,
            first: stored,
            last_done: done,
        });
        moment.events += 1;
        moment.last_done = moment.last_done.max(done);
    }
    let mut timeline: Vec<Moment> = moments.into_values().collect();
    timeline.sort_by_key(|moment| moment.first);
    timeline
}

/// What the modules did, as the tables show it.
async fn deeds(client: &Client, school: &School, careers: &Careers) -> Result<Vec<Deed>, StoreError> {
    const TOPICS: &str =
        "SELECT COUNT(*) AS n FROM topic_completions c JOIN user_profiles p ON p.id = c.user_id
        WHERE p.email LIKE $1";
    const GRADUATES: &str = "SELECT COUNT(*) AS n FROM user_profiles
        WHERE email LIKE $1 AND student_graduation_date IS NOT NULL";
    const BENCH: &str =
        "SELECT COUNT(*) AS n FROM user_profiles WHERE email LIKE $1 AND candidate_status = 'bench'";
    const MEMBERS: &str = "SELECT COUNT(*) AS n FROM pod_members m JOIN user_profiles p ON p.id = m.user_id
        WHERE p.email LIKE $1";
    const WAITING: &str = "SELECT COUNT(*) AS n FROM pod_waitlist w JOIN user_profiles p ON p.id = w.user_id
        WHERE p.email LIKE $1";
    const RESUMES: &str =
        "SELECT COUNT(*) AS n FROM generated_documents d JOIN user_profiles p ON p.id = d.user_id
        WHERE p.email LIKE $1";
    const POINTS: &str = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS n FROM xp_transactions x
        JOIN user_profiles p ON p.id = x.user_id WHERE p.email LIKE $1";
    const HIRED: &str = "SELECT COUNT(*) AS n FROM placements x JOIN user_profiles p ON p.id = x.candidate_id
        WHERE x.job_id = $1 AND p.employee_hire_date IS NOT NULL";
    const ASSIGNED: &str = "SELECT COUNT(*) AS n FROM consultant_assignments WHERE job_id = $1";
    const FOUND: &str =
        "SELECT COUNT(*) AS n FROM ai_findings f JOIN conversations c ON c.id = f.conversation_id
        WHERE c.user_id = $1";
    const LEADS: &str = "SELECT COUNT(*) AS n FROM opportunity_pipeline WHERE user_id = $1";
    let of_students = |sql| count(client, sql, args![school.emails(Role::Student)]);
    let of_job = |sql| count(client, sql, args![careers.job]);
    let of_talker = |sql| count(client, sql, args![careers.placed.first().copied()]);
    let deed = |module, did| Deed { module, did };
    Ok(vec![
        deed(
            "academy",
            format!(
                "recorded {} topics, graduated {} students",
                of_students(TOPICS).await?,
                of_students(GRADUATES).await?
            ),
        ),
        deed(
            "ats",
            format!("made candidates of all, {} of whom are still on the bench", of_students(BENCH).await?),
        ),
        deed("companions", format!("wrote {} résumés", of_students(RESUMES).await?)),
        deed(
            "trikala",
            format!(
                "gave {} a place in a pod, put {} on the wait list, assigned {} to a client",
                of_students(MEMBERS).await?,
                of_students(WAITING).await?,
                of_job(ASSIGNED).await?
            ),
        ),
        deed("hr", format!("hired {}", of_job(HIRED).await?)),
        deed("achievements", format!("gave students {} points", of_students(POINTS).await?)),
        deed("ai", format!("opportunities found in a conversation: {}", of_talker(FOUND).await?)),
        deed("crm", format!("leads put into the pipeline: {}", of_talker(LEADS).await?)),
        deed("notifications", told(client, school).await?),
    ])
}

/// Whom the notifications told how often.
async fn told(client: &Client, school: &School) -> Result<String, StoreError> {
    const TOLD: &str = "SELECT COUNT(*) AS n FROM notifications n JOIN user_profiles p ON p.id = n.user_id
        WHERE p.email LIKE $1";
    let told = |role| count(client, TOLD, args![school.emails(role)]);
    Ok(format!(
        "told the recruitment team {} times, seniors {} times, admins {} times",
        told(Role::Recruiter).await?,
        told(Role::Employee).await?,
        told(Role::Admin).await?
    ))
}

/// The graduation, the completion that caused it, and everything that it caused.
fn trail(events: &[EventRecord], graduation: &EventRecord) -> Vec<TrailEntry> {
    let start = events.first().map_or(graduation.created_at, |event| event.created_at);
    let belongs = |event: &&EventRecord| {
        event.id == graduation.id
            || Some(event.id) == graduation.causation_id
            || event.causation_id == Some(graduation.id)
    };
    let entry = |event: &EventRecord| TrailEntry {
        id: event.id,
        event_type: event.event_type.clone(),
        payload: event.payload.to_string(),
        at: event.created_at - start,
        took: event.processed_at.map(|at| at - event.created_at),
        caused_by: event.causation_id,
    };
    events.iter().filter(belongs).map(entry).collect()
}
