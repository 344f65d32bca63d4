//! Looks into the tables for every row that must be there, and for those that must not.

use serde::Serialize;
use stentor::audit::EventRecord;
use stentor::{Client, StoreError, Value, args};

use super::Scene;
use crate::people::Role;

mod careers;
#[cfg(feature = "companions")]
mod files;
mod notices;

/// One thing that was looked for, and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What should hold.
    pub name: String,
    /// Whether it does.
    pub ok: bool,
    /// What was found, and what was expected.
    pub detail: String,
}

impl Check {
    fn count(name: &str, found: i64, expected: i64) -> Self {
        Self { name: name.to_owned(), ok: found == expected, detail: format!("{found} of {expected}") }
    }

    fn none(name: &str, found: i64) -> Self {
        Self { name: name.to_owned(), ok: found == 0, detail: format!("{found} found") }
    }
}

/// A query with a number `n`, which modules must have done what it counts, and the name of the check.
type Counted = (&'static [&'static str], &'static str, &'static str);

/// Makes all checks on a scene. What a module does that does not run is left out.
pub(super) async fn all(scene: &Scene<'_>) -> Result<Vec<Check>, StoreError> {
    let Scene { client, running, school, events, .. } = scene;
    let students = school.emails(Role::Student);
    let graduates = number(school.student_ids().count());
    let completions = number(school.completions().count());
    let mut checks = Vec::new();
    for (counted, expected) in [(PER_GRADUATE.as_slice(), graduates), (&PER_TOPIC, completions)] {
        for (_, name, sql) in counted.iter().filter(|(needs, ..)| running.all(needs)) {
            checks.push(Check::count(name, count(client, sql, args![&students]).await?, expected));
        }
    }
    #[cfg(feature = "companions")]
    if running.all(&["companions"]) {
        checks.push(files::resumes(client, &students, graduates).await?);
    }
    for (name, sql) in NEVER {
        checks.push(Check::none(name, count(client, sql, args![]).await?));
    }
    checks.extend(careers::all(scene).await?);
    if running.all(&["notifications"]) {
        checks.extend(notices::all(scene, graduates).await?);
    }
    checks.push(trail(events));
    Ok(checks)
}

/// What there is exactly once for each graduate, and which modules must have done it.
const PER_GRADUATE: [Counted; 7] = [
    (
        &["academy"],
        "every student has a graduation date",
        "SELECT COUNT(*) AS n FROM user_profiles WHERE email LIKE $1 AND student_graduation_date IS NOT NULL",
    ),
    (
        &["academy"],
        "every student graduated from one course, with a final score",
        "SELECT COUNT(*) AS n FROM course_progress c JOIN user_profiles p ON p.id = c.user_id
            WHERE p.email LIKE $1 AND c.graduated_at IS NOT NULL AND c.final_score BETWEEN 60 AND 100",
    ),
    (
        &["ats"],
        "every graduate has the role candidate",
        "SELECT COUNT(*) AS n FROM user_roles u JOIN roles r ON r.id = u.role_id JOIN user_profiles p ON p.id = u.user_id
            WHERE p.email LIKE $1 AND r.name = 'candidate'",
    ),
    (
        &["ats"],
        "every graduate is on the bench, available from some day on, or placed from there",
        "SELECT COUNT(*) AS n FROM user_profiles
            WHERE email LIKE $1 AND candidate_status IN ('bench', 'placed') AND candidate_available_from IS NOT NULL",
    ),
    (
        &["trikala"],
        "every graduate asked for a place in a pod",
        "SELECT COUNT(*) AS n FROM pod_requests r JOIN user_profiles p ON p.id = r.user_id WHERE p.email LIKE $1",
    ),
    (
        &["trikala"],
        "every graduate has a place in a pod or on the wait list",
        "SELECT (SELECT COUNT(*) FROM pod_members m JOIN user_profiles p ON p.id = m.user_id WHERE p.email LIKE $1)
            + (SELECT COUNT(*) FROM pod_waitlist w JOIN user_profiles p ON p.id = w.user_id WHERE p.email LIKE $1) AS n",
    ),
    (
        &["companions"],
        "every graduate has a résumé",
        "SELECT COUNT(*) AS n FROM generated_documents d JOIN user_profiles p ON p.id = d.user_id
            WHERE p.email LIKE $1 AND d.template = 'resume'",
    ),
];

/// What there is exactly once for each topic that a student completed.
const PER_TOPIC: [Counted; 2] = [
    (
        &["academy"],
        "every topic that a student completed is recorded",
        "SELECT COUNT(*) AS n FROM topic_completions c JOIN user_profiles p ON p.id = c.user_id
            WHERE p.email LIKE $1",
    ),
    (
        &["achievements"],
        "every student has points for every topic",
        "SELECT COUNT(*) AS n FROM xp_transactions x JOIN user_profiles p ON p.id = x.user_id
            WHERE p.email LIKE $1 AND x.source LIKE 'topic.completed/%' AND x.amount > 0",
    ),
];

/// What there must not be.
const NEVER: [(&str, &str); 2] = [
    (
        "no pod is over its capacity",
        "SELECT COUNT(*) AS n FROM pods p WHERE (SELECT COUNT(*) FROM pod_members m WHERE m.pod_id = p.id) > p.capacity",
    ),
    (
        "no pod has another number of members than it says",
        "SELECT COUNT(*) AS n FROM pods p WHERE (SELECT COUNT(*) FROM pod_members m WHERE m.pod_id = p.id) <> p.members",
    ),
];

fn trail(events: &[EventRecord]) -> Check {
    let done = |event: &&EventRecord| event.processed_at.is_some() && event.error.is_none();
    Check {
        name: "every event is in the audit trail, processed without an error".to_owned(),
        ok: events.iter().all(|event| done(&event)),
        detail: format!("{} of {}", events.iter().filter(done).count(), events.len()),
    }
}

/// Runs a query whose only row has a number `n`.
pub(super) async fn count(client: &Client, sql: &str, args: Vec<Value>) -> Result<i64, StoreError> {
    let rows = client.fetch_all(sql, args).await?;
    rows.first().map_or(Ok(0), |row| row.get("n"))
}

fn number(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
